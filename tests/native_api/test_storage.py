"""The handles of the log: Log, Partition, PartitionReader, LogBatch, TopicWriter."""

from __future__ import annotations

import _thread
import errno
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pystream._native import _core
from pystream.errors import (
    ClosedError,
    ConfigError,
    CorruptRecordError,
    LogError,
    OffsetOutOfRangeError,
    RecordTooLargeError,
    SchemaError,
    StorageError,
)
from tests.native_api.arrow_arrays import FOREIGN_TYPES, SUPPORTED_TYPES, batches

PLAIN = _core.Schema(
    [("user", _core.DataType("string"), True), ("n", _core.DataType("int64"), False)]
)


def rows(count: int, first: int = 0) -> _core.RecordBatch:
    numbers = np.arange(first, first + count)
    return _core.RecordBatch.from_numpy(
        PLAIN, {"user": np.array([f"user-{n % 7}" for n in numbers], object), "n": numbers}
    )


@pytest.fixture
def log(tmp_path: Path) -> Iterator[_core.Log]:
    opened = _core.Log.open(str(tmp_path))
    yield opened
    opened.close()


def open_partition(
    log: _core.Log, number: int = 0, schema: _core.Schema = PLAIN, **options: Any
) -> _core.Partition:
    return log.open_partition(
        topic="clicks",
        topic_id=b"0123456789abcdef",
        partition=number,
        schema=schema,
        schema_id=1,
        **options,
    )


@pytest.fixture
def partition(log: _core.Log) -> _core.Partition:
    return open_partition(log)


def read_all(partition: _core.Partition, offset: int = 0) -> list[_core.LogBatch]:
    reader = partition.reader(offset)
    return list(iter(reader.next, None))


def test_appended_batches_come_back_in_order(partition: _core.Partition) -> None:
    first = partition.append(rows(100), timestamps=1_000)
    second = partition.append(rows(50, first=100), timestamps=2_000)
    assert (first.base_offset, second.base_offset) == (0, 100)
    assert second.append_sequence > first.append_sequence
    assert partition.ends().log_end_offset == 150
    one, two = read_all(partition)
    assert (one.base_offset, one.next_offset, one.record_count) == (0, 100, 100)
    assert (two.base_offset, two.append_sequence) == (100, second.append_sequence)
    assert two.append_time_us == second.append_time_us
    assert (two.min_timestamp_us, two.max_timestamp_us) == (2_000, 2_000)
    assert (one.topic, one.partition, one.schema, one.schema_id) == ("clicks", 0, PLAIN, 1)
    assert Path(one.path).stat().st_size >= one.file_position + one.stored_bytes
    assert one.read().equals(rows(100))
    assert two.read([1]).column(0).to_pylist() == list(range(100, 150))
    assert two.column(1).equals(two.read().column(1))
    assert two.column(1, 10, 5).equals(two.column(1).slice(10, 5))
    assert two.column(1, 10).equals(two.column(1).slice(10, len(two.column(1)) - 10))
    for begin, length in ((-1, 1), (0, 1000), (1000, None)):
        with pytest.raises(IndexError):
            two.column(1, begin, length)
    assert one.headers() is None
    assert one.flags == 0


@pytest.mark.parametrize("codec", ["none", "lz4"])
@pytest.mark.parametrize("dictionary", [True, False])
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_every_type_survives_the_log(
    tmp_path: Path, codec: Any, dictionary: bool, data: st.DataObject
) -> None:
    arrow = data.draw(batches([*SUPPORTED_TYPES, *FOREIGN_TYPES]).filter(len))
    (batch,) = _core.RecordBatch.from_arrow(arrow)
    directory = tmp_path / os.urandom(8).hex()
    directory.mkdir()
    log = _core.Log.open(str(directory))
    partition = open_partition(log, schema=batch.schema)
    partition.append(batch, timestamps=0, codec=codec, dictionary=dictionary)
    (stored,) = read_all(partition)
    assert stored.read().equals(batch)
    log.close()


