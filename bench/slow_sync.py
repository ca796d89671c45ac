"""A disk whose syncs take longer, for programs that are started with its environment.

A library that is loaded before libc's lets each ``fdatasync`` sleep first. So the number of commits
that share a sync can be seen also where the disk is too fast for two cores to keep up with.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_SOURCE = r"""
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int fdatasync(int fd) {
  usleep((useconds_t)atoi(getenv("SLOW_SYNC_US")));
  return (int)syscall(SYS_fdatasync, fd);
}
"""


def environment(directory: Path, pause_us: int) -> dict[str, str]:
    """Return the environment of a program whose syncs take so much longer; 0 is the disk alone."""
    if pause_us == 0:
        return dict(os.environ)
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    source, library = directory / "slow_sync.c", directory / "slow_sync.so"
    source.write_text(_SOURCE)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    return {**os.environ, "LD_PRELOAD": str(library), "SLOW_SYNC_US": str(pause_us)}
