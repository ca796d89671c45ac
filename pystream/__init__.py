"""Kafka's log and Flink's event-time windows inside one Python process."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from pystream import errors

if TYPE_CHECKING:
    from pystream._native import Delivery, Record
    from pystream.log import Log, PartitionEnds, Topic, open
    from pystream.log.array import Array
    from pystream.log.producer import Producer
    from pystream.log.record_batch import RecordBatch
    from pystream.types import BatchMetadata, RecordMetadata, TopicPartition

__version__ = "0.1.0"

__all__ = [
    "Array",
    "BatchMetadata",
    "Delivery",
    "Log",
    "PartitionEnds",
    "Producer",
    "Record",
    "RecordBatch",
    "RecordMetadata",
    "Topic",
    "TopicPartition",
    "errors",
    "open",
]

# Where each name lives. Modules load when a name is first used (PEP 562), so that a program that
# only reads does not pay for pipelines.
_HOMES = {
    "Array": "log.array",
    "BatchMetadata": "types",
    "Delivery": "_native",
    "Log": "log",
    "PartitionEnds": "log",
    "Producer": "log.producer",
    "Record": "_native",
    "RecordBatch": "log.record_batch",
    "RecordMetadata": "types",
    "Topic": "log",
    "TopicPartition": "types",
    "open": "log",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'pystream' has no attribute {name!r}")
    value = getattr(import_module(f"pystream.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
