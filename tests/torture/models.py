"""Groups and transactions against their models, in random sequences of what can happen to them.

Usage: python -m tests.torture.models groups|transactions|flows SEED [SECONDS]

The sequences are those of ``tests/log/group_sequences.py``, of which a hundred have one seed, and
of ``tests/log/transaction_sequences.py``, of which twenty have one, in one log. Flows are members
of a group that send on what they read in transactions: ``tests/log/exactly_once_sequences.py``.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from functools import partial

from pystream import config
from tests.log import exactly_once_sequences, group_sequences, transaction_sequences
from tests.torture import recorder
from tests.torture.harness import Harness, Outcome, run_seeds, said_by

SECONDS_OF_A_PROCESS = 20.0
GROUP_SEQUENCES = 100  # of one seed
TRANSACTION_SEQUENCES = 20


def go_through(kind: str, seed: int) -> int:
    """Go through the sequences of a seed; return how many. AssertionError: the model differs."""
    if kind == "groups":
        group_sequences.go_through(seed, GROUP_SEQUENCES)
        return GROUP_SEQUENCES
    if kind == "flows":
        exactly_once_sequences.go_through(seed)
        return 1
    transaction_sequences.go_through(seed, TRANSACTION_SEQUENCES)
    return TRANSACTION_SEQUENCES


def main(kind: str, seed: str, seconds: str = "0") -> int:
    config.GROUP_LOOK_SECONDS = 0.0  # type: ignore[misc]
    number, done, failure = int(seed), 0, None
    deadline = time.monotonic() + float(seconds)
    while done == 0 or time.monotonic() < deadline:
        try:
            done += go_through(kind, number)
        except Exception as error:
            steps = "\n".join(getattr(error, "__notes__", []))
            failure = f"seed {number}:\n{steps}\n{traceback.format_exc(limit=-4)}"
            break
        number += 1
    print(json.dumps({"cases": done, "next": number, "failure": failure}), flush=True)
    return 1 if failure else 0


def run_process(kind: str, seed: int, seconds: float = SECONDS_OF_A_PROCESS) -> Outcome:
    """Go through seeds for about so long, in a process of its own."""
    env = recorder.environment_without()
    said = said_by(recorder.run("tests.torture.models", [kind, seed, seconds], env))
    failed = said.get("next", seed)
    following = failed + 1 if said["failure"] else failed
    repeat = f"python -m tests.torture.models {kind} {failed}"
    return Outcome(said.get("cases", 0), following, said["failure"], repeat)


def _harness(kind: str, aim: int) -> Harness:
    run = partial(run_seeds, partial(run_process, kind))
    return Harness(f"{kind} against the model", "sequences", aim, run)


# An hour each: some fifteen, thirty and six a second.
HARNESSES = (
    _harness("groups", 50_000),
    _harness("transactions", 100_000),
    _harness("flows", 20_000),
)

if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