def test_timestamps_and_headers_per_record(partition: _core.Partition) -> None:
    schema = _core.Schema(
        [("t", _core.DataType("int64"), True), ("h", _core.DataType("binary"), True)]
    )
    extra = _core.RecordBatch.from_numpy(
        schema, {"t": np.array([30, 10, 20]), "h": np.array([b"a", None, b"c"], object)}
    )
    partition.append(rows(3), timestamps=extra.column(0), headers=extra.column(1))
    (stored,) = read_all(partition)
    assert stored.timestamps().to_pylist() == [30, 10, 20]
    assert (stored.min_timestamp_us, stored.max_timestamp_us) == (10, 30)
    headers = stored.headers()
    assert headers is not None
    assert headers.to_pylist() == [b"a", None, b"c"]
    for wrong in ({"timestamps": extra.column(0)}, {"timestamps": 0, "headers": extra.column(1)}):
        with pytest.raises(SchemaError, match="one value for each of 5 records"):
            partition.append(rows(5), **wrong)
    assert partition.ends().log_end_offset == 3


def test_statistics_of_columns(log: _core.Log) -> None:
    types = {"i": "int32", "u": "uint64", "f": "float64", "t": "timestamp[ms]", "s": "string"}
    schema = _core.Schema([(name, _core.DataType(text), True) for name, text in types.items()])
    table = pa.table(
        {
            "i": pa.array([3, None, -5], pa.int32()),
            "u": pa.array([1, 2**64 - 1, None], pa.uint64()),
            "f": pa.array([float("nan"), 0.5, -2.5]),
            "t": pa.array([1, 2, 3], pa.timestamp("ms")),
            "s": pa.array(["a", None, None]),
        }
    )
    (batch,) = _core.RecordBatch.from_arrow(table, schema)
    partition = open_partition(log, schema=schema)
    partition.append(batch, timestamps=0)
    (stored,) = read_all(partition)
    assert [stored.statistics(i) for i in range(5)] == [
        (1, -5, 3),
        (1, 1, 2**64 - 1),
        (0, -2.5, 0.5),
        (0, 1, 3),
        (2, None, None),
    ]
    for index in (5, -1):
        for call in (stored.statistics, stored.column, lambda i: stored.read([i])):
            with pytest.raises(IndexError, match="does not exist in 5 columns"):
                call(index)


class TestReader:
    def test_seek_finds_the_batch_that_holds_the_offset(self, partition: _core.Partition) -> None:
        for first in (0, 10, 20):
            partition.append(rows(10, first), timestamps=0)
        reader = partition.reader(15)
        assert reader.position == 15
        found = reader.next()
        assert found is not None
        assert (found.base_offset, reader.position) == (10, 20)
        reader.seek(30)
        assert reader.next() is None
        assert reader.partition is partition

    @pytest.mark.parametrize("offset", [-1, 11])
    def test_offset_out_of_range_names_both_ends(
        self, partition: _core.Partition, offset: int
    ) -> None:
        partition.append(rows(10), timestamps=0)
        with pytest.raises(OffsetOutOfRangeError) as caught:
            partition.reader(offset)
        error = caught.value
        assert (error.topic, error.partition, error.offset) == ("clicks", 0, offset)
        assert (error.log_start_offset, error.log_end_offset) == (0, 10)
        reader = partition.reader(3)
        with pytest.raises(OffsetOutOfRangeError):
            reader.seek(offset)
        assert reader.position == 3

    def test_damaged_batch_names_its_place(self, partition: _core.Partition) -> None:
        partition.append(rows(1000), timestamps=0, dictionary=False)
        (stored,) = read_all(partition)
        path = Path(stored.path)
        data = bytearray(path.read_bytes())
        # The last values of the numbers' buffer.
        at = data.rindex(np.arange(990, 1000).tobytes())
        data[at] ^= 1
        with path.open("r+b") as file:
            file.write(data)
        (stored,) = read_all(partition)
        with pytest.raises(CorruptRecordError) as caught:
            stored.read()
        error = caught.value
        assert (error.topic, error.partition, error.offset) == ("clicks", 0, 0)
        assert error.position is not None
        assert stored.column(0).to_pylist() == rows(1000).column(0).to_pylist()


