"""What the live view shows of a reading: numbers, units, and nothing where there is nothing."""

from __future__ import annotations

import io
import re
import threading
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from pystream.cli.live import LiveView, job_table, summary_line
from pystream.engines.local import JobMetrics, OperatorMetrics

SOURCE = OperatorMetrics(
    name="from_topic-1",
    kind="topic source",
    num_records_in=1_000_000,
    num_records_out=1_000_000,
    num_batches_in=100,
    num_late_records=0,
    num_accepted_late_records=0,
    num_skipped_records=0,
    watermark_alignment_drift=None,
    num_alignment_pauses=0,
    num_ahead_records=0,
    pending_records=1_234,
    current_watermark=1_700_000_000_000,
    tick_ns=1_000_000,
    watermark_lag=5.25,
    busy_time=0.5,
    parallelism=1,
    state_bytes=0,
)
WINDOW = replace(
    SOURCE,
    name="window-2",
    kind="window",
    num_records_out=50,
    num_late_records=36,
    pending_records=None,
    busy_time=1.9,
    state_bytes=3_200_000,
)
READING = JobMetrics("totals", 2.0, [SOURCE, WINDOW])


def drawn(reading: JobMetrics, earlier: JobMetrics | None = None, width: int = 130) -> list[str]:
    text = io.StringIO()
    Console(file=text, width=width).print(job_table(reading, earlier, width))
    return [re.sub(r" {2,}", "  ", line.rstrip()) for line in text.getvalue().splitlines()]


def test_table_shows_each_operator_since_the_start() -> None:
    assert drawn(READING) == [
        "totals  2.0 s · 1,000,000 records · 36 late",
        "operator  in/s  out/s  late  pending  watermark  lag  busy  state",
        "from_topic-1  500,000  500,000  ·  1,234  2023-11-14 22:13:20  5.2 s  ██▌───────  25%  ·",
        "window-2  500,000  25  36  ·  2023-11-14 22:13:20  5.2 s  █████████▌  95%  3.1 MiB",
    ]


def test_rates_are_those_since_the_reading_before() -> None:
    later = replace(READING, seconds=4.0, operators=[SOURCE, replace(WINDOW, num_records_out=53)])
    assert drawn(later, READING)[2].startswith("from_topic-1  ·  ·  ·  1,234")
    assert drawn(later, READING)[3].startswith("window-2  ·  1.5  36")


@pytest.mark.parametrize("width", [80, 90, 100, 120, 200])
def test_every_line_fits_the_terminal_with_nothing_cut(width: int) -> None:
    big = replace(SOURCE, name="sink_to_topic-12", pending_records=1_234_567_890, watermark_lag=1e8)
    lines = drawn(replace(READING, operators=[big, WINDOW]), width=width)
    assert len(lines) == 4
    assert all(len(line) <= width for line in lines)
    if width >= 90:
        assert "…" not in "".join(lines)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"current_watermark": None, "watermark_lag": None}, "1,234  ·  ·  ██▌"),
        ({"current_watermark": 2**62}, "4,611,686,018,427,387,904 ticks"),
        ({"watermark_lag": -90.0}, "-90.0 s"),
        ({"watermark_lag": 7_200.0}, "2 h"),
        ({"watermark_lag": 4e8}, "13 y"),
        ({"state_bytes": 900}, "900 B"),
        ({"busy_time": 0.0}, "──────────  0%"),
        ({"busy_time": 2.0}, "██████████ 100%"),
    ],
)
def test_what_is_odd_is_readable(change: dict[str, Any], expected: str) -> None:
    line = drawn(replace(READING, operators=[replace(SOURCE, **change)]), width=160)[2]
    assert expected in line


def test_line_of_a_job_says_the_same_in_words() -> None:
    assert summary_line(READING, None) == (
        "totals: 2.0 s · 1,000,000 records in, 500,000/s · 36 late · 1,234 pending · "
        "watermark 2023-11-14 22:13:20"
    )


class Standing:
    """A job whose reading is always the same."""

    def __init__(self) -> None:
        self.was_read = threading.Event()
        self.readings = 0

    def metrics(self) -> JobMetrics:
        self.readings += 1
        if self.readings > 1:
            self.was_read.set()
        return READING


def test_without_a_terminal_there_is_a_plain_line_now_and_then() -> None:
    text = io.StringIO()
    job = Standing()
    with LiveView(Console(file=text, width=40), seconds=0.01).watch(job):  # type: ignore[arg-type]
        assert job.was_read.wait(60)
    lines = text.getvalue().splitlines()
    assert len(lines) >= 2
    assert lines[-1] == summary_line(READING, None)
    assert "\x1b" not in text.getvalue()


def test_in_a_terminal_the_last_picture_is_of_the_whole_run() -> None:
    text = io.StringIO()
    console = Console(file=text, width=130, force_terminal=True, color_system=None)
    job = Standing()
    with LiveView(console).watch(job):  # type: ignore[arg-type]
        assert job.was_read.wait(60)
    last = text.getvalue().rpartition("totals")[2]
    assert "500,000" in last
    assert text.getvalue().count("\x1b[?25l") == text.getvalue().count("\x1b[?25h") == 1


def test_jobs_beside_each_other_share_the_terminal_and_keep_their_last_pictures() -> None:
    text = io.StringIO()
    console = Console(file=text, width=130, force_terminal=True, color_system=None)
    first, second = Standing(), Standing()
    view = LiveView(console)
    other = view.watch(second)  # type: ignore[arg-type]
    with view.watch(first):  # type: ignore[arg-type]
        other.__enter__()
        assert first.was_read.wait(60)
        assert second.was_read.wait(60)
    so_far = len(text.getvalue())
    ending = threading.Thread(target=other.__exit__, args=(None, None, None))
    ending.start()
    ending.join(60)
    assert not ending.is_alive()
    assert text.getvalue()[:so_far].count("500,000") >= 2
    assert "500,000" in text.getvalue()[so_far:].rpartition("totals")[2]
    assert text.getvalue().count("\x1b[?25l") == text.getvalue().count("\x1b[?25h") == 1
