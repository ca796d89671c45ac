"""Transactional producers and their readers are killed (``tests/log/kill_transactions.py``)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tests.torture import recorder
from tests.torture.harness import Harness, Outcome, run_seeds, said_by, scratch_directory

KILLS = 300  # of one log; it is checked whole at the end


def run_seed(seed: int, kills: int = KILLS) -> Outcome:
    """Let one log be written, killed and checked, in processes that fork from one of their own."""
    with scratch_directory() as scratch:
        arguments = [Path(scratch) / "log", kills, seed]
        env = recorder.environment_without()
        ended = recorder.run("tests.log.kill_transactions", arguments, env)
    said = said_by(ended)
    failure = said.get("failure") or "\n".join(said["wrong"])
    if failure:
        repeat = f"python -m tests.log.kill_transactions DIRECTORY {kills} {seed}"
        return Outcome(0, seed + 1, failure, repeat)
    return Outcome(said["killed"], seed + 1)


HARNESS = Harness("kill -9, transactions", "kills", 20_000, partial(run_seeds, run_seed))
