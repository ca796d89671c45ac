"""Processes that use one log are killed at random; each log is checked whole at the end."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tests.torture import recorder
from tests.torture.harness import Harness, Outcome, run_seeds, said_by, scratch_directory

KILLS = 300  # of one log
AIM = 20_000


def run_seed(program: str, seed: int) -> Outcome:
    """Let one log be written, killed and checked, in processes that fork from one of their own."""
    with scratch_directory() as scratch:
        arguments = [Path(scratch) / "log", KILLS, seed]
        env = recorder.environment_without()
        ended = recorder.run(program, arguments, env)
    said = said_by(ended)
    failure = said.get("failure") or "\n".join(said["wrong"])
    if failure:
        repeat = f"python -m {program} DIRECTORY {KILLS} {seed}"
        return Outcome(0, seed + 1, failure, repeat)
    return Outcome(said["killed"], seed + 1)


def _harness(who: str, program: str) -> Harness:
    return Harness(f"kill -9, {who}", "kills", AIM, partial(run_seeds, partial(run_seed, program)))


WRITERS = _harness("producers and consumers", "tests.log.kill_writers")
UPKEEP = _harness("compaction and retention", "tests.log.kill_upkeep")
TRANSACTIONS = _harness("transactions", "tests.log.kill_transactions")
