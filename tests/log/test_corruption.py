"""Damaged records: a consumer raises and can go on behind them, or skips and counts them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pystream as ps
from pystream import config
from pystream.errors import ConfigError, CorruptRecordError
from pystream.types import SkippedRecords
from tests.log.damage import damage_body, damage_header, segment_files

ROWS = 10
BATCHES = 6
TP = ps.TopicPartition("t", 0)
Damage = Callable[..., None]


@pytest.fixture(params=["none", "lz4"])
def directory(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Six batches of ten records each, closed."""
    with ps.open(tmp_path / "data") as log:
        log.create_topic("t", {"n": "int64", "text": "string"}, compression=request.param)
        with log.producer() as producer:
            for i in range(BATCHES):
                numbers = np.arange(i * ROWS, (i + 1) * ROWS)
                texts = np.array([f"some text, number {n // 4}" for n in numbers], dtype=object)
                producer.send_batch("t", {"n": numbers, "text": texts})
    return tmp_path / "data"


def damaged(directory: Path, *damages: tuple[Damage, int]) -> ps.Log:
    """Return the log, opened after some of its batches were damaged."""
    with ps.open(directory) as log:
        for damage, batch in damages:
            damage(log, "t", batch)
    return ps.open(directory)


def consumer(log: ps.Log, **settings: Any) -> ps.Consumer:
    return log.consumer("t", auto_offset_reset="earliest", timeout="0s", **settings)


def numbers_of(reader: ps.Consumer) -> list[int]:
    return [n for batch in reader.batches() for n in batch["n"].to_pylist()]


@pytest.mark.parametrize("batch", [0, 2, BATCHES - 1])
@pytest.mark.parametrize("damage", [damage_header, damage_body])
def test_skipping_leaves_out_the_damaged_batch_and_counts_it(
    directory: Path, damage: Damage, batch: int
) -> None:
    with damaged(directory, (damage, batch)) as log, consumer(log, on_corruption="skip") as reader:
        lost = range(batch * ROWS, (batch + 1) * ROWS)
        assert numbers_of(reader) == [n for n in range(BATCHES * ROWS) if n not in lost]
        assert reader.position(TP) == BATCHES * ROWS
        (skipped,) = reader.skipped_records
        assert skipped[:4] == ("t", 0, lost.start, lost.stop)
        assert skipped.path == str(segment_files(log, "t")[0])
        assert skipped.position > 0
        assert reader.metrics()["consumer-fetch-manager-metrics"] == {
            "records-consumed-total": (BATCHES - 1) * ROWS,
            "corrupt-records-skipped-total": ROWS,
            "corrupt-ranges-skipped-total": 1,
        }


@pytest.mark.parametrize("batch", [0, 2, BATCHES - 1])
def test_damaged_header_raises_with_the_range_and_a_seek_goes_on(
    directory: Path, batch: int
) -> None:
    with damaged(directory, (damage_header, batch)) as log, consumer(log) as reader:
        seen: list[int] = []
        for _ in range(2):  # the error comes again until the position is moved
            with pytest.raises(CorruptRecordError, match="cannot be read") as caught:
                seen.extend(n for found in reader.batches() for n in found["n"].to_pylist())
            error = caught.value
            assert (error.topic, error.partition) == ("t", 0)
            assert (error.offset, error.next_offset) == (batch * ROWS, (batch + 1) * ROWS)
            assert error.path == str(segment_files(log, "t")[0])
            assert error.position is not None
            assert reader.position(TP) == batch * ROWS
        # Nothing before the damage was lost to the error.
        assert seen == list(range(batch * ROWS))
        reader.seek(TP, error.next_offset)
        assert numbers_of(reader) == list(range((batch + 1) * ROWS, BATCHES * ROWS))


def test_damaged_column_raises_when_it_is_read_and_says_the_range(directory: Path) -> None:
    with damaged(directory, (damage_body, 3)) as log, consumer(log) as reader:
        batches = list(reader.batches())
        assert len(batches) == BATCHES
        with pytest.raises(CorruptRecordError, match=r"offsets 30 to 39 .* column 'n'") as caught:
            batches[3]["n"].to_numpy()
        error = caught.value
        assert (error.topic, error.partition, error.offset, error.next_offset) == ("t", 0, 30, 40)
        assert error.path == str(segment_files(log, "t")[0])
        assert batches[3]["text"].to_pylist()[0] == "some text, number 7"


def test_poll_returns_what_came_before_the_damage(directory: Path) -> None:
    with damaged(directory, (damage_header, 2)) as log, consumer(log) as reader:
        polled = reader.poll()[TP]
        assert [record["n"] for record in polled] == list(range(2 * ROWS))
        with pytest.raises(CorruptRecordError):
            reader.poll()
        assert reader.position(TP) == 2 * ROWS


