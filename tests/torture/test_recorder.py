"""The recorder sees what programs do to files, SQLite included."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.torture import recorder, trace
from tests.torture.disk import Disk, read_tree

SCRIPT = """
import ctypes, mmap, os, shutil, sqlite3, sys
os.chdir(sys.argv[1])
os.mkdir("d")
database = sqlite3.connect("d/db")
database.execute("PRAGMA journal_mode = WAL")
database.execute("CREATE TABLE t (a)")
database.execute("INSERT INTO t VALUES (zeroblob(20000))")
database.commit()
fd = os.open("page", os.O_RDWR | os.O_CREAT)
os.posix_fallocate(fd, 0, 4096)
page = mmap.mmap(fd, 4096)
page[700:705] = b"hello"
text = b"said"
ctypes.CDLL(None).torture_mark(text, len(text))
os.pwritev(fd, [b"ab", b"cd"], 1000)
os.ftruncate(fd, 8192)
os.fdatasync(fd)
os.rename("page", "leaf")
with open("file", "wb") as file:
    file.write(b"x" * 5000)
os.unlink("file")
os.makedirs("e/f")
shutil.rmtree("e")
database.close()
page[1:3] = b"no"
os.mkdir("last")
"""


def run(root: Path, script: str = SCRIPT, **options: object) -> subprocess.CompletedProcess[str]:
    env = recorder.environment(root, **options)  # type: ignore[arg-type]
    return subprocess.run(
        [sys.executable, "-c", script, str(root)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_replayed_trace_gives_the_same_files(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    traced = tmp_path / "trace"
    ended = run(root, trace=traced)
    assert ended.returncode == 0, ended.stderr
    calls = trace.read(traced)
    disk = Disk(root)
    for call in calls:
        if call.kind != trace.MARK:
            disk.apply(call)
    assert disk.now() == read_tree(root)
    kinds = {call.kind for call in calls}
    assert kinds == trace.CALLS | {trace.STORE, trace.MARK, trace.REMOVE_DIRECTORY}
    said = [call.data for call in calls if call.kind == trace.MARK]
    assert said == [b"said"]
    # A store stands before the next thing that happened.
    store = next(i for i, call in enumerate(calls) if b"hello" in call.data)
    assert calls[store].kind == trace.STORE
    assert calls[store + 1].kind == trace.MARK


def test_a_call_fails_with_the_errno_asked_for(tmp_path: Path) -> None:
    counts = "import os, sys\nfor i in range(5): os.mkdir(f'{sys.argv[1]}/{i}')\n"
    ended = run(tmp_path, counts, at=3, error=errno.ENOSPC)
    assert ended.returncode == 1
    assert os.strerror(errno.ENOSPC) in ended.stderr
    assert sorted(os.listdir(tmp_path)) == ["0", "1"]


def test_a_program_is_killed_at_the_call_asked_for(tmp_path: Path) -> None:
    counts = "import os, sys\nfor i in range(5): os.mkdir(f'{sys.argv[1]}/{i}')\n"
    ended = run(tmp_path, counts, at=4)
    assert ended.returncode == -signal.SIGKILL
    assert sorted(os.listdir(tmp_path)) == ["0", "1", "2"]


def test_another_boot_id_is_read(tmp_path: Path) -> None:
    boot = tmp_path / "boot"
    recorder.write_boot_id(boot, 3)
    shows = "print(__import__('os').read(__import__('os').open("
    shows += "'/proc/sys/kernel/random/boot_id', 0), 99))"
    ended = run(tmp_path, shows, boot=boot)
    assert "00000000-0000-0000-0000-000000000004" in ended.stdout
