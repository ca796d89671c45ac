"""``pystream consume``: reads topics from a place on and writes their records."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

import pystream as ps
from pystream.cli.arguments import require_log, require_outside
from pystream.cli.endings import Stop, Stopped
from pystream.cli.forms import Format, format_of
from pystream.cli.printing import counting
from pystream.cli.rows import Picker, Rows
from pystream.cli.starts import Start
from pystream.cli.writers import Writer, open_writer
from pystream.errors import ConfigError, UnknownTopicError

if TYPE_CHECKING:
    from pystream import Consumer, Log, RecordBatch

__all__ = ["Request", "consume"]

_COMMIT_SECONDS = 1.0  # between commits of a group, at least
_JOIN_TIMEOUT = "1s"  # of a member that has no partition yet
_LOOK = "1s"  # between two looks whether what is followed was deleted
_FOR_PROGRAMS = (Format.CSV, Format.PARQUET)  # of one schema


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line."""

    directory: Path
    topics: list[str]
    form: Format | None = None
    start: str | None = None
    follow: bool = False
    max_records: int | None = None
    partitions: list[int] = field(default_factory=list)
    group: str | None = None
    where: list[str] = field(default_factory=list)
    columns: list[str] | None = None
    with_meta: bool = False
    output: Path | None = None
    delimiter: bytes = b"\n"
    key_separator: bytes | None = None


def consume(request: Request, stop: Stop) -> None:
    """Write records until all are written, as many as were wanted, or a signal comes.

    Raises
    ------
    StreamError
        If something is wrong; nothing is written before the request has been checked.
    BrokenPipeError
        If whoever reads the output has gone. The group's offsets then stay behind it.
    """
    require_outside(request.output)
    # A read-only log never sees the first record of a partition that has none yet.
    needs_files = request.group is not None or request.follow
    is_read_only = not (needs_files and os.access(request.directory, os.W_OK))
    if not is_read_only:
        require_log(request.directory)
    with ExitStack() as stack:
        log = stack.enter_context(ps.open(request.directory, read_only=is_read_only))
        pickers = _pickers(log, request)
        form, is_terminal = _form_of(request)
        consumer = stack.enter_context(_consumer(log, request))
        writer_on = partial(
            open_writer,
            form,
            schema=next(iter(pickers.values())).schema,
            delimiter=request.delimiter,
            key_separator=request.key_separator,
            is_coloured=is_terminal and not Console().no_color,
        )
        writer_on(io.BytesIO()).close()  # raises before the output is opened, which empties a file
        out = stack.enter_context(_output(request.output))
        writer = writer_on(out)
        consumption = _Consumption(
            log, consumer, request, pickers=pickers, writer=writer, out=out, stop=stop
        )
        if request.group is not None:
            consumer.subscribe(request.topics, on_revoke=consumption.give_up)
        total = None if request.follow else consumption.total()
        tell = stack.enter_context(counting("Consuming", total, is_shown=not is_terminal))
        consumption.run(tell)


def _pickers(log: Log, request: Request) -> dict[str, Picker]:
    names = list(dict.fromkeys(request.topics))
    return {
        name: Picker(
            log.topic(name), request.columns, with_meta=request.with_meta, where=request.where
        )
        for name in names
    }


def _form_of(request: Request) -> tuple[Format, bool]:
    """Return the format, and whether people look at it on a terminal."""
    is_terminal = request.output is None and sys.stdout.isatty()
    form = request.form
    if form is None and request.output is not None:
        form = format_of(request.output)
    form = form or (Format.TABLE if is_terminal else Format.JSON)
    if form is Format.PARQUET and is_terminal:
        raise ConfigError(
            "Parquet is no text, and standard output is a terminal. Redirect it, or pass --output."
        )
    if form in _FOR_PROGRAMS and len(set(request.topics)) > 1:
        raise ConfigError(
            f"--format {form.value} writes the columns of one topic. Consume one at a time, or "
            "write JSON."
        )
    return form, is_terminal


def _consumer(log: Log, request: Request) -> Consumer:
    start = None if request.start is None else Start.parse(request.start)
    if request.group is not None:
        if request.partitions:
            raise ConfigError(
                "--partition picks partitions, and a member of a --group gets them from the group. "
                "Pass one of them."
            )
        if start is not None and start.kind not in ("earliest", "latest"):
            raise ConfigError(
                f"--from is {request.start!r}, but a --group goes on where it committed; --from "
                "earliest or latest says where it begins without that."
            )
        reset = "earliest" if start is None else start.kind
        return log.consumer(
            group_id=request.group, auto_offset_reset=reset, enable_auto_commit=False
        )
    places = []
    for name in dict.fromkeys(request.topics):
        topic = log.topic(name)
        numbers = request.partitions or range(topic.partitions)
        for number in dict.fromkeys(numbers):
            topic.native_partition(number)  # raises when there is none
            places.append((topic, number))
    if start is not None and start.kind == "offset" and len(places) > 1:
        raise ConfigError(
            f"--from is the offset {start.value}, but {len(places)} partitions are consumed. Pick "
            "one with --partition, or begin at a time."
        )
    consumer = log.consumer(auto_offset_reset="earliest")
    consumer.assign((topic.name, number) for topic, number in places)
    if start is not None and start.kind != "earliest":
        for topic, number in places:
            consumer.seek(ps.TopicPartition(topic.name, number), start.offset_in(topic, number))
    return consumer


@contextmanager
def _output(path: Path | None) -> Iterator[IO[bytes]]:
    if path is None:
        yield sys.stdout.buffer
        return
    with path.open("wb") as out:
        yield out


