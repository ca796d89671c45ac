"""What the live view shows of a reading: numbers, units, and nothing where there is nothing."""

from __future__ import annotations

import io
import re
import threading
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from pystream.cli.live import LiveView, _short, job_table, summary_line
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


def printed(reading: JobMetrics, width: int) -> list[str]:
    text = io.StringIO()
    Console(file=text, width=width).print(job_table(reading, None, width))
    return text.getvalue().splitlines()


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


HEADER = ["operator", "in/s", "out/s", "late", "pending", "watermark", "lag", "busy", "state"]
LARGE = replace(
    SOURCE,
    name="sink_to_parquet-12",
    num_records_in=24_691_356,
    num_records_out=199_999_999,
    num_late_records=123_456_789,
    pending_records=1_234_567_890,
    watermark_lag=-5999.0,
    busy_time=2.0,
    state_bytes=1_047_000_000,
)


@pytest.mark.parametrize(
    ("width", "large", "window"),
    [
        (
            80,
            "sink_to_parquet-12 12.3M  100M 123M   1.23G 2023-11-14 22:13 -100min 100% 998Mi",
            "window-2            500k    25   36       · 2023-11-14 22:13    5.2s  95% 3.1Mi",
        ),
        (
            120,
            "sink_to_parquet-12  12.3M   100M  123M    1.23G  2023-11-14 22:13:20  -100 min  "
            "██████████ 100%  998 MiB",
            "window-2             500k     25    36        ·  2023-11-14 22:13:20     5.2 s  "
            "█████████▌  95%  3.1 MiB",
        ),
    ],
)
def test_every_column_is_there_at_80_and_at_120(width: int, large: str, window: str) -> None:
    lines = printed(replace(READING, operators=[LARGE, WINDOW]), width)
    assert lines[1].split() == HEADER
    assert [line.rstrip() for line in lines[2:]] == [large, window]


@pytest.mark.parametrize("width", [80, 90, 103, 104, 120, 129, 130, 200])
def test_no_line_is_cut_at_any_width_from_80_on(width: int) -> None:
    lines = printed(replace(READING, operators=[LARGE, SOURCE, WINDOW]), width)
    assert len(lines) == 5
    assert all(len(line) <= width for line in lines)
    assert "…" not in "".join(lines)
    assert lines[1].split() == HEADER


def test_of_a_long_name_the_number_is_kept() -> None:
    named = replace(LARGE, name="window-123-operands-of-a-job-1234")
    line = printed(replace(READING, operators=[named, WINDOW]), 80)[2]
    assert line.startswith("window-123-op…-1234 12.3M")
    assert len(line.rstrip()) == 80


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, "0"),
        (999, "999"),
        (9_999, "9,999"),
        (10_000, "10.0k"),
        (99_949, "99.9k"),
        (99_950, "100k"),
        (999_499, "999k"),
        (999_500, "1.00M"),
        (1_234_567, "1.23M"),
        (9_994_999, "9.99M"),
        (9_995_000, "10.0M"),
        (2**63 - 1, "9.22E"),
    ],
)
def test_a_large_number_takes_five_cells(number: int, expected: str) -> None:
    late = replace(WINDOW, num_late_records=number + 1_000, name="w")
    assert _short(number) == expected
    assert len(_short(late.num_late_records)) <= 5


def test_a_job_without_operators_has_a_header() -> None:
    assert printed(replace(READING, operators=[]), 80)[1].split() == HEADER


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
