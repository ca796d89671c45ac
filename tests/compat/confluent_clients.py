"""What tests of `pystream.compat.confluent_kafka` say again and again."""

from __future__ import annotations

from typing import Any

import pystream as ps
from pystream.compat import confluent_kafka as ck

__all__ = ["SECONDS", "code_of", "open_log", "reader"]

SECONDS = 20.0


def reader(place: dict[str, Any], *topics: str, **more: Any) -> ck.Consumer:
    consumer = ck.Consumer({**place, "group.id": "g", "auto.offset.reset": "earliest", **more})
    if topics:
        consumer.subscribe(list(topics))
    return consumer


def open_log(place: dict[str, Any]) -> ps.Log:
    return ps.open(place["log.directory"])


def code_of(error: BaseException) -> str:
    name: str = error.args[0].name()
    return name
