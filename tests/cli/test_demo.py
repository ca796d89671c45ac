"""The demo's job: its windows, late flights and sums equal the per-record model, row for row."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import pystream as ps
from pystream.cli import demo
from pystream.cli.flights import FLIGHTS_SCHEMA, read_flights
from tests.oracle import windows as oracle

HOUR = 3_600
AGGREGATES = [("count_all", None), ("mean", 0), ("max", 0)]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "log"


@pytest.fixture(scope="module")
def printed(directory: Path) -> str:
    return run(directory)


@pytest.fixture(scope="module")
def log(directory: Path, printed: str) -> Iterator[ps.Log]:
    with ps.open(directory) as opened:
        yield opened


@pytest.fixture(scope="module")
def arrivals(log: ps.Log) -> list[oracle.Record]:
    return records(log)


def run(directory: Path, threads: int = 1) -> str:
    text = io.StringIO()
    demo.run_demo(directory, threads, Console(file=text, width=160))
    return text.getvalue()


def records(log: ps.Log) -> list[oracle.Record]:
    """Return the topic's flights as the model takes them, in append order."""
    found = []
    with log.consumer("flights", auto_offset_reset="earliest") as consumer:
        for batch in consumer.batches(timeout="0s"):  # one consumer, no writer: append order
            columns = (
                batch["scheduled"].to_numpy().astype("int64").tolist(),
                batch["origin"].to_pylist(),
                batch["carrier"].to_pylist(),
                batch["delay"].to_pylist(),
            )
            for scheduled, origin, carrier, delay in zip(*columns, strict=True):
                found.append(
                    oracle.Record(
                        scheduled,
                        (origin, carrier),
                        (delay,),
                        batch.partition,
                        is_filtered=delay is None,
                    )
                )
    return found


def results(log: ps.Log, topic: str) -> list[tuple[Any, ...]]:
    rows = []
    with log.consumer(topic, auto_offset_reset="earliest") as consumer:
        for batch in consumer.batches(timeout="0s"):
            rows += zip(
                batch["origin"].to_pylist(),
                batch["carrier"].to_pylist(),
                batch["window_start"].to_numpy().astype("int64").tolist(),
                batch["window_end"].to_numpy().astype("int64").tolist(),
                batch["flights"].to_pylist(),
                np.round(batch["mean_delay"].to_numpy(), 9).tolist(),
                batch["max_delay"].to_pylist(),
                strict=True,
            )
    return sorted(rows)


def expected(arrivals: list[oracle.Record], size: int, slide: int) -> tuple[Any, list[int]]:
    result = oracle.run(
        arrivals, size=size, slide=slide, out_of_orderness=HOUR, partitions=range(2)
    )
    rows = oracle.rows(result, arrivals, AGGREGATES)
    return sorted((*row[:5], round(row[5], 9), row[6]) for row in rows), result.late


def test_flights_are_published_once_each_in_order_of_departure(
    log: ps.Log, arrivals: list[oracle.Record]
) -> None:
    assert len(arrivals) == 336_776
    assert sum(record.is_filtered for record in arrivals) == 8_255
    assert log.topic("flights").schema.names == list(FLIGHTS_SCHEMA)
    flights = read_flights()
    published = sorted(zip(flights["carrier"].tolist(), flights["flight"].tolist(), strict=True))
    with log.consumer("flights", auto_offset_reset="earliest") as consumer:
        stored = [
            pair
            for batch in consumer.batches(timeout="0s")
            for pair in zip(batch["carrier"].to_pylist(), batch["flight"].to_pylist(), strict=True)
        ]
    assert sorted(stored) == published


def test_hourly_windows_and_late_flights_equal_the_model(
    log: ps.Log, arrivals: list[oracle.Record]
) -> None:
    rows, late = expected(arrivals, HOUR, HOUR)
    assert results(log, "delays-hourly") == rows
    late_rows = []
    with log.consumer("late-flights", auto_offset_reset="earliest") as consumer:
        for batch in consumer.batches(timeout="0s"):
            late_rows += zip(
                batch["scheduled"].to_numpy().astype("int64").tolist(),
                batch["origin"].to_pylist(),
                batch["carrier"].to_pylist(),
                batch["delay"].to_pylist(),
                strict=True,
            )
    wanted = [(arrivals[i].timestamp, *arrivals[i].key, *arrivals[i].values) for i in late]
    assert sorted(late_rows) == sorted(wanted)
    assert 0.03 < len(late) / len(arrivals) < 0.07


def test_daily_windows_equal_the_model(log: ps.Log, arrivals: list[oracle.Record]) -> None:
    rows, _ = expected(arrivals, 24 * HOUR, HOUR)
    assert results(log, "delays-daily") == rows


def test_output_tells_the_numbers(printed: str, log: ps.Log) -> None:
    late = sum(end for _, end in log.topic("late-flights").ends())
    assert f"{late:,} late flights" in printed
    assert "events per second" in printed
    assert "Worst 24 hours" in printed


def test_second_run_says_what_is_there_and_repeats_nothing(directory: Path, log: ps.Log) -> None:
    before = {name: log.topic(name).ends() for name in log.topics()}
    again = run(directory)
    assert "already holds 336,776 flights" in again
    assert "not again" in again
    assert {name: log.topic(name).ends() for name in log.topics()} == before


def test_two_threads_give_the_same_rows(tmp_path: Path, log: ps.Log) -> None:
    run(tmp_path / "log", threads=2)
    with ps.open(tmp_path / "log") as other:
        for topic in ("delays-hourly", "delays-daily"):
            assert results(other, topic) == results(log, topic)


def test_the_command_that_it_ends_with_shows_records(printed: str) -> None:
    command = printed.splitlines()[-1]
    ran = subprocess.run(command, shell=True, check=True, capture_output=True, text=True)
    shown = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(shown) == 5
    assert {"origin", "carrier", "window_start", "mean_delay"} <= shown[0].keys()
