"""The program that has readers follow a topic while it is compacted, on a small scale."""

from __future__ import annotations

import json
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

import pystream as ps
from bench import compaction

MIB = 1 << 20
SIZE, KEYS = 32 * MIB, 10_000


def test_readers_that_follow_read_nothing_wrong_and_the_last_of_every_key(tmp_path: Path) -> None:
    directory = str(tmp_path / "log")
    said = compaction.run(directory, SIZE, KEYS, segment=2 * MIB, readers=2)
    assert [its.get("error") for its in said] == [None] * 4
    roles = {its["who"]: its for its in said}
    assert roles["writer"]["bytes"] == SIZE
    assert roles["compactor"]["segments"] >= 15
    records = SIZE // compaction.ROW_BYTES
    # What is left behind the last compaction: one record a key, and the active segment.
    with ps.open(directory, read_only=True) as log:
        (ends,) = log.topic(compaction.TOPIC).ends()
        with log.consumer(compaction.TOPIC, auto_offset_reset="earliest") as consumer:
            left = sum(len(batch) for batch in consumer.batches(timeout="0s"))
    assert ends.end == records
    assert left == records - roles["compactor"]["removed_records"]
    assert left <= KEYS + 2 * MIB // compaction.ROW_BYTES + compaction.ROWS
    for number in range(2):
        assert left * compaction.ROW_BYTES <= roles[f"reader {number}"]["bytes"] <= SIZE


def test_a_wrong_record_and_a_lost_key_are_noticed(tmp_path: Path) -> None:
    directory = str(tmp_path / "log")
    is_over = get_context("spawn").Event()
    is_over.set()
    schema = {"key": "int64"} | {f"n{i}": "int64" for i in range(compaction.COLUMNS)}
    size = compaction.ROWS * compaction.ROW_BYTES
    columns = {"key": compaction.keys_of(0, KEYS)}
    columns |= {f"n{i}": np.arange(compaction.ROWS) for i in range(compaction.COLUMNS)}
    with ps.open(directory) as log, log.producer() as producer:
        log.create_topic(compaction.TOPIC, schema)
        producer.send_batch(compaction.TOPIC, columns)
    assert compaction.follow(directory, 0, KEYS, size, is_over)["bytes"] == size
    with pytest.raises(AssertionError, match="last records of some keys"):
        compaction.follow(directory, 0, KEYS, 2 * size, is_over)
    with ps.open(directory) as log, log.producer() as producer:
        producer.send_batch(compaction.TOPIC, columns)  # which hold the offsets of those before
    with pytest.raises(AssertionError, match="is wrong"):
        compaction.follow(directory, 0, KEYS, 2 * size, is_over)


def test_the_program_prints_a_line_of_json_for_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = f"--size 2MiB --keys 1000 --segment 1MiB --readers 1 --directory {tmp_path}"
    assert compaction.main(options.split()) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["who"] for line in lines] == ["compactor", "reader 0", "writer"]
    assert lines[2]["bytes"] == 2 * MIB
