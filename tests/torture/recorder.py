"""Compiles ``recorder.c`` and runs programs under it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = Path(__file__).with_name("recorder.c")
BUILD = ROOT / "build" / "torture"
RUN_TIMEOUT_SECONDS = 280


def library() -> Path:
    """Return the compiled recorder, made when its source has changed."""
    source = SOURCE.read_bytes()
    path = BUILD / f"recorder-{hashlib.sha256(source).hexdigest()[:16]}.so"
    if path.exists():
        return path
    BUILD.mkdir(parents=True, exist_ok=True)
    compiler = os.environ.get("CC") or shutil.which("cc") or "gcc"
    unfinished = path.with_suffix(f".{os.getpid()}")
    subprocess.run(
        [
            *(*compiler.split(), "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"),
            *("-fvisibility=hidden", "-o", str(unfinished), str(SOURCE), "-lpthread"),
        ],
        check=True,
    )
    unfinished.rename(path)
    return path


def environment(
    root: Path | None = None,
    *,
    trace: Path | None = None,
    boot: Path | None = None,
    at: int | None = None,
    until: int | None = None,
    error: int = 0,
) -> dict[str, str]:
    """Return the environment of a program under the recorder; ``recorder.c`` says what is what."""
    wanted: Mapping[str, object] = {
        "LD_PRELOAD": library(),
        "TORTURE_ROOT": root,
        "TORTURE_TRACE": trace,
        "TORTURE_BOOT": boot,
        "TORTURE_AT": at,
        "TORTURE_UNTIL": until,
        "TORTURE_ERROR": error,
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TORTURE_")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # compiling the modules took half of a short program
    kept["PYTHONPYCACHEPREFIX"] = str(BUILD / "pycache")
    return {**kept, **{name: str(value) for name, value in wanted.items() if value is not None}}


def environment_without() -> dict[str, str]:
    """Return the environment of a program that forks and is not under the recorder."""
    env = environment() | {"OPENBLAS_NUM_THREADS": "1"}  # what forks has no other threads
    del env["LD_PRELOAD"]
    return env


def run(
    module: str,
    arguments: Sequence[object],
    env: dict[str, str],
    timeout: float = RUN_TIMEOUT_SECONDS,
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m module`` to its end, whatever that is."""
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        env=env,
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def write_boot_id(path: Path, number: int) -> None:
    """Make a file that stands for the kernel's boot id; another number is another boot."""
    path.write_text(f"{uuid.UUID(int=number + 1)}\n")
