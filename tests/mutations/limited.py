"""Runs tests that a mutation may have made endless."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

LEAST_SECONDS = 60.0
TIMES_AS_LONG = 5.0  # as without any mutation; other programs of the machine come and go


class Limits:
    """How long each command may take: by how long it took the first time.

    The first run of a command has `first_seconds`.
    """

    def __init__(
        self,
        *,
        first_seconds: float = 1800.0,
        least_seconds: float = LEAST_SECONDS,
        times_as_long: float = TIMES_AS_LONG,
    ) -> None:
        self._first_seconds = first_seconds
        self._least_seconds = least_seconds
        self._times_as_long = times_as_long
        self._seconds: dict[str, float] = {}

    def run(
        self, name: str, command: Sequence[str | Path], *, cwd: Path
    ) -> subprocess.CompletedProcess[str] | None:
        """Run a command; None if it was ended, with all that it had started, at its limit."""
        started = time.monotonic()
        with subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                output, _ = process.communicate(
                    timeout=self._seconds.get(name, self._first_seconds)
                )
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                return None
            except BaseException:  # Ctrl-C, which does not reach a session of its own
                os.killpg(process.pid, signal.SIGKILL)
                raise
        took = time.monotonic() - started
        self._seconds.setdefault(name, max(self._least_seconds, self._times_as_long * took))
        return subprocess.CompletedProcess(process.args, process.returncode, output)