class TestRefused:
    def test_null_where_none_may_be(self, partition: _core.Partition) -> None:
        loose = _core.Schema([(name, kind, True) for name, kind, _ in PLAIN.fields])
        batch = _core.RecordBatch.from_numpy(
            loose,
            {"user": np.array(["a", "b"]), "n": np.array([1, 2])},
            {"n": np.array([False, True])},
        )
        strict = _core.RecordBatch(PLAIN, [batch.column(0), batch.column(1)])
        with pytest.raises(SchemaError) as caught:
            partition.append(strict, timestamps=0)
        assert caught.value.column == "n"
        assert partition.ends().log_end_offset == 0

    @pytest.mark.parametrize(
        ("option", "value"), [("acks", "all"), ("acks", ""), ("codec", "zstd")]
    )
    def test_unknown_settings(self, partition: _core.Partition, option: str, value: str) -> None:
        with pytest.raises(ConfigError, match=f"{option} is '{value}'. Use '"):
            partition.append(rows(1), timestamps=0, **{option: value})  # type: ignore[arg-type]

    def test_acks_durable_syncs(self, partition: _core.Partition) -> None:
        partition.append(rows(3), timestamps=0, acks="durable")
        assert partition.ends().durable_offset == 3

    def test_sync_partitions(self, log: _core.Log, partition: _core.Partition) -> None:
        other = log.open_partition(
            topic="t", topic_id=bytes(16), partition=1, schema=PLAIN, schema_id=1
        )
        for each in (partition, other):
            each.append(rows(3), timestamps=0, acks="published")
        assert _core.sync_partitions([partition, other], [3, 2]) == [None, None]
        assert [each.ends().durable_offset for each in (partition, other)] == [3, 3]
        with pytest.raises(ValueError, match="one end offset per partition"):
            _core.sync_partitions([partition], [])

    def test_sync_partitions_of_a_closed_log(
        self, log: _core.Log, partition: _core.Partition
    ) -> None:
        log.close()
        (error,) = _core.sync_partitions([partition], [1])
        assert isinstance(error, ClosedError)

    def test_topic_id_has_16_bytes(self, log: _core.Log) -> None:
        with pytest.raises(ConfigError, match="topic_id is '3 bytes'"):
            log.open_partition(topic="t", topic_id=b"abc", partition=0, schema=PLAIN, schema_id=1)

    def test_directory_that_does_not_exist(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError) as caught:
            _core.Log.open(str(tmp_path / "nowhere"))
        assert caught.value.errno == errno.ENOENT
        assert "nowhere" in str(caught.value.path)
        assert isinstance(caught.value, OSError)

    def test_directory_that_is_no_log(self, tmp_path: Path) -> None:
        (tmp_path / "holiday.jpg").write_bytes(b"sand")
        with pytest.raises(LogError, match=r"is not a log.*holiday\.jpg"):
            _core.Log.open(str(tmp_path))

    def test_use_after_close(self, log: _core.Log, partition: _core.Partition) -> None:
        reader = partition.reader(0)
        log.close()
        log.close()
        assert log.is_closed
        calls = (
            partition.ends,
            lambda: partition.append(rows(1), timestamps=0),
            lambda: partition.reader(0),
            reader.next,
            lambda: log.frontier([partition]),
            lambda: open_partition(log, 1),
        )
        for call in calls:
            with pytest.raises(ClosedError):
                call()


class TestWaits:
    def test_wait_returns_when_something_is_appended(self, partition: _core.Partition) -> None:
        assert not partition.wait(0, 1_000)
        thread = threading.Thread(target=lambda: partition.append(rows(1), timestamps=0))
        thread.start()
        # Without a limit: also shows that the wait lets other threads of Python run.
        assert partition.wait(0, -1)
        thread.join()

    def test_wait_any(self, log: _core.Log) -> None:
        both = [open_partition(log, i) for i in (0, 1)]
        assert not log.wait_any(both, [0, 0], 1_000)
        both[1].append(rows(3), timestamps=0)
        assert log.wait_any(both, [0, 0], -1)
        assert not log.wait_any(both, [0, 3], 0)
        frontier, ends = log.frontier(both)
        assert ends == [0, 3]
        assert frontier > 0
        with pytest.raises(ValueError, match="one offset per partition"):
            log.wait_any(both, [0], 0)

    def test_signal_ends_a_wait(self, partition: _core.Partition) -> None:
        # A run in the background may have been started with SIGINT ignored.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        timer = threading.Timer(0.05, _thread.interrupt_main)
        timer.start()
        try:
            with pytest.raises(KeyboardInterrupt):
                partition.wait(0, 30_000_000)
        finally:
            signal.signal(signal.SIGINT, before)
            timer.join()


