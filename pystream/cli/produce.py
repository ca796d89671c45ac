"""``pystream produce``: sends what it reads to a topic, in order, and says how far it came."""

from __future__ import annotations

import re
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.markup import escape

import pystream as ps
from pystream.cli.arguments import require_log
from pystream.cli.endings import Stop, Stopped
from pystream.cli.forms import Format, format_of
from pystream.cli.input_lines import BadInputError, Input, open_input
from pystream.cli.parts import Extra, Part, csv_parts, json_parts, parquet_parts, raw_parts
from pystream.cli.printing import counting, result_console
from pystream.errors import ConfigError, SchemaError, StreamError

if TYPE_CHECKING:
    from pystream import Delivery, Producer, Topic

__all__ = ["Request", "produce"]


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line."""

    directory: Path
    topic: str
    files: list[Path] = field(default_factory=list)
    form: Format | None = None
    partition: int | None = None
    acks: str = "interval"
    with_meta: bool = False
    producer_name: str | None = None
    delimiter: bytes = b"\n"
    key_separator: bytes | None = None


def produce(request: Request, stop: Stop) -> None:
    """Send all records of files, or of standard input.

    Raises
    ------
    StreamError
        If a record does not fit. The message tells its line and how many were produced before it;
        those in front of it are in the topic, and nothing behind it is.
    """
    if request.form is Format.TABLE:
        raise ConfigError(
            "a table is for people, and cannot be read. Produce JSON, CSV or Parquet."
        )
    if request.producer_name is not None and request.with_meta:
        raise ConfigError(
            "--producer-name numbers records in the order of the input, and --meta sends them to "
            "partitions of their own. Leave one of them out."
        )
    for option, separator in (
        ("--delimiter", request.delimiter),
        ("--key-separator", request.key_separator),
    ):
        if separator == b"":
            raise ConfigError(f"{option} is empty, so nothing is between two. Write a character.")
    require_log(request.directory)
    with ExitStack() as stack:
        log = stack.enter_context(ps.open(request.directory))
        topic = log.topic(request.topic)
        if request.partition is not None:
            topic.native_partition(request.partition)  # raises when there is none
        producer = stack.enter_context(
            log.producer(acks=request.acks, producer_name=request.producer_name)
        )
        is_shown = not sys.stdin.isatty() or bool(request.files)
        tell = stack.enter_context(counting("Producing", None, is_shown=is_shown))
        sending = _Sending(producer, topic, request)
        paths: list[Path | None] = [*request.files] or [None]
        for path in paths:
            source = stack.enter_context(open_input(path, stop))
            try:
                for part in _parts(source, topic, request):
                    sending.send(part)
                    tell(sending.done)
                    stop.check()
            except BadInputError as error:
                raise StreamError(f"{source.name}: {error}. {sending.summary}") from None
            except StreamError as error:
                raise StreamError(f"{source.name}: {error} {sending.summary}") from error
            except Stopped as stopped:
                print(f"pystream: stopped. {sending.summary}", file=sys.stderr)
                raise stopped from None
    known = f", {sending.known:,} of which it had before" if sending.known else ""
    records = "record" if sending.done == 1 else "records"
    result_console().print(
        f"produced {sending.done:,} {records} to {escape(topic.name)}{known}",
        soft_wrap=True,
    )


def _parts(source: Input, topic: Topic, request: Request) -> Iterator[Part]:
    form = request.form or format_of(source.name) or Format.JSON
    if form is Format.RAW:
        if request.with_meta:
            raise ConfigError("--format raw has no place for --meta. Produce JSON.")
        return raw_parts(
            source, topic, delimiter=request.delimiter, key_separator=request.key_separator
        )
    readers: dict[Format, Callable[..., Iterator[Part]]] = {
        Format.CSV: csv_parts,
        Format.PARQUET: parquet_parts,
        Format.JSON: json_parts,
    }
    return readers[form](source, topic, with_meta=request.with_meta)


class _Sending:
    """Sends parts, and knows what was sent."""

    def __init__(self, producer: Producer, topic: Topic, request: Request) -> None:
        self._producer = producer
        self._topic = topic
        self._partition = request.partition
        self._is_numbered = request.producer_name is not None
        self.done = 0
        self.known = 0  # of those, what a producer of this name had sent before
        self._last = ""

    @property
    def summary(self) -> str:
        """What was produced, as a sentence."""
        if self.done == 0:
            return "Nothing was produced."
        were = "record was" if self.done == 1 else "records were"
        return f"{self.done:,} {were} produced, up to {self._last}, and nothing behind it."

    def send(self, part: Part) -> None:
        """Send the records of a part; when one is bad, those before it, and raise."""
        if part.count:
            try:
                self._send_all(part)
            except SchemaError as error:
                if error.row is None:
                    raise
                place = part.places[error.row]
                if error.row > 0:
                    self._send_all(_head(part, error.row))
                raise BadInputError(f"{part.unit} {place}: {_problem(error)}") from None
        if part.error is not None:
            raise part.error

    def _send_all(self, part: Part) -> None:
        if part.extras is None:
            self._send_table(part.table, self._partition, None)
        elif isinstance(part.table, list):
            self._send_each(part)
        else:
            self._send_placed(part.table, part.extras)
        self.done += part.count
        self._last = f"{part.unit} {part.places[part.count - 1]}"

    def _send_table(self, table: Any, partition: int | None, times: Any) -> None:
        appended = self._producer.send_batch(
            self._topic.name,
            table,
            partition=partition,
            timestamp=times,
            sequence_id=self.done if self._is_numbered else None,
        )
        self.known += sum(batch.record_count for batch in appended if batch.is_duplicate)

    def _send_placed(self, table: Any, extras: list[Extra]) -> None:
        """Send the rows of a table to the partitions and with the times that they have."""
        runs: dict[int | None, list[int]] = defaultdict(list)
        for row, extra in enumerate(extras):
            runs[self._partition if extra.partition is None else extra.partition].append(row)
        for partition in runs:
            if partition is not None:
                self._topic.native_partition(partition)  # before anything is sent
        now = time.time_ns() // 1000
        times = np.array([now if e.timestamp is None else e.timestamp for e in extras], np.int64)
        for partition, rows in runs.items():
            chosen = table if len(runs) == 1 else table.take(rows)
            self._send_table(chosen, partition, times[rows])

    def _send_each(self, part: Part) -> None:
        """Send records one by one, which may have headers; a bad one keeps those behind it back."""
        assert part.extras is not None
        sent: list[Delivery] = []
        for row, (value, extra) in enumerate(zip(part.table, part.extras, strict=True)):
            try:
                sent.append(self._send_one(value, extra, self.done + row))
            except StreamError as error:
                self._producer.flush()
                self.done += row
                if row > 0:
                    self._last = f"{part.unit} {part.places[row - 1]}"
                place = part.places[row]
                raise BadInputError(f"{part.unit} {place}: {_problem(error)}") from None
        self._producer.flush()
        self.known += sum(delivery.result().is_duplicate for delivery in sent)

    def _send_one(self, row: dict[str, Any], extra: Extra, number: int) -> Delivery:
        partition = self._partition if extra.partition is None else extra.partition
        value: Any = row
        key = None
        if not self._topic.is_typed:
            if unknown := row.keys() - {"key", "value"}:
                raise SchemaError(
                    f"column {min(unknown)!r} does not exist; a topic without columns has key and "
                    "value."
                )
            value, key = row.get("value"), row.get("key")
        return self._producer.send(
            self._topic.name,
            value,
            key=key,
            partition=partition,
            timestamp=extra.timestamp,
            headers=extra.headers or None,
            sequence_id=number if self._is_numbered else None,
        )


def _problem(error: StreamError) -> str:
    """Return what is wrong with a record, without the row of the batch that it was sent in."""
    row = getattr(error, "row", None)
    problem = re.sub(rf"^row \d+: | in row {row}\b", "", str(error)).rstrip(".")
    return problem.replace(f" row {row} is ", " this is ")


def _head(part: Part, count: int) -> Part:
    table = part.table
    if isinstance(table, dict):
        table = {name: values[:count] for name, values in table.items()}
    else:
        table = table[:count] if isinstance(table, list) else table.slice(0, count)
    return Part(table, count, part.unit, part.places, part.extras and part.extras[:count])
