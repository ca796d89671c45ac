"""``pystream dump``: what segment files hold, as text, JSON lines or an Arrow stream."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from pystream._native import LogBatch, SegmentDamage, SegmentFile, decode_headers
from pystream.errors import ConfigError, CorruptRecordError, LogError
from pystream.log._optional import require
from pystream.log.record_batch import RecordBatch
from pystream.log.topic_file import NAME, read_topic_file, topic_directories

__all__ = ["Range", "dump", "segment_paths"]

_ENCODINGS = ("plain", "dictionary", "constant", "all null")
_CODECS = ("none", "lz4")
_KINDS = ("validity", "offsets", "values", "codes")
_BUILT_IN = {0xFFFF: "timestamp", 0xFFFE: "headers", 0xFFFD: "row kind", 0xFFFC: "offset delta"}
_FLAGS = (
    *("transactional", "control", "row kinds", "append time", "explicit offsets", "tombstones"),
    *("explicit sequences", "commit"),
)
_SEGMENT_FACTS = (
    *("path", "partition", "base_offset", "schema_id", "incarnation", "created_us"),
    *("max_bytes", "previous_end_offset", "size"),
)
_BATCH_FACTS = (
    *("path", "partition", "file_position", "stored_bytes", "base_offset", "next_offset"),
    *("append_sequence", "append_time_us", "min_timestamp_us", "max_timestamp_us", "flags"),
    *("schema_id", "incarnation", "durable_offset", "producer_id", "producer_epoch"),
    "transaction_id",
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RANGE = re.compile(r"\s*([0-9]{0,99})\s*:\s*([0-9]{0,99})\s*")
_OFFSET_MAX = 2**63 - 1
_MAGIC = b"PSTR"  # kSegmentMagic in format.hpp


@dataclass(frozen=True)
class Range:
    """Offsets from `begin` up to, but not including, `end`; None has no limit."""

    begin: int | None = None
    end: int | None = None

    @classmethod
    def parse(cls, text: str | None) -> Range:
        """Return the range that ``a:b`` says; either side may be left out.

        Examples
        --------
        >>> Range.parse("10:20"), Range.parse(":5")
        (Range(begin=10, end=20), Range(begin=None, end=5))
        """
        if text is None:
            return cls()
        found = _RANGE.fullmatch(text)
        if found is None:
            raise ConfigError(f'offsets are {text!r}. Write "begin:end", such as "1000:2000".')
        return cls(*(min(int(part), _OFFSET_MAX) if part else None for part in found.groups()))

    def rows(self, batch: LogBatch) -> tuple[int, int]:
        """Return which rows of a batch lie within, as begin and end."""
        begin = 0 if self.begin is None else batch.row_from(self.begin)
        end = batch.record_count if self.end is None else batch.row_from(self.end)
        return begin, max(begin, end)


def segment_paths(place: Path) -> list[Path]:
    """Return the segment files of a place.

    Parameters
    ----------
    place : Path
        A file, a directory with segments in it or one below, or a log's directory with the name of
        a topic behind it, and the number of a partition behind that.

    Raises
    ------
    LogError
        If there is none.
    """
    if not place.exists():
        place = _by_name(place)
    if place.is_file():
        _require_segment(place)
        return [place]
    found = sorted(place.glob("*.seg"))
    if not found:
        found = sorted(place.glob("*/*.seg"), key=lambda path: (int(path.parent.name), path.name))
    if not found and next(topic_directories(place), None) is not None:
        raise LogError(
            f"{place} is a whole log. Name a topic's directory, a partition's, or a segment: they "
            "are below topics/.",
            path=str(place),
        )
    if not found:
        raise LogError(
            f"there is no segment in {place}. Name a segment file, or the directory of a "
            "partition or a topic.",
            path=str(place),
        )
    return found


def _require_segment(file: Path) -> None:
    """Raise LogError for a file that neither begins as a segment nor is called one."""
    with file.open("rb") as opened:
        is_segment = opened.read(len(_MAGIC)) == _MAGIC
    if not is_segment and ".seg" not in file.suffixes:
        raise LogError(
            f"{file} is no segment file: it does not begin as one. Name a .seg file, the "
            "directory of a partition or a topic, or a topic as LOG/TOPIC.",
            path=str(file),
        )


def _by_name(place: Path) -> Path:
    """Return the directory that ``LOG/TOPIC`` or ``LOG/TOPIC/PARTITION`` stands for."""
    candidates = [(place.parent, place.name, "")]
    if place.name.isdecimal():
        candidates.append((place.parent.parent, place.parent.name, place.name))
    for log, name, partition in candidates:
        for directory in topic_directories(log):
            with contextlib.suppress(LogError):
                if read_topic_file(directory / NAME)[0].name == name:
                    return directory / partition
    raise LogError(
        f"there is neither {place} nor a topic of that name. Name a segment file, the directory of "
        "a partition or a topic, or a topic as LOG/TOPIC.",
        path=str(place),
    )


def dump(
    paths: list[Path], out: IO[bytes], *, form: str, offsets: Range, with_headers: bool
) -> bool:
    """Write what segments hold.

    Parameters
    ----------
    paths : list of Path
    out : binary file
    form : {"text", "json", "arrow"}
    offsets : Range
    with_headers : bool
        Also the heads of segments and batches, and with text their tables.

    Returns
    -------
    bool
        Whether everything could be read.
    """
    writer: _TextWriter | _JsonWriter | _ArrowWriter
    if form == "arrow":
        writer = _ArrowWriter(out)
    else:
        kind = _TextWriter if form == "text" else _JsonWriter
        writer = kind(out, with_headers=with_headers)
    is_whole = True
    for path in paths:
        try:
            segment = SegmentFile(str(path))
        except CorruptRecordError as error:
            # A file by itself is of no topic, which its error then calls -0.
            writer.unreadable(path, str(error).replace(f"{path} of -0 ", f"{path} "))
            is_whole = False
            continue
        writer.segment(segment)
        for item in _items(segment):
            if isinstance(item, SegmentDamage):
                writer.damage(segment, item, "no batch can be read here")
                is_whole = False
                continue
            try:
                begin, end = offsets.rows(item)
                if begin >= end:
                    continue
                item.verify()
                writer.batch(item, begin, end)
            except CorruptRecordError as error:
                writer.damaged_batch(item, str(error))
                is_whole = False
    writer.close()
    return is_whole


def _items(segment: SegmentFile) -> Iterator[LogBatch | SegmentDamage]:
    while (item := segment.next()) is not None:
        yield item


def _time(microseconds: int) -> str:
    try:
        return (_EPOCH + timedelta(microseconds=microseconds)).isoformat()
    except OverflowError:
        return f"{microseconds} us"


def _is_marker(batch: LogBatch) -> bool:
    return "control" in _flags_of(batch)


def _is_commit(batch: LogBatch) -> bool:
    return "commit" in _flags_of(batch)


def _flags_of(batch: LogBatch) -> list[str]:
    return [name for bit, name in enumerate(_FLAGS) if batch.flags >> bit & 1]


def _marker_text(batch: LogBatch) -> str:
    word = "committed" if _is_commit(batch) else "aborted"
    return f"marker: transaction {batch.transaction_id} was {word}"


def _records(batch: LogBatch, begin: int, end: int) -> Iterator[dict[str, Any]]:
    columns = RecordBatch.from_stored(batch, begin, end)
    offsets = columns.offsets
    values = columns.to_pydict()
    times = columns.native_timestamps().to_pylist()
    headers = columns.native_headers()
    encoded: list[bytes | None] = [None] * (end - begin)
    if headers is not None:
        encoded = headers.to_pylist()
    for row in range(end - begin):
        yield {
            "offset": int(offsets[row]),
            "timestamp": times[row],
            "headers": decode_headers(encoded[row] or b"\x00"),
            "value": {name: column[row] for name, column in values.items()},
        }


class _TextWriter:
    """Lines for people."""

    def __init__(self, out: IO[bytes], *, with_headers: bool) -> None:
        self._out = out
        self._with_headers = with_headers

    def _line(self, text: str) -> None:
        self._out.write(text.encode("utf-8", "backslashreplace") + b"\n")

    def unreadable(self, path: Path, why: str) -> None:
        self._line(f"segment {path}: DAMAGED: {why}")

    def segment(self, segment: SegmentFile) -> None:
        self._line(
            f"segment {segment.path}: topic {segment.topic_id.hex()}, partition "
            f"{segment.partition}, base offset {segment.base_offset}"
        )
        if self._with_headers:
            self._line(
                f"  incarnation {segment.incarnation}, created {_time(segment.created_us)}, "
                f"{segment.size} of at most {segment.max_bytes} bytes, the log ended at "
                f"{segment.previous_end_offset} before it"
            )
            self._line(f"  schema {segment.schema_id}: {segment.schema}")

    def damage(self, segment: SegmentFile, damage: SegmentDamage, what: str) -> None:
        upto = "?" if damage.next_offset < 0 else str(damage.next_offset - 1)
        self._line(
            f"DAMAGED: {what}: bytes {damage.position} to {damage.position + damage.length - 1}, "
            f"offsets {damage.offset} to {upto}"
        )

    def damaged_batch(self, batch: LogBatch, why: str) -> None:
        self._head(batch)
        self._line(f"  DAMAGED: {why}")

    def _head(self, batch: LogBatch) -> None:
        flags = _flags_of(batch)
        self._line(
            f"batch at {batch.file_position}: offsets {batch.base_offset} to "
            f"{batch.next_offset - 1}, {batch.stored_bytes} bytes"
            + (f", {', '.join(flags)}" if flags else "")
            + (f", transaction {batch.transaction_id}" if batch.transaction_id >= 0 else "")
        )
        if not self._with_headers:
            return
        self._line(
            f"  sequence {batch.append_sequence}, appended {_time(batch.append_time_us)}, durable "
            f"offset {batch.durable_offset}, incarnation {batch.incarnation}, schema "
            f"{batch.schema_id}, producer {batch.producer_id} epoch {batch.producer_epoch}, "
            f"crc {batch.header_crc:08x} after {batch.previous_header_crc:08x}"
        )
        self._line(f"  times {_time(batch.min_timestamp_us)} to {_time(batch.max_timestamp_us)}")
        self._tables(batch)

    def _tables(self, batch: LogBatch) -> None:
        names = batch.schema.names
        buffers = batch.buffer_entries
        for column in batch.column_entries:
            built_in = _BUILT_IN.get(column.id, f"column {column.id:04x}")
            name = names[column.id] if column.id < len(names) else f"<{built_in}>"
            entries = f", {column.dictionary_length} entries" if column.dictionary_length else ""
            self._line(
                f"  {name}: {_name(_ENCODINGS, column.encoding)}, {column.null_count} nulls"
                f"{entries}{_statistics(batch, column.id)}"
            )
            for buffer in buffers[column.first_buffer : column.first_buffer + column.buffer_count]:
                codec = _name(_CODECS, buffer.codec)
                self._line(
                    f"    {_name(_KINDS, buffer.kind)} at {buffer.offset}: "
                    f"{buffer.stored_length} of {buffer.raw_length} bytes, {codec}, "
                    f"crc {buffer.crc:08x}"
                )

    def batch(self, batch: LogBatch, begin: int, end: int) -> None:
        self._head(batch)
        if _is_marker(batch):
            self._line(f"  {batch.base_offset} {_marker_text(batch)}")
            return
        for record in _records(batch, begin, end):
            headers = f" headers={record['headers']}" if record["headers"] else ""
            values = " ".join(f"{name}={value!r}" for name, value in record["value"].items())
            self._line(f"  {record['offset']} {_time(record['timestamp'])}{headers} {values}")

    def close(self) -> None:
        self._out.flush()


class _JsonWriter:
    """One JSON object a line, each with a ``kind``."""

    def __init__(self, out: IO[bytes], *, with_headers: bool) -> None:
        self._out = out
        self._with_headers = with_headers

    def _write(self, kind: str, **facts: Any) -> None:
        text = json.dumps({"kind": kind, **facts}, default=_plain)
        self._out.write(text.encode() + b"\n")

    def unreadable(self, path: Path, why: str) -> None:
        self._write("damaged-segment", path=str(path), error=why)

    def segment(self, segment: SegmentFile) -> None:
        if self._with_headers:
            facts = {name: getattr(segment, name) for name in _SEGMENT_FACTS}
            topic_id, schema = segment.topic_id.hex(), str(segment.schema)
            self._write("segment", topic_id=topic_id, schema=schema, **facts)

    def damage(self, segment: SegmentFile, damage: SegmentDamage, what: str) -> None:
        self._write(
            "damage",
            path=segment.path,
            position=damage.position,
            length=damage.length,
            offset=damage.offset,
            next_offset=None if damage.next_offset < 0 else damage.next_offset,
            error=what,
        )

    def damaged_batch(self, batch: LogBatch, why: str) -> None:
        self._write("damaged-batch", **_facts(batch), error=why)

    def batch(self, batch: LogBatch, begin: int, end: int) -> None:
        if self._with_headers:
            self._write("batch", **_facts(batch))
        if _is_marker(batch):
            self._write(
                "marker",
                partition=batch.partition,
                offset=batch.base_offset,
                transaction_id=batch.transaction_id,
                is_commit=_is_commit(batch),
            )
            return
        for record in _records(batch, begin, end):
            self._write("record", partition=batch.partition, **record)

    def close(self) -> None:
        self._out.flush()


class _ArrowWriter:
    """One Arrow IPC stream of the columns, with offset, partition and timestamp in front."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._arrow = require("pyarrow", extra="arrow")
        self._stream: Any = None

    def unreadable(self, path: Path, why: str) -> None:
        raise CorruptRecordError(why, path=str(path))

    def segment(self, segment: SegmentFile) -> None:
        schema = self._arrow.schema(
            [
                ("_offset", self._arrow.int64()),
                ("_partition", self._arrow.int32()),
                ("_timestamp", self._arrow.timestamp("us")),
                *self._arrow.schema(segment.schema),
            ]
        )
        if self._stream is None:
            self._stream = self._arrow.ipc.new_stream(self._out, schema)
            self._schema = schema
        elif schema != self._schema:
            raise ConfigError(
                f"{segment.path} has other columns than the segments before it, and an Arrow "
                "stream has one schema. Dump it by itself."
            )

    def damage(self, segment: SegmentFile, damage: SegmentDamage, what: str) -> None:
        raise CorruptRecordError(
            f"{segment.path} is damaged at byte {damage.position}, which an Arrow stream cannot "
            "show. Dump it as text, or name offsets that can be read with --offsets.",
            path=segment.path,
            position=damage.position,
            offset=damage.offset,
        )

    def damaged_batch(self, batch: LogBatch, why: str) -> None:
        raise CorruptRecordError(why, path=batch.path, position=batch.file_position)

    def batch(self, batch: LogBatch, begin: int, end: int) -> None:
        if _is_marker(batch):
            return  # no record
        rows = RecordBatch.from_stored(batch, begin, end)
        columns = [
            self._arrow.array(rows.offsets),
            self._arrow.array([batch.partition] * rows.num_rows, self._arrow.int32()),
            self._arrow.array(rows.timestamps),
            *self._arrow.record_batch(rows).columns,
        ]
        table = self._arrow.Table.from_arrays(columns, names=self._schema.names)
        for part in table.cast(self._schema).to_batches():
            self._stream.write_batch(part)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._out.flush()


def _facts(batch: LogBatch) -> dict[str, Any]:
    return {name: getattr(batch, name) for name in _BATCH_FACTS}


def _statistics(batch: LogBatch, column: int) -> str:
    if column >= len(batch.schema):
        return ""
    found = batch.statistics(column)
    if found is None or found[1] is None:
        return ""
    return f", {found[1]} to {found[2]}"


def _name(names: tuple[str, ...], index: int) -> str:
    return names[index] if index < len(names) else str(index)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)
