"""A job as a table that moves: one line per operator, drawn anew four times a second."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from pystream.engines.local import Job, JobMetrics, OperatorMetrics, OperatorRates

__all__ = ["LiveView", "job_table", "summary_line"]

_REFRESHES = 4  # a second
_WINDOW = 5  # readings that a rate looks back: about a second, so that numbers do not flicker
_LINE_SECONDS = 5.0  # between lines where there is no terminal
_BAR_CELLS = 10
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BUSY = 0.9  # a share from which on an operator limits the job
_COLUMNS = ("operator", "in/s", "out/s", "late", "pending", "watermark", "lag", "busy", "state")
_LEAST_NAME = 8  # cells of an operator's name, however much the numbers need
# Widths from which on there is room for seconds and bars, and for every digit.
_BARS_FROM = 104
_DIGITS_FROM = 130


class LiveView:
    """Shows jobs while they run: a table in a terminal, else a line now and then.

    Parameters
    ----------
    console : Console
        Where to; standard error, so that the program's own output stays clean.
    seconds : float
        Between lines, where the console is no terminal.
    """

    def __init__(self, console: Console, seconds: float = _LINE_SECONDS) -> None:
        self._console = console
        self._seconds = seconds
        self._lock = threading.Lock()
        self._pictures: tuple[_Picture, ...] = ()
        self._live: Live | None = None  # while there are pictures: a terminal has room for one

    @contextlib.contextmanager
    def watch(self, job: Job) -> Iterator[None]:
        """Show `job` during the block, and what it did at the end of it."""
        showing = self._table(job) if self._console.is_terminal else self._lines(job)
        with showing:
            yield

    @contextlib.contextmanager
    def _table(self, job: Job) -> Iterator[None]:
        """Show a table below those of other jobs; one that ends before them moves above."""
        picture = _Picture(job)
        with self._lock:
            self._pictures = (*self._pictures, picture)
            if self._live is None:
                self._live = Live(
                    get_renderable=self._draw,
                    console=self._console,
                    refresh_per_second=_REFRESHES,
                    redirect_stdout=False,
                )
                self._live.start()
        try:
            yield
        finally:
            with self._lock:
                picture.is_last = True
                if self._pictures == (picture,) and self._live is not None:
                    self._live.stop()
                    self._live, self._pictures = None, ()
                else:
                    self._pictures = tuple(p for p in self._pictures if p is not picture)
                    self._console.print(picture.draw(self._console.width))

    def _draw(self) -> RenderableType:  # takes no lock of ours: the display holds its own
        return Group(*(picture.draw(self._console.width) for picture in self._pictures))

    @contextlib.contextmanager
    def _lines(self, job: Job) -> Iterator[None]:
        has_ended = threading.Event()

        def show() -> None:
            earlier = None
            while not has_ended.wait(self._seconds):
                now = job.metrics()
                self._print(summary_line(now, earlier))
                earlier = now

        thread = threading.Thread(target=show, name="pystream-live", daemon=True)
        thread.start()
        try:
            yield
        finally:
            has_ended.set()
            thread.join()
            self._print(summary_line(job.metrics(), None))

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


class _Picture:
    """The table of one job, and the readings that its rates look back to."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._readings: deque[JobMetrics] = deque(maxlen=_WINDOW)
        self.is_last = False  # the last picture shows the whole run

    def draw(self, width: int) -> Table:
        now = self._job.metrics()
        earlier = self._readings[0] if self._readings and not self.is_last else None
        self._readings.append(now)
        return job_table(now, earlier, width)


def summary_line(now: JobMetrics, earlier: JobMetrics | None) -> str:
    """Return one line about a job, with rates since an earlier reading or the start."""
    pairs = zip(now.operators, now.since(earlier), strict=True)
    rate = sum(rates.num_records_in_per_second for o, rates in pairs if o.is_source)
    pending = [o.pending_records for o in now.operators if o.pending_records is not None]
    parts = [
        f"{now.job}: {_duration(now.seconds)}",
        f"{now.records_in:,} records in, {rate:,.0f}/s",
        f"{now.late_records:,} late",
    ]
    if pending:
        parts.append(f"{sum(pending):,} pending")
    marks = [o for o in now.operators if o.current_watermark is not None]
    if marks:
        full = _Form(has_bars=True, has_digits=True)
        parts.append(f"watermark {_moment(marks[-1], full)}")
    return " · ".join(parts)