def test_records_are_skipped_too(directory: Path) -> None:
    damages = (damage_header, 1), (damage_body, 4)
    with damaged(directory, *damages) as log, consumer(log, on_corruption="skip") as reader:
        numbers = [record["n"] for record in reader]
        assert numbers == [*range(10), *range(20, 40), *range(50, 60)]
        assert [skipped[2:4] for skipped in reader.skipped_records] == [(10, 20), (40, 50)]


def test_missing_segment_is_skipped_and_named(tmp_path: Path) -> None:
    with ps.open(tmp_path) as log:
        log.create_topic("t", {"n": "int64"}, segment_bytes=1 << 20)
        with log.producer() as producer:
            for i in range(5):
                producer.send_batch("t", {"n": np.arange(60_000) + i * 60_000})
        segments = segment_files(log, "t")
    assert len(segments) == 3  # of two batches each
    segments[1].unlink()
    with ps.open(tmp_path) as log:
        with consumer(log) as reader:
            with pytest.raises(CorruptRecordError, match=f"no {segments[1].name}") as caught:
                numbers_of(reader)
            assert (caught.value.offset, caught.value.next_offset) == (120_000, 240_000)
            reader.seek(TP, 240_000)
            assert len(numbers_of(reader)) == 60_000
        with consumer(log, on_corruption="skip") as reader:
            assert len(numbers_of(reader)) == 180_000
            assert reader.skipped_records[0][:4] == ("t", 0, 120_000, 240_000)


def test_deleted_control_page_is_rebuilt_from_the_segments(directory: Path) -> None:
    with ps.open(directory) as log:
        segment_files(log, "t")[0].with_name("control").unlink()
    with ps.open(directory) as log, consumer(log) as reader:
        assert numbers_of(reader) == list(range(BATCHES * ROWS))
        with log.producer() as producer:
            producer.send("t", {"n": -1, "text": "x"})
        assert numbers_of(reader) == [-1]


def test_a_consumer_that_waits_behind_skipped_offsets_sleeps(directory: Path) -> None:
    """Without its control page a log goes on further ahead; between lie offsets of no record."""
    with ps.open(directory) as log:
        segment_files(log, "t")[0].with_name("control").unlink()
    with ps.open(directory) as log, consumer(log) as reader:
        assert len(numbers_of(reader)) == BATCHES * ROWS
        end = log.topic("t").ends()[0].end
        assert end > BATCHES * ROWS
        assert reader.position(TP) == end
        partition = log.topic("t").native_partition(0)
        assert not log.native.wait_any([partition], [reader.position(TP)], 1000)


def test_only_the_newest_places_are_kept(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "SKIPPED_RANGES_KEPT", 2)
    damages = [(damage_body, batch) for batch in (0, 2, 4)]
    with damaged(directory, *damages) as log, consumer(log, on_corruption="skip") as reader:
        numbers_of(reader)
        assert [skipped.offset for skipped in reader.skipped_records] == [20, 40]
        assert isinstance(reader.skipped_records[0], SkippedRecords)
        metrics = reader.metrics()["consumer-fetch-manager-metrics"]
        assert metrics["corrupt-records-skipped-total"] == 3 * ROWS


def test_damage_is_counted_once_although_it_was_read_ahead(directory: Path) -> None:
    with (
        damaged(directory, (damage_body, 1), (damage_body, 4)) as log,
        consumer(log, on_corruption="skip") as reader,
    ):
        for _ in reader.batches():
            reader.pause(TP)
            reader.resume(TP)
        assert [skipped.offset for skipped in reader.skipped_records] == [10, 40]
        reader.seek(TP, 0)  # read again, it is damaged again
        assert len(numbers_of(reader)) == (BATCHES - 2) * ROWS
        assert [skipped.offset for skipped in reader.skipped_records] == [10, 40, 10, 40]


def test_other_policies_are_refused(tmp_path: Path) -> None:
    with ps.open(tmp_path) as log, pytest.raises(ConfigError, match='one of "raise", "skip"'):
        log.consumer(on_corruption="ignore")


def test_pipeline_raises_or_skips_and_counts(directory: Path) -> None:
    with damaged(directory, (damage_body, 2)) as log:
        with pytest.raises(CorruptRecordError) as caught:
            ps.Environment(log, name="job").from_topic("t").to_arrow()
        assert (caught.value.offset, caught.value.next_offset) == (20, 30)
        env = ps.Environment(log, name="job")
        env.from_topic("t", on_corruption="skip").sink_to_topic("kept")
        result = env.execute(until="latest")
        source = next(o for o in result.operators if o.is_source)
        assert source.num_skipped_records == ROWS
        assert result.records_in == (BATCHES - 1) * ROWS
        with pytest.raises(ConfigError, match="on_corruption is"):
            env.from_topic("t", on_corruption="drop")  # type: ignore[arg-type]
