"""Random sequences of operations on a log and on its model (``operations.py``).

Usage: python -m tests.torture.sequences SEED [SEQUENCES]

A sequence is lived by several processes, one after another: each opens the log, does some of the
operations and compares every answer, and is killed; the last one, which is this, closes the log.
What the model says does not depend on that. Sequences that follow each other have these processes
in common, and each its own log. One that goes wrong is shortened as long as it still does.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.torture import recorder
from tests.torture.harness import Harness, Outcome, run_seeds, said_by, scratch_directory
from tests.torture.operations import Operation, Pair, draw
from tests.torture.promises import allow_small_segments

VERIFY_EVERY = 5  # lengths of a sequence
SECONDS_OF_A_PROCESS = 20.0  # making one costs as much as fifty sequences
TOGETHER = 64  # sequences, whose killed lives share processes: a fork costs as much as a sequence
KILLED = -signal.SIGKILL


def lives_of(operations: list[Operation]) -> Iterator[list[Operation]]:
    """Yield the operations of each process; all but the last one are killed behind theirs."""
    life: list[Operation] = []
    for operation in operations:
        if operation.verb == "crash":
            yield life
            life = []
        else:
            life.append(operation)
    yield life


def go_through(operations: list[Operation]) -> str | None:
    """Let the processes live; return what went wrong."""
    return next(iter(go_through_together([operations]).values()), None)


class _Going:
    """A sequence on its way: its log and model, and which of its lives comes next."""

    def __init__(self, operations: list[Operation], scratch: Path) -> None:
        self.scratch = scratch
        self.pair = Pair(scratch / "log")
        self.said = scratch / "said"
        *self.killed, self.last = lives_of(operations)
        self.is_verified = len(operations) % VERIFY_EVERY == 0
        scratch.mkdir()


def go_through_together(sequences: Sequence[list[Operation]]) -> dict[int, str]:
    """Let each sequence live on a log of its own; return what went wrong, by place.

    Processes that are killed are shared: one has the first of these lives of every sequence, in
    their order, and with all their logs open it dies; the next has the second ones. The first thing
    that goes wrong ends it.
    """
    with scratch_directory() as scratch:
        going = [_Going(its, Path(scratch) / str(at)) for at, its in enumerate(sequences)]
        for number in range(max(len(its.killed) for its in going)):
            wrong = _kill_together(dict(enumerate(going)), number)
            if wrong:
                return wrong
        for at, its in enumerate(going):
            try:
                _live_to_the_end(its.pair, its.last, is_verified=its.is_verified)
            except Exception:
                return {at: traceback.format_exc(limit=-3)}
            shutil.rmtree(its.scratch)
    return {}


def _kill_together(going: dict[int, _Going], number: int) -> dict[int, str]:
    """Let those that have a life of this number to be killed live it, in one process."""
    going = {at: its for at, its in going.items() if number < len(its.killed)}
    child = os.fork()
    if child == 0:
        _live_and_die(list(going.values()), number)
    _, status = os.waitpid(child, 0)
    ended = os.waitstatus_to_exitcode(status)
    if ended != KILLED:
        said = {at: its.said.read_text() for at, its in going.items() if its.said.exists()}
        return said or dict.fromkeys(going, f"life {number} ended with {ended}")
    for its in going.values():
        for operation in its.killed[number]:  # the same on the model alone
            its.pair.do(operation)
    return {}


def _live(pair: Pair, life: list[Operation]) -> None:
    pair.open()
    for operation in life:
        try:
            pair.do(operation)
        except AssertionError as error:
            raise AssertionError(f"{operation}: {error}") from None


def _live_and_die(going: list[_Going], number: int) -> None:
    for its in going:
        try:
            _live(its.pair, its.killed[number])
        except BaseException:
            its.said.write_text(traceback.format_exc(limit=-3))
            os._exit(1)
    os.kill(os.getpid(), signal.SIGKILL)


def _live_to_the_end(pair: Pair, life: list[Operation], *, is_verified: bool) -> None:
    try:
        _live(pair, life)
        for topic, model in pair.model.topics.items():
            for partition in range(len(model.partitions)):
                pair.do(Operation("read", topic, partition))
    finally:
        pair.close()
    if is_verified:
        pair.verify()


def shorten(
    operations: list[Operation],
    go: Callable[[list[Operation]], str | None] = go_through,
) -> list[Operation]:
    """Leave out what the failure does not need."""
    at = 0
    while at < len(operations):
        fewer = operations[:at] + operations[at + 1 :]
        if go(fewer) is not None:
            operations = fewer
        else:
            at += 1
    return operations


def warm_up() -> None:
    """Import here what each forked process would otherwise import for itself."""
    with scratch_directory() as scratch:
        pair = Pair(Path(scratch) / "log")
        pair.open()
        for verb in ("create", "append", "transact", "read", "commit", "delete"):
            pair.do(Operation(verb, count=1))
        pair.close()
        pair.verify()
    gc.collect()
    gc.freeze()


def main(seed: str, sequences: str = "1") -> int:
    allow_small_segments()
    warm_up()
    done, failure = 0, None
    repeat = [0, 0]
    with contextlib.suppress(KeyboardInterrupt):
        for first in range(int(seed), int(seed) + int(sequences), TOGETHER):
            seeds = range(first, min(first + TOGETHER, int(seed) + int(sequences)))
            wrong = go_through_together([draw(random.Random(number)) for number in seeds])
            if wrong:
                failure, repeat = _told(seeds, wrong)
                done += repeat[0] - first + 1
                break
            done += len(seeds)
    print(json.dumps({"cases": done, "failure": failure, "repeat": repeat}), flush=True)
    return 1 if failure else 0


def _told(seeds: range, wrong: dict[int, str]) -> tuple[str, list[int]]:
    """Return what to say of sequences that went wrong together, and what repeats it."""
    for number in seeds:  # also those behind: they were left out
        operations = draw(random.Random(number))
        if (alone := go_through(operations)) is None:
            continue
        short = shorten(operations)
        steps = "\n".join(f"  {operation}" for operation in short)
        return f"seed {number}:\n{steps}\n{go_through(short) or alone}", [number, 1]
    said = "\n".join(f"seed {seeds[at]}: {text}" for at, text in wrong.items())
    return f"only beside other sequences:\n{said}", [seeds[0], len(seeds)]


def run_sequences(seed: int, sequences: int) -> Outcome:
    """Go through sequences in a process of its own."""
    arguments = [seed, sequences]
    said = said_by(
        recorder.run("tests.torture.sequences", arguments, recorder.environment_without())
    )
    if "cases" not in said:
        repeat = f"python -m tests.torture.sequences {seed} {sequences}"
        return Outcome(0, seed + 1, said["failure"], repeat)
    first, count = said["repeat"]
    repeat = f"python -m tests.torture.sequences {first} {count}"
    return Outcome(said["cases"], seed + said["cases"], said["failure"], repeat)


class Runs:
    """Goes through sequences in processes that live for about `SECONDS_OF_A_PROCESS`."""

    def __init__(self) -> None:
        self._sequences = (
            50  # at first, of a process; how fast the machine is, is learnt on the way
        )

    def run(self, seed: int, seconds: float) -> Outcome:
        """Go through sequences from a seed on for about so long."""
        return run_seeds(self._run_process, seed, seconds)

    def _run_process(self, seed: int) -> Outcome:
        began = time.monotonic()
        outcome = run_sequences(seed, self._sequences)
        rate = outcome.cases / max(time.monotonic() - began, 0.001)
        self._sequences = max(10, int(rate * SECONDS_OF_A_PROCESS))
        return outcome


HARNESS = Harness("sequences against the model", "sequences", 1_000_000, Runs().run)

if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