class TestTopicWriter:
    def test_rows_of_one_key_go_to_one_partition_in_order(self, log: _core.Log) -> None:
        partitions = [open_partition(log, i) for i in range(3)]
        writer = _core.TopicWriter(partitions, key_columns=[0])
        assert writer.partitions == partitions
        batch = rows(100)
        result = writer.append(batch, timestamps=0)
        assert (result.row_count, result.published_count) == (100, 100)
        assert sum(append.record_count for append in result.appends) == 100
        where, offsets = result.partitions(), result.offsets()
        for number, partition in enumerate(partitions):
            stored = [row for part in read_all(partition) for row in part.column(1).to_pylist()]
            assert stored == np.flatnonzero(where == number).tolist()
            assert offsets[where == number].tolist() == list(range(len(stored)))
        users = np.array(batch.column(0).to_pylist())
        for user in set(users):
            assert len(set(where[users == user])) == 1

    def test_explicit_partition(self, log: _core.Log) -> None:
        writer = _core.TopicWriter([open_partition(log, i) for i in range(3)], key_columns=[0])
        result = writer.append(rows(10), timestamps=0, partition=2)
        assert result.partitions().tolist() == [2] * 10
        assert result.offsets().tolist() == list(range(10))
        (append,) = result.appends
        assert (append.partition, append.record_count, append.base_offset) == (2, 10, 0)
        with pytest.raises(ConfigError):
            writer.append(rows(10), timestamps=0, partition=3)

    def test_large_batches_are_cut(self, log: _core.Log) -> None:
        partition = open_partition(log)
        writer = _core.TopicWriter([partition], max_batch_rows=30)
        writer.append(rows(100), timestamps=0)
        assert [part.record_count for part in read_all(partition)] == [30, 30, 30, 10]

    def test_record_over_the_limit_is_refused_and_nothing_is_published(
        self, log: _core.Log
    ) -> None:
        partition = open_partition(log)
        writer = _core.TopicWriter([partition], max_record_bytes=100)
        batch = _core.RecordBatch.from_numpy(
            PLAIN, {"user": np.array(["a", "b" * 200]), "n": np.arange(2)}
        )
        result = _core.TopicAppendResult()
        with pytest.raises(RecordTooLargeError) as caught:
            writer.append(batch, timestamps=0, result=result)
        assert caught.value.limit == 100
        assert result.published_count == 0
        assert partition.ends().log_end_offset == 0


class TestLifetime:
    def mapped(self, directory: Path) -> int:
        """Mapped regions of segments below a directory."""
        maps = Path("/proc/self/maps").read_text()
        return sum(str(directory) in line and ".seg" in line for line in maps.splitlines())

    def test_views_outlive_the_log_and_the_file(self, tmp_path: Path) -> None:
        log = _core.Log.open(str(tmp_path))
        partition = open_partition(log)
        partition.append(rows(1000), timestamps=0)
        (stored,) = read_all(partition)
        view = stored.read([1]).column_numpy(0)
        arrow = pa.record_batch(stored.read([1])).column(0)
        assert arrow.buffers()[1].address == view.__array_interface__["data"][0]
        log.close()
        Path(stored.path).unlink()
        del log, partition, stored
        assert view.tolist() == arrow.to_pylist() == list(range(1000))
        assert not view.flags.writeable
        assert self.mapped(tmp_path) > 0
        del view
        assert self.mapped(tmp_path) > 0
        del arrow
        assert self.mapped(tmp_path) == 0

    def test_handles_release_their_mappings(self, tmp_path: Path) -> None:
        log = _core.Log.open(str(tmp_path))
        partition = open_partition(log)
        partition.append(rows(1000), timestamps=0)
        held: list[Any] = [read_all(partition), partition.reader(0)]
        held.append([batch.read() for batch in held[0]])
        assert self.mapped(tmp_path) > 0
        held.clear()
        log.close()
        del log, partition
        assert self.mapped(tmp_path) == 0

    def test_lz4_columns_own_their_memory(self, tmp_path: Path) -> None:
        log = _core.Log.open(str(tmp_path))
        partition = open_partition(log)
        partition.append(rows(1000), timestamps=0, codec="lz4")
        column = read_all(partition)[0].column(1)
        log.close()
        del log, partition
        assert self.mapped(tmp_path) == 0
        assert column.to_pylist() == list(range(1000))
