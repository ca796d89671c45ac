"""Break one rule at a time in a copy of the sources, and see that the tests notice.

Usage: ci/mutations [part of a name ...]

The working tree is only read. The copy is built once; each mutation rebuilds what it touches, runs
the tests of windows, watermarks and keys until the first failure, and is taken back.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.mutations.rules import MUTATIONS, Edit, Mutation

ROOT = Path(__file__).resolve().parents[2]
NATIVE_TESTS = ("windows_*_test", "state_*_test", "runtime*_test")
PYTHON_TESTS = ("tests/pipeline/test_windows.py", "tests/pipeline/test_windows_oracle.py")


class Workspace:
    """A copy of the tracked and new files with a build of its own."""

    def __init__(self, directory: Path) -> None:
        self.sources = directory / "sources"
        self.build = directory / "build"
        self._originals: dict[Path, str] = {}
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for name in listed.split("\0"):
            if name and (ROOT / name).is_file():
                (self.sources / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.sources / name)
        self._call(
            [
                *("cmake", "-S", self.sources / "native", "-B", self.build, "-G", "Ninja"),
                *("-DPYSTREAM_TESTS=ON", "-DPYSTREAM_PYTHON=ON", "-DCMAKE_BUILD_TYPE=Mutations"),
                # The mutations are about results: neither -O3 nor warnings about what they leave.
                *("-DCMAKE_CXX_FLAGS_MUTATIONS=-O1 -w", f"-DPython_EXECUTABLE={sys.executable}"),
            ]
        )

    def make(self) -> None:
        self._call(["cmake", "--build", self.build, "--parallel", str(os.cpu_count() or 1)])

    def first_failure(self) -> str | None:
        """Return the name of a test that fails, or None when all pass."""
        for pattern in NATIVE_TESTS:
            for program in sorted((self.build / "tests").glob(pattern)):
                ran = subprocess.run(
                    [program, "--gtest_fail_fast", "--gtest_brief=1"],
                    check=False,
                    capture_output=True,
                    text=True,
                    timeout=300,
                )
                if ran.returncode != 0:
                    failed = [line for line in ran.stdout.splitlines() if "[  FAILED  ]" in line]
                    return failed[0].split()[3] if failed else program.name
        python_tests = [name for name in PYTHON_TESTS if (self.sources / name).exists()]
        if not python_tests:
            return None
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *python_tests],
            cwd=self.sources,
            check=False,
            capture_output=True,
            text=True,
            timeout=600,
        )
        if ran.returncode == 0:
            return None
        failed = [line for line in ran.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        return failed[0].split()[1] if failed else "pytest"

    def edit(self, edit: Edit) -> None:
        path = self.sources / edit.path
        text = path.read_text()
        self._originals.setdefault(path, text)
        path.write_text(text.replace(edit.old, edit.new))

    def restore(self) -> None:
        for path, text in self._originals.items():
            path.write_text(text)
        self._originals.clear()

    def _call(self, command: list[object]) -> None:
        ran = subprocess.run(
            [str(part) for part in command], check=False, capture_output=True, text=True
        )
        if ran.returncode != 0:
            raise SystemExit(f"{ran.stdout[-4000:]}\n{ran.stderr[-2000:]}")


def try_mutation(workspace: Workspace, mutation: Mutation) -> str | None:
    """Return the test that notices the mutation, or None."""
    for edit in mutation.edits:
        workspace.edit(edit)
    try:
        workspace.make()
        return workspace.first_failure()
    finally:
        workspace.restore()


def main(names: list[str]) -> int:
    chosen = [m for m in MUTATIONS if not names or any(name in m.name for name in names)]
    width = max(len(mutation.name) for mutation in chosen)
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="mutations-") as directory:
        workspace = Workspace(Path(directory))
        workspace.make()
        failure = workspace.first_failure()
        if failure is not None:
            print(f"{failure} fails without any mutation", file=sys.stderr)
            return 2
        print(f"{'mutation':{width}}  seconds  noticed by")
        for mutation in chosen:
            started = time.monotonic()
            noticed = try_mutation(workspace, mutation)
            survivors += noticed is None
            seconds = time.monotonic() - started
            print(f"{mutation.name:{width}}  {seconds:7.1f}  {noticed or 'NOTHING'}", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} mutations were noticed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
