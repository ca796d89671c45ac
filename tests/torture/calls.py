"""Let each call that a program makes on a log's files be its last, or fail.

Usage: python -m tests.torture.calls SEED KIND [RUNS] [FIRST]

KIND is ``kill`` or the name of an errno. A workload runs again and again, in a process forked from
one that has all loaded: the first time its first call on a file below the log's directory is hit,
then the second, until it ends without reaching the call; SQLite's calls are among them. An errno is
returned by one call, or by forty. After each run the log is opened, in the same boot after a kill,
and compared with what the workload was promised.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import random
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.torture import recorder
from tests.torture.harness import Harness, Outcome, said_by, scratch_directory
from tests.torture.keeping import check
from tests.torture.promises import Promises, allow_small_segments
from tests.torture.sequences import warm_up
from tests.torture.workload import Workload, into_file

STEPS = 20
LONG = 40  # calls
VERIFY_EVERY = 4  # runs
HAS_ENDED = 0
IS_WRONG = 1


def in_child(action: Callable[[], None], errors: Path) -> int:
    """Run in a forked process; return its exit status, or minus the signal."""
    child = os.fork()
    if child == 0:
        status = HAS_ENDED
        try:
            action()
        except BaseException:
            errors.write_text(traceback.format_exc(limit=-4))
            status = IS_WRONG
        os._exit(status)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


class Runs:
    """Runs of one workload, each hit at another call."""

    def __init__(self, seed: int, kind: str, scratch: Path) -> None:
        self._seed = seed
        self._error = 0 if kind == "kill" else getattr(errno, kind)
        self._scratch = scratch
        self._boot = Path(os.environ["TORTURE_BOOT"])
        self._boots = 0
        self._next_boot()

    def _next_boot(self) -> None:
        self._boots += 1
        recorder.write_boot_id(self._boot, self._boots)

    def run(self, number: int) -> tuple[bool, str | None]:
        """Hit the call of that number; say whether it was reached, and what is wrong then."""
        root = Path(os.environ["TORTURE_ROOT"])
        notes, reached, errors = (self._scratch / name for name in ("notes", "reached", "errors"))
        for path in (notes, reached, errors):
            path.unlink(missing_ok=True)
        notes.touch()
        # Every other time a disk that fails goes on failing for a while.
        length = LONG if random.Random(self._seed * 100_003 + number).random() < 0.5 else 1
        recording = ctypes.CDLL(None)
        recording.torture_calls.restype = ctypes.c_int64

        def live() -> None:
            recording.torture_arm(
                ctypes.c_int64(number), ctypes.c_int64(number + length - 1), self._error
            )
            try:
                Workload(root / "log", self._seed, into_file(notes)).run(STEPS)
            finally:
                reached.write_text(str(recording.torture_calls()))

        def look() -> None:
            promises = Promises()
            for line in notes.read_text().splitlines():
                promises.note(line)
            if self._error != 0:  # a partition whose sync failed takes appends after a restart
                self._next_boot()
            check(
                promises,
                root / "log",
                self._next_boot,
                is_power_lost=promises.is_sync_failed,
                is_verified=number % VERIFY_EVERY == 0,
                has_failed_calls=self._error != 0,
            )

        status = in_child(live, errors)
        calls = int(reached.read_text()) if reached.exists() else number
        wrong = None
        if status == IS_WRONG or (status != HAS_ENDED and self._error != 0):
            wrong = f"the workload ended with {status}: {self._said(errors)}"
        else:
            # Here, where everything is loaded and touched: another fork would cost as much.
            print(f"looking behind call {number}", file=sys.stderr, flush=True)
            try:
                look()
            except Exception:
                wrong = traceback.format_exc(limit=-4)
        self._next_boot()
        shutil.rmtree(root / "log", ignore_errors=True)
        return calls >= number, wrong

    @staticmethod
    def _said(errors: Path) -> str:
        return errors.read_text() if errors.exists() else "it was killed"


def main(seed: str, kind: str, runs: str = "1000000", first: str = "1") -> int:
    if "TORTURE_ROOT" not in os.environ:
        outcome = run_calls(int(seed), kind, int(runs), int(first))
        print(outcome)
        return 1 if outcome.failure else 0
    allow_small_segments()
    done, number, wrong = 0, int(first), None
    with scratch_directory() as scratch:
        its = Runs(int(seed), kind, Path(scratch))
        warm_up()
        while done < int(runs) and wrong is None:
            is_reached, wrong = its.run(number)
            done += 1
            if wrong is not None:
                wrong = f"seed {seed}, {kind} at call {number}: {wrong}"
            number = number + 1 if is_reached else -1
            if not is_reached:
                break
    print(json.dumps({"cases": done, "next": number, "failure": wrong}), flush=True)
    return 1 if wrong else 0


def run_calls(seed: int, kind: str, runs: int, first: int) -> Outcome:
    """Hit the calls from `first` on; the outcome's seed is the next call, -1 behind the last."""
    with scratch_directory() as scratch:
        root = Path(scratch) / "root"
        root.mkdir()
        env = recorder.environment(root, boot=Path(scratch) / "boot")
        env["OPENBLAS_NUM_THREADS"] = "1"  # a process that forks has no other threads
        ended = recorder.run("tests.torture.calls", [seed, kind, runs, first], env)
    said = said_by(ended)
    failed_at = said["next"] - 1 if "next" in said else first
    repeat = f"python -m tests.torture.calls {seed} {kind} 1 {failed_at}"
    return Outcome(said.get("cases", 0), said.get("next", -1), said["failure"], repeat)


def run(kind: str, seed: int, seconds: float) -> Outcome:
    """Go through the calls of one workload after another; a turn ends anywhere in between."""
    deadline = time.monotonic() + seconds
    cases, first = 0, 1
    while True:
        outcome = run_calls(seed, kind, 200, first)
        cases += outcome.cases
        if outcome.failure:
            return Outcome(cases, seed + 1, outcome.failure, outcome.repeat)
        first = outcome.next_seed
        if first < 0:
            seed, first = seed + 1, 1
        if time.monotonic() >= deadline and first == 1:
            return Outcome(cases, seed)


HARNESSES = (
    Harness("kill -9, whole log", "kills", 20_000, partial(run, "kill")),
    Harness("failing calls, EIO, whole log", "programs", 10_000, partial(run, "EIO")),
    Harness("failing calls, ENOSPC, whole log", "programs", 10_000, partial(run, "ENOSPC")),
)

if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
