"""Members of a consumer group join, leave and are killed (``tests/log/kill_members.py``).

Usage: python -m tests.torture.members SEED SECONDS

Sixteen members and 64 partitions; how long it took from a kill until all that the member had was
another's is printed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.torture import recorder
from tests.torture.harness import Harness, Outcome, scratch_directory

MEMBERS = 16
OWNERLESS_SECONDS = 1  # with a member that could have it


def run(seed: int, seconds: float) -> Outcome:
    """Let one log be used by a group for so long, in processes that fork from one of their own."""
    env = recorder.environment() | {"OPENBLAS_NUM_THREADS": "1"}
    del env["LD_PRELOAD"]
    whole = max(2, round(seconds))
    with scratch_directory() as scratch:
        arguments = [Path(scratch) / "log", whole, seed, MEMBERS, OWNERLESS_SECONDS]
        ended = subprocess.run(
            [sys.executable, "-m", "tests.log.kill_members", *map(str, arguments)],
            cwd=recorder.ROOT,
            env=env,
            check=False,
            capture_output=True,
            text=True,
            timeout=whole + 180,
        )
    repeat = f"python -m tests.torture.members {seed} {whole}"
    try:
        said = json.loads(ended.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        died = f"it ended with {ended.returncode}:\n{ended.stderr}"
        return Outcome(0, seed + 1, died, repeat)
    print(f"seed {seed}: {json.dumps(said)}", flush=True)
    if said["wrong"]:
        return Outcome(0, seed + 1, "\n".join([*said["wrong"], ended.stderr]), repeat)
    return Outcome(whole, seed + 1)


HARNESS = Harness("members of a group", "seconds", 36_000, run)

if __name__ == "__main__":
    outcome = run(int(sys.argv[1]), float(sys.argv[2]))
    print(outcome.failure or "all is well")
    sys.exit(1 if outcome.failure else 0)
