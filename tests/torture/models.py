"""Transactions against their model, in random interleavings of producers and readers.

Usage: python -m tests.torture.models SEED [SECONDS]

The sequences are those of ``tests/log/transaction_sequences.py``, one of each seed.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from functools import partial

from tests.log import transaction_sequences
from tests.torture import recorder
from tests.torture.harness import Harness, Outcome, run_seeds, said_by

SECONDS_OF_A_PROCESS = 20.0


def main(seed: str, seconds: str = "0") -> int:
    number, done, failure = int(seed), 0, None
    deadline = time.monotonic() + float(seconds)
    while done == 0 or time.monotonic() < deadline:
        try:
            transaction_sequences.go_through(number)
        except Exception:
            failure = f"seed {number}:\n{traceback.format_exc(limit=-4)}"
            break
        done, number = done + 1, number + 1
    print(json.dumps({"cases": done, "next": number, "failure": failure}), flush=True)
    return 1 if failure else 0


def run_process(seed: int, seconds: float = SECONDS_OF_A_PROCESS) -> Outcome:
    """Go through seeds for about so long, in a process of its own."""
    env = recorder.environment_without()
    said = said_by(recorder.run("tests.torture.models", [seed, seconds], env))
    failed = said.get("next", seed)
    following = failed + 1 if said["failure"] else failed
    repeat = f"python -m tests.torture.models {failed}"
    return Outcome(said.get("cases", 0), following, said["failure"], repeat)


# Some thirty a second: an hour.
TRANSACTIONS = Harness(
    "transactions against the model", "sequences", 100_000, partial(run_seeds, run_process)
)

if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
