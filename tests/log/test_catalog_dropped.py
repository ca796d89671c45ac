"""Catalogs that nobody closes: the garbage collector may find them anywhere."""

from __future__ import annotations

import gc
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pystream.log.catalog.catalog import Catalog
from pystream.log.catalog.dropped import DROPPED
from pystream.log.kernel_lock import KernelLock

TIMEOUT_US = 10_000_000


class Held:
    """Keeps a catalog until the garbage collector comes."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.myself = self


def test_one_that_is_collected_under_the_lock_of_another_waits_for_nobody(tmp_path: Path) -> None:
    catalog = Catalog(str(tmp_path), TIMEOUT_US)
    gc.disable()
    try:
        Held(Catalog(str(tmp_path), TIMEOUT_US))
        began = time.monotonic()
        with catalog.writing():
            gc.collect()
            assert len(DROPPED) == 1
            assert time.monotonic() - began < 1
        assert len(DROPPED) == 0
    finally:
        gc.enable()
    catalog.close()
    assert not (tmp_path / "catalog.db-wal").exists()  # both are closed


def test_a_forked_child_leaves_it_to_its_parent(tmp_path: Path) -> None:
    catalog = Catalog(str(tmp_path), TIMEOUT_US)
    lock = KernelLock(str(tmp_path / "catalog.lock"), what="the catalog")
    lock.acquire(TIMEOUT_US)
    del catalog
    assert len(DROPPED) == 1
    child = os.fork()
    if child == 0:
        os._exit(len(DROPPED))
    assert os.waitpid(child, 0) == (child, 0)
    DROPPED.try_close()  # the lock is still held
    assert len(DROPPED) == 1
    lock.close()
    DROPPED.try_close()
    assert len(DROPPED) == 0
    assert not (tmp_path / "catalog.db-wal").exists()


def test_one_whose_log_is_gone_is_closed_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    catalog = Catalog(str(tmp_path / "log"), TIMEOUT_US)
    connection = catalog._database._connection
    assert connection is not None
    catalog._database._write_lock.forget()  # so that the file is looked for
    shutil.rmtree(tmp_path / "log")
    del catalog
    assert len(DROPPED) == 0
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_at_the_end_of_the_program_it_is_waited_for(tmp_path: Path) -> None:
    program = """
import sys, threading, time
from pystream.log.catalog.catalog import Catalog
from pystream.log.kernel_lock import KernelLock
kept = Catalog(sys.argv[1], 10_000_000)
dropped = Catalog(sys.argv[1], 10_000_000)
lock = KernelLock(sys.argv[1] + "/catalog.lock", what="the catalog")
lock.acquire(10_000_000)
del dropped
threading.Timer(0.5, lock.release).start()
threading.Thread(target=time.sleep, args=(0.7,), daemon=True).start()
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert not (tmp_path / "catalog.db-wal").exists()
