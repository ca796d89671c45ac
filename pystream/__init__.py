"""Kafka's log and Flink's event-time windows inside one Python process."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from pystream import errors

if TYPE_CHECKING:
    from pystream._native import Delivery, Record
    from pystream.engines.local import Job, JobMetrics, JobResult, OperatorMetrics
    from pystream.log import Log, PartitionEnds, Topic, open
    from pystream.log.aio.consumer import AsyncConsumer
    from pystream.log.aio.producer import AsyncProducer
    from pystream.log.array import Array
    from pystream.log.consumer import Consumer
    from pystream.log.producer import Producer
    from pystream.log.record_batch import RecordBatch
    from pystream.pipeline.aggregate_functions import AggregateFunction, BatchAggregateFunction
    from pystream.pipeline.aggregates import Aggregation, count
    from pystream.pipeline.case import coalesce, greatest, least, when
    from pystream.pipeline.environment import Environment
    from pystream.pipeline.expressions import Expression, col, lit
    from pystream.pipeline.hybrid import HybridSource
    from pystream.pipeline.stream import OutputTag, Stream
    from pystream.pipeline.udf import UserFunction, udf
    from pystream.pipeline.watermarks import WatermarkStrategy
    from pystream.pipeline.windowed import KeyedStream, WindowedStream
    from pystream.pipeline.windows import (
        Window,
        count_window,
        cumulate,
        global_window,
        hopping,
        session,
        tumbling,
    )
    from pystream.plan.triggers import Trigger, TriggerContext, TriggerResult, TriggerWindow
    from pystream.types import (
        BatchMetadata,
        OffsetAndTimestamp,
        RecordMetadata,
        TopicPartition,
    )

__version__ = "0.1.0"

__all__ = [
    "AggregateFunction",
    "Aggregation",
    "Array",
    "AsyncConsumer",
    "AsyncProducer",
    "BatchAggregateFunction",
    "BatchMetadata",
    "Consumer",
    "Delivery",
    "Environment",
    "Expression",
    "HybridSource",
    "Job",
    "JobMetrics",
    "JobResult",
    "KeyedStream",
    "Log",
    "OffsetAndTimestamp",
    "OperatorMetrics",
    "OutputTag",
    "PartitionEnds",
    "Producer",
    "Record",
    "RecordBatch",
    "RecordMetadata",
    "Stream",
    "Topic",
    "TopicPartition",
    "Trigger",
    "TriggerContext",
    "TriggerResult",
    "TriggerWindow",
    "UserFunction",
    "WatermarkStrategy",
    "Window",
    "WindowedStream",
    "coalesce",
    "col",
    "count",
    "count_window",
    "cumulate",
    "errors",
    "global_window",
    "greatest",
    "hopping",
    "least",
    "lit",
    "open",
    "session",
    "tumbling",
    "udf",
    "when",
]

# Where each name lives. Modules load when a name is first used (PEP 562), so that a program that
# only reads does not pay for pipelines.
_HOMES = {
    "AggregateFunction": "pipeline.aggregate_functions",
    "Aggregation": "pipeline.aggregates",
    "Array": "log.array",
    "AsyncConsumer": "log.aio.consumer",
    "AsyncProducer": "log.aio.producer",
    "BatchAggregateFunction": "pipeline.aggregate_functions",
    "BatchMetadata": "types",
    "Consumer": "log.consumer",
    "Delivery": "_native",
    "Environment": "pipeline.environment",
    "Expression": "pipeline.expressions",
    "HybridSource": "pipeline.hybrid",
    "Job": "engines.local",
    "JobMetrics": "engines.local",
    "JobResult": "engines.local",
    "KeyedStream": "pipeline.windowed",
    "Log": "log",
    "OffsetAndTimestamp": "types",
    "OperatorMetrics": "engines.local",
    "OutputTag": "pipeline.stream",
    "PartitionEnds": "log",
    "Producer": "log.producer",
    "Record": "_native",
    "RecordBatch": "log.record_batch",
    "RecordMetadata": "types",
    "Stream": "pipeline.stream",
    "Topic": "log",
    "TopicPartition": "types",
    "Trigger": "plan.triggers",
    "TriggerContext": "plan.triggers",
    "TriggerResult": "plan.triggers",
    "TriggerWindow": "plan.triggers",
    "UserFunction": "pipeline.udf",
    "WatermarkStrategy": "pipeline.watermarks",
    "Window": "pipeline.windows",
    "WindowedStream": "pipeline.windowed",
    "coalesce": "pipeline.case",
    "col": "pipeline.expressions",
    "count": "pipeline.aggregates",
    "count_window": "pipeline.windows",
    "cumulate": "pipeline.windows",
    "global_window": "pipeline.windows",
    "greatest": "pipeline.case",
    "hopping": "pipeline.windows",
    "least": "pipeline.case",
    "lit": "pipeline.expressions",
    "open": "log",
    "session": "pipeline.windows",
    "tumbling": "pipeline.windows",
    "udf": "pipeline.udf",
    "when": "pipeline.case",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'pystream' has no attribute {name!r}")
    value = getattr(import_module(f"pystream.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, "__version__", "__doc__"})
