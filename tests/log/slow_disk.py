"""A disk whose syncs can be counted, held up and made to fail, for programs that tests start.

A library that is loaded before libc's takes over ``fdatasync`` of segments.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

_SOURCE = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int fdatasync(int fd) {
  char link[64], path[4096] = "", name[4096];
  const char* control = getenv("SLOW_DISK");
  snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof(path) - 1);
  if (control != NULL && length > 4 && strcmp(path + length - 4, ".seg") == 0) {
    snprintf(name, sizeof(name), "%s/syncs", control);
    int log = open(name, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (log < 0 || write(log, ".", 1) != 1) abort();
    close(log);
    snprintf(name, sizeof(name), "%s/hold", control);
    while (access(name, F_OK) == 0) usleep(1000);
    snprintf(name, sizeof(name), "%s/fail", control);
    if (access(name, F_OK) == 0) {
      errno = EIO;
      return -1;
    }
  }
  return syscall(SYS_fdatasync, fd);
}
"""


@functools.cache
def _library() -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    directory = Path(tempfile.mkdtemp(prefix="pystream-slow-disk-"))
    source = directory / "slow_disk.c"
    source.write_text(_SOURCE)
    library = directory / "slow_disk.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    return library


class SlowDisk:
    """What programs that are started with it see of the disk.

    Parameters
    ----------
    control : Path
        An empty directory.
    """

    def __init__(self, control: Path) -> None:
        self._control = control
        self._library = _library()
        self._processes: list[subprocess.Popen[str]] = []

    def start(self, program: str, *arguments: object) -> subprocess.Popen[str]:
        """Start a Python program; its output is read by the caller."""
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", program, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "LD_PRELOAD": str(self._library), "SLOW_DISK": str(self._control)},
        )
        self._processes.append(process)
        return process

    def hold(self, *, syncs: bool) -> None:
        """Hold up every sync of a segment, or let them go on."""
        self._set("hold", syncs)

    def fail(self, *, syncs: bool) -> None:
        """Let every sync of a segment fail with EIO, or not."""
        self._set("fail", syncs)

    @property
    def syncs(self) -> int:
        """Syncs of segments that were begun."""
        try:
            return (self._control / "syncs").stat().st_size
        except FileNotFoundError:
            return 0

    def close(self) -> None:
        """End what still runs."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def _set(self, name: str, value: bool) -> None:
        path = self._control / name
        if value:
            path.touch()
        else:
            path.unlink(missing_ok=True)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what another process does soon."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
