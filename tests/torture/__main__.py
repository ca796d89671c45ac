"""Run the harnesses in turn for some minutes, and say how far each is.

Usage: make torture MINUTES=10 [SEED=1] [ONLY=power]

Each harness goes on at the seed where it was left (``build/torture/progress.json``), or at SEED.
ONLY takes the harnesses whose name contains it. The exit status is 1 when anything failed; the
command that repeats it is printed.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.torture import calls, native, power_loss, sequences, soak
from tests.torture.harness import Harness
from tests.torture.progress import Progress, Tally

TURN_SECONDS = 20.0  # of one harness, before the next has its turn
STATE = Path(__file__).resolve().parents[2] / "build" / "torture" / "progress.json"
HARNESSES: tuple[Harness, ...] = (
    *native.HARNESSES,
    power_loss.HARNESS,
    *calls.HARNESSES,
    sequences.HARNESS,
    soak.HARNESS,
)


def take_turn(harness: Harness, tally: Tally, seconds: float, console: Console) -> None:
    """Let a harness run for a while, and add what came of it."""
    started = time.monotonic()
    outcome = harness.run(tally.next_seed, seconds)
    tally.add(outcome, time.monotonic() - started)
    console.print(f"{harness.name}: {outcome.cases} {harness.unit}", style="dim", highlight=False)
    if outcome.failure is not None:
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
    failures = 0
    turn = min(TURN_SECONDS, 60 * wanted.minutes / len(chosen))
    while time.monotonic() < deadline:
        # Those that had the least time come first, so that short runs reach all of them too.
        for harness in sorted(chosen, key=lambda harness: progress.of(harness.name).seconds):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            tally = progress.of(harness.name)
            before = tally.failures
            take_turn(harness, tally, min(turn, left), console)
            failures += tally.failures - before
            progress.save()
    console.print(make_table(chosen, progress))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
