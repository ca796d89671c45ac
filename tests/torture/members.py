"""Members of a consumer group join, leave and are killed (``tests/log/kill_members.py``).

Usage: python -m tests.torture.members SEED SECONDS

Sixteen members and 64 partitions; how long it took from a kill until all that the member had was
another's is printed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.torture import recorder
from tests.torture.harness import Harness, Outcome, said_by, scratch_directory

MEMBERS = 16
OWNERLESS_SECONDS = 1  # with a member that could have it


def run(seed: int, seconds: float) -> Outcome:
    """Let one log be used by a group for so long, in processes that fork from one of their own."""
    whole = max(2, round(seconds))
    with scratch_directory() as scratch:
        arguments = [Path(scratch) / "log", whole, seed, MEMBERS, OWNERLESS_SECONDS]
        env = recorder.environment_without()
        ended = recorder.run("tests.log.kill_members", arguments, env, timeout=whole + 180)
    said = said_by(ended)
    print(f"seed {seed}: {json.dumps(said)}", flush=True)
    failure = said.get("failure") or "\n".join(said["wrong"])
    if failure:
        return Outcome(0, seed + 1, failure, f"python -m tests.torture.members {seed} {whole}")
    return Outcome(whole, seed + 1)


HARNESS = Harness("members of a group", "seconds", 600, run)

if __name__ == "__main__":
    outcome = run(int(sys.argv[1]), float(sys.argv[2]))
    print(outcome.failure or "all is well")
    sys.exit(1 if outcome.failure else 0)
