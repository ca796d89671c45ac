"""Run the harnesses in turn for some minutes, and say how far each is.

Usage: make torture MINUTES=10 [SEED=1] [ONLY=power] [JOBS=2]

Each harness goes on at the seed where it was left (``build/torture/progress.json``), or at SEED.
ONLY takes the harnesses whose name contains it, JOBS lets so many run side by side. Those that have
reached their aim rest until all have, those that failed until the next run. The exit status is 1
when anything failed; the command that repeats it is printed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.torture import (
    calls,
    catalog_cells,
    catalog_rows,
    fuzz,
    kills,
    members,
    models,
    native,
    power_loss,
    sequences,
    soak,
)
from tests.torture.harness import Harness, Outcome
from tests.torture.progress import Progress

# Of one harness, before the next has its turn; long enough for those that fill 1 GiB first.
TURN_SECONDS = 120.0
STATE = Path(__file__).resolve().parents[2] / "build" / "torture" / "progress.json"
HARNESSES: tuple[Harness, ...] = (
    kills.WRITERS,
    members.HARNESS,
    kills.TRANSACTIONS,
    kills.UPKEEP,
    *native.HARNESSES,
    power_loss.HARNESS,
    *calls.HARNESSES,
    sequences.HARNESS,
    *models.HARNESSES,
    soak.HARNESS,
    *fuzz.HARNESSES,
    catalog_cells.HARNESS,
    catalog_rows.HARNESS,
)


class Turns:
    """Lets harnesses run for a while each, one after another or several side by side."""

    def __init__(self, harnesses: list[Harness], progress: Progress, console: Console) -> None:
        self._harnesses = harnesses
        self._progress = progress
        self._console = console
        self._running: set[str] = set()
        self._failed: set[str] = set()  # they rest: what failed once fails again at once
        self._lock = threading.Lock()  # of all above
        self.failures = 0

    def take(self, seconds: float, deadline: float) -> None:
        """Take turns until the deadline."""
        while (left := deadline - time.monotonic()) > 0:
            with self._lock:
                harness = self._next()
                if harness is None:  # the others are all at it, or have failed
                    return
                self._running.add(harness.name)
                seed = self._progress.of(harness.name).next_seed
            started = time.monotonic()
            try:
                outcome = harness.run(seed, min(seconds, left))
            except subprocess.TimeoutExpired as error:  # the other harnesses go on
                outcome = Outcome(0, seed, str(error), " ".join(map(str, error.cmd)))
            with self._lock:
                self._running.remove(harness.name)
                self._note(harness, outcome, time.monotonic() - started)

    def _next(self) -> Harness | None:
        resting = self._running | self._failed
        free = [harness for harness in self._harnesses if harness.name not in resting]
        unfinished = [it for it in free if self._progress.of(it.name).cases < it.aim]
        # The one that had the least time comes first, so that short runs reach all of them too.
        return min(
            unfinished or free, key=lambda it: self._progress.of(it.name).seconds, default=None
        )

    def _note(self, harness: Harness, outcome: Outcome, seconds: float) -> None:
        self._progress.of(harness.name).add(outcome, seconds)
        self._progress.save()
        console = self._console
        console.print(
            f"{harness.name}: {outcome.cases} {harness.unit}", style="dim", highlight=False
        )
        if outcome.failure is not None:
            self.failures += 1
            self._failed.add(harness.name)
            console.print(f"{harness.name} failed:", style="bold red")
            console.print(outcome.failure, markup=False, highlight=False)
            console.print(f"Repeat it: {outcome.repeat}", markup=False, highlight=False)


def make_table(harnesses: list[Harness], progress: Progress) -> Table:
    table = Table("harness", title="make torture, all runs so far")
    for name in ("cases", "per second", "failures", "aim", "hours to it"):
        table.add_column(name, justify="right")
    for harness in harnesses:
        tally = progress.of(harness.name)
        hours = tally.hours_to(harness.aim)
        table.add_row(
            harness.name,
            f"{tally.cases:,} {harness.unit}",
            f"{tally.rate:,.1f}",
            str(tally.failures),
            f"{harness.aim:,}",
            "?" if hours is None else f"{hours:,.1f}",
            style="bold red" if tally.failures else None,
        )
    return table


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make torture", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, help="the first seed of each harness")
    parser.add_argument("--only", default="", help="a part of the harnesses' names")
    parser.add_argument("--jobs", type=int, default=1, help="how many run side by side")
    parser.add_argument("--state", type=Path, default=STATE)
    wanted = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 120)
    chosen = [harness for harness in HARNESSES if wanted.only in harness.name]
    if not chosen:
        names = ", ".join(harness.name for harness in HARNESSES)
        parser.error(f"no harness has {wanted.only!r} in its name; there are {names}")
    progress = Progress(wanted.state)
    if wanted.seed is not None:
        for harness in chosen:
            progress.of(harness.name).next_seed = wanted.seed
    deadline = time.monotonic() + 60 * wanted.minutes
    turn = min(TURN_SECONDS, 60 * wanted.minutes * wanted.jobs / len(chosen))
    turns = Turns(chosen, progress, console)
    with ThreadPoolExecutor(wanted.jobs) as pool:
        for job in [pool.submit(turns.take, turn, deadline) for _ in range(wanted.jobs)]:
            job.result()
    console.print(make_table(chosen, progress))
    return 1 if turns.failures else 0


if __name__ == "__main__":
    sys.exit(main())