class _Consumption:
    """One run of the command, from the first record to the last commit."""

    def __init__(
        self,
        log: Log,
        consumer: Consumer,
        request: Request,
        *,
        pickers: dict[str, Picker],
        writer: Writer,
        out: IO[bytes],
        stop: Stop,
    ) -> None:
        self._log = log
        self._topics = {name: log.topic(name).description.id for name in pickers}
        self._consumer = consumer
        self._request = request
        self._pickers = pickers
        self._writer = writer
        self._out = out
        self._stop = stop
        self._left = request.max_records
        self._ends: dict[ps.TopicPartition, int] = {}
        self._done = 0
        self._committed_at = time.monotonic()
        self._is_commit_due = False
        self._is_running = False

    def total(self) -> int:
        """Return how many records there are to read, up to the end that topics have now."""
        return sum(
            self._end_of(name) - self._consumer.position(name)
            for name in self._consumer.assignment()
        )

    def give_up(self, _consumer: Consumer, _partitions: list[ps.TopicPartition]) -> None:
        """Before another member of the group gets partitions, commit what was written of them."""
        if self._is_running:
            self._settle(is_idle=True)

    def run(self, tell: Callable[[int], Any]) -> None:
        """Write, and at the end, whichever it is, complete the output before committing."""
        self._is_running = True
        try:
            for batch in self._batches():
                self._done += len(batch)
                is_enough = self._write(batch)
                tell(self._done)
                if is_enough:
                    break
                self._stop.check()
        except Stopped as stopped:
            if stopped.is_between:
                self._finish()
            raise
        else:
            self._finish()
            self._require_topics()
        finally:
            self._is_running = False  # after an error, nobody knows what was handed on

    def _batches(self) -> Iterator[RecordBatch]:
        consumer, follow = self._consumer, self._request.follow
        # A member may have to wait for others to give partitions up.
        patience = "0s" if self._request.group is None else _JOIN_TIMEOUT
        while follow or self._pause_what_is_read():
            for batch in consumer.batches(timeout="0s" if follow else patience):
                rest = len(batch) if follow else self._left_of(batch)
                if rest > 0:
                    yield batch if rest >= len(batch) else batch.slice(0, rest)
                if not follow and rest <= len(batch) and not self._pause_what_is_read():
                    return
            if not follow:
                return
            self._settle(is_idle=True)
            with self._stop.waiting():
                found = next(iter(consumer.batches(_LOOK)), None)
            if found is not None:
                yield found
            elif self._deleted():
                return

    def _deleted(self) -> list[str]:
        """Return topics that will have no more records; a group reads those that come instead."""
        if self._request.group is not None or not self._request.follow:
            return []
        has_topic = self._log.catalog.has_topic
        return [name for name, topic_id in self._topics.items() if not has_topic(topic_id)]

    def _require_topics(self) -> None:
        for name in self._deleted():
            raise UnknownTopicError(
                f"topic {name!r} was deleted, so that nothing follows. All that was read of it is "
                "written.",
                topic=name,
            )

    def _left_of(self, batch: RecordBatch) -> int:
        """Return how many records of a batch were there when the command began."""
        name = ps.TopicPartition(str(batch.topic), int(batch.partition or 0))
        left = int(np.searchsorted(batch.offsets, self._end_of(name)))
        if left < len(batch):
            self._consumer.seek(name, self._end_of(name))
        return left

    def _pause_what_is_read(self) -> bool:
        """Pause partitions that are read to their end; return whether there are others."""
        consumer = self._consumer
        assigned, paused = consumer.assignment(), consumer.paused()
        done = {name for name in assigned if consumer.position(name) >= self._end_of(name)}
        if fresh := done - paused:
            consumer.pause(*fresh)
        return assigned != done or (not assigned and self._request.group is not None)

    def _end_of(self, name: ps.TopicPartition) -> int:
        """Return where a partition ended when it was first looked at."""
        if name not in self._ends:
            self._ends |= self._consumer.end_offsets([name])
        return self._ends[name]

    def _write(self, batch: RecordBatch) -> bool:
        """Write what is wanted of a batch; return whether that is all."""
        self._is_commit_due = True
        rows = self._pickers[str(batch.topic)].pick(batch)
        if rows is None:
            self._settle(is_idle=False)
            return False
        is_enough = self._left is not None and len(rows) >= self._left
        if is_enough:
            assert self._left is not None
            rows = rows.first(self._left)
            self._go_behind(batch, rows)
        self._writer.write(rows.batch)
        if self._left is not None:
            self._left -= len(rows)
        if not is_enough:
            self._settle(is_idle=False)
        return is_enough

    def _go_behind(self, batch: RecordBatch, rows: Rows) -> None:
        """Let the position be behind the last row that is written."""
        name = ps.TopicPartition(str(batch.topic), int(batch.partition or 0))
        self._consumer.seek(name, int(batch.offsets[rows.place(len(rows) - 1)]) + 1)

    def _settle(self, *, is_idle: bool) -> None:
        """Hand on what was written, when readers wait for it, and then commit, now and then."""
        is_due = time.monotonic() - self._committed_at >= _COMMIT_SECONDS
        if not self._writer.is_complete_early or not (is_idle or is_due):
            return
        self._out.flush()
        self._commit()

    def _finish(self) -> None:
        self._writer.close()
        self._out.flush()
        self._is_commit_due = True
        self._commit()

    def _commit(self) -> None:
        self._committed_at = time.monotonic()
        if self._request.group is None or not self._is_commit_due:
            return
        if self._request.output is not None:
            os.fsync(self._out.fileno())  # offsets are on the disk when they are committed
        self._consumer.commit()
        self._is_commit_due = False