def job_table(now: JobMetrics, earlier: JobMetrics | None, width: int) -> Table:
    """Return the picture of a job, with rates since an earlier reading or the start."""
    form = _Form(has_bars=width >= _BARS_FROM, has_digits=width >= _DIGITS_FROM)
    gap = 2 if form.has_bars else 1
    table = Table(
        title=_title(now),
        title_justify="left",
        title_style="",
        box=None,
        pad_edge=False,
        padding=(0, gap, 0, 0),
        header_style="dim",
    )
    pairs = zip(now.operators, now.since(earlier), strict=True)
    rows = [_cells(operator, rates, form) for operator, rates in pairs]
    numbers = [max([len(name), *(len(row[name]) for row in rows)]) for name in _COLUMNS[1:]]
    name_cells = max(width - sum(numbers) - gap * len(numbers), _LEAST_NAME)
    left = ("operator", "watermark", "busy" if form.has_bars else "")
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name in left else "right", no_wrap=True)
    for operator, cells in zip(now.operators, rows, strict=True):
        cells["operator"] = Text(_shortened(operator.name, name_cells))
        table.add_row(*(cells[name] for name in _COLUMNS))
    return table


def _title(now: JobMetrics) -> Text:
    title = Text()
    title.append(now.job, style="bold")
    title.append(f"  {_duration(now.seconds)} · {now.records_in:,} records", style="dim")
    if now.late_records:
        title.append(f" · {now.late_records:,} late", style="yellow")
    return title


@dataclass(frozen=True)
class _Form:
    """How much room there is: every column is shown in each of them."""

    has_bars: bool  # and seconds
    has_digits: bool  # all of them; else 1.23M

    def count(self, number: int) -> str:
        return f"{number:,}" if self.has_digits else _short(number)

    def unit(self, text: str) -> str:
        """Return a number and its unit, apart where there is room."""
        return text if self.has_bars else text.replace(" ", "")


def _cells(operator: OperatorMetrics, rates: OperatorRates, form: _Form) -> dict[str, Text]:
    late, pending = operator.num_late_records, operator.pending_records
    return {
        "in/s": _rate(rates.num_records_in_per_second, form),
        "out/s": _rate(rates.num_records_out_per_second, form),
        "late": Text(form.count(late), style="yellow") if late else Text("·", style="dim"),
        "pending": Text("·", style="dim") if pending is None else Text(form.count(pending)),
        "watermark": Text(_moment(operator, form), style="dim"),
        "lag": Text(form.unit(_lag(operator.watermark_lag)), style="dim"),
        "busy": _bar(rates.busy_share) if form.has_bars else _share(rates.busy_share),
        "state": _bytes(operator.state_bytes, form),
    }


def _shortened(name: str, cells: int) -> str:
    """Return an operator's name with its number, which tells it from others."""
    if len(name) <= cells:
        return name
    kind, dash, number = name.rpartition("-")
    return f"{kind[: cells - len(dash + number) - 1]}…{dash}{number}"


def _short(number: float) -> str:
    """Return a number in five characters: three digits of it where it has more than four."""
    if number < 10_000:
        return f"{number:,.0f}"
    for unit in "kMGTPE":
        number /= 1000
        for digits, limit in ((2, 9.995), (1, 99.95), (0, 999.5)):
            if number < limit:
                return f"{number:.{digits}f}{unit}"
    raise AssertionError(f"{number} is no count of 64 bits")


def _rate(per_second: float, form: _Form) -> Text:
    if per_second == 0:
        return Text("·", style="dim")
    if per_second < 10:
        return Text(f"{per_second:.1f}")
    return Text(form.count(round(per_second)))


def _share(share: float) -> Text:
    return Text(f"{share:.0%}", style="yellow" if share >= _BUSY else "green")


def _bar(share: float) -> Text:
    eighths = round(share * _BAR_CELLS * 8)
    full, rest = divmod(eighths, 8)
    bar = "█" * full + (_EIGHTHS[rest] if rest else "")
    style = "yellow" if share >= _BUSY else "green"
    text = Text()
    text.append(bar, style=style)
    text.append("─" * (_BAR_CELLS - len(bar)), style="bright_black")
    return text.append(f" {share:4.0%}", style="dim")


def _bytes(count: int, form: _Form) -> Text:
    if count == 0:
        return Text("·", style="dim")
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    text = f"{size:.0f} {unit}" if size >= 10 or unit == "B" else f"{size:.1f} {unit}"
    return Text(form.unit(text) if form.has_bars else form.unit(text).replace("iB", "i"))


def _moment(operator: OperatorMetrics, form: _Form) -> str:
    """Return the watermark as a time in UTC; ticks where no calendar reaches."""
    if operator.current_watermark is None or operator.tick_ns is None:
        return "·"
    try:
        moment = _EPOCH + timedelta(
            microseconds=operator.current_watermark * operator.tick_ns // 1000
        )
    except OverflowError:
        ticks = operator.current_watermark
        return f"{ticks:,} ticks" if form.has_digits else f"{ticks:.2g} ticks"
    return moment.strftime("%Y-%m-%d %H:%M:%S" if form.has_bars else "%Y-%m-%d %H:%M")


def _lag(seconds: float | None) -> str:
    if seconds is None:
        return "·"
    return _duration(seconds) if seconds >= 0 else f"-{_duration(-seconds)}"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    for limit, size, unit in ((100 * 60, 60, "min"), (100 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    days = seconds / 86_400
    return f"{days:,.0f} d" if days < 1000 else f"{days / 365.2425:,.0f} y"
