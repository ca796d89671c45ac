"""Named producers and consumers are killed at random (``tests/log/kill_writers.py``)."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tests.torture import recorder
from tests.torture.harness import Harness, Outcome, scratch_directory

KILLS = 300  # of one log; it is checked whole at the end


def run_seed(seed: int, kills: int = KILLS) -> Outcome:
    """Let one log be written, killed and checked, in processes that fork from one of their own."""
    env = recorder.environment() | {"OPENBLAS_NUM_THREADS": "1"}
    del env["LD_PRELOAD"]
    with scratch_directory() as scratch:
        arguments = [Path(scratch) / "log", kills, seed]
        ended = recorder.run("tests.log.kill_writers", arguments, env)
    repeat = f"python -m tests.log.kill_writers DIRECTORY {kills} {seed}"
    try:
        said = json.loads(ended.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        died = f"it ended with {ended.returncode}:\n{ended.stderr}"
        return Outcome(0, seed + 1, died, repeat)
    if said["wrong"]:
        return Outcome(0, seed + 1, "\n".join([*said["wrong"], ended.stderr]), repeat)
    return Outcome(said["killed"], seed + 1)


def run(seed: int, seconds: float) -> Outcome:
    deadline = time.monotonic() + seconds
    cases = 0
    while True:
        outcome = run_seed(seed)
        cases += outcome.cases
        seed = outcome.next_seed
        if outcome.failure or time.monotonic() >= deadline:
            return Outcome(cases, seed, outcome.failure, outcome.repeat)


HARNESS = Harness("kill -9, producers and consumers", "kills", 20_000, run)
