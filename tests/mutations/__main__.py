"""Break one rule at a time in a copy of the sources, and see that the tests notice.

Usage: ci/mutations [GROUP] [part of a name ...]; groups.py has the groups, the first is the default

The table is left in build/mutations/GROUP.md, too.

The working tree is only read. The copy is built once; each mutation rebuilds what it touches, runs
the tests of its group until the first failure, and is taken back.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.mutations.groups import GROUPS
from tests.mutations.limited import Limits
from tests.mutations.mutation import Edit, Group, Mutation

ROOT = Path(__file__).resolve().parents[2]


class Workspace:
    """A copy of the tracked and new files with a build of its own."""

    def __init__(self, directory: Path, group: Group) -> None:
        self._group = group
        self.sources = directory / "sources"
        self.build = directory / "build"
        self._limits = Limits()
        self._originals: dict[Path, str] = {}
        # What was compiled in another directory of this kind need not be compiled again.
        os.environ |= {"CCACHE_BASEDIR": str(directory), "CCACHE_NOHASHDIR": "1"}
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
                # Every program is linked anew for each mutation.
                *(["-DCMAKE_EXE_LINKER_FLAGS=-fuse-ld=gold"] if shutil.which("ld.gold") else []),
            ]
        )

    def first_failure(self) -> str | None:
        """Build; return the name of a test that fails or hangs, or None when all pass.

        The first call, of the sources as they are, sets how long the tests may take.
        """
        self._make(*self._native_tests())
        for name in self._native_tests():
            command: list[str | Path] = [
                self.build / "tests" / name,
                "--gtest_fail_fast",
                "--gtest_brief=1",
            ]
            ran = self._limits.run(name, command, cwd=self.build)
            if ran is None:
                return f"{name} (hung)"
            if ran.returncode != 0:
                failed = [line for line in ran.stdout.splitlines() if "[  FAILED  ]" in line]
                return failed[0].split()[3].rstrip(",") if failed else name
        python_tests = [name for name in self._group.python_tests if (self.sources / name).exists()]
        if not python_tests:
            return None
        self._make(*self._modules())
        pytest = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        ran = self._limits.run("pytest", [*pytest, *python_tests], cwd=self.sources)
        if ran is None:
            return "pytest (hung)"
        if ran.returncode == 0:
            return None
        failed = [line for line in ran.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        return failed[0].split()[1] if failed else "pytest"

    def _native_tests(self) -> list[str]:
        """Return the programs of the group, in the order of its patterns."""
        names = self._targets(r"^tests/(\w+_test):")
        found = [fnmatch.filter(names, pattern) for pattern in self._group.native_tests]
        return list(dict.fromkeys(name for names_of_one in found for name in names_of_one))

    def _modules(self) -> list[str]:
        return self._targets(r"^(_\w+): phony")

    def _targets(self, pattern: str) -> list[str]:
        targets = self._call(["ninja", "-C", self.build, "-t", "targets", "all"])
        return sorted(set(re.findall(pattern, targets, re.MULTILINE)))

    def _make(self, *targets: str) -> None:
        jobs = str(os.cpu_count() or 1)
        self._call(["cmake", "--build", self.build, "--parallel", jobs, "--target", *targets])

    def edit(self, edit: Edit) -> None:
        path = self.sources / edit.path
        text = path.read_text()
        self._originals.setdefault(path, text)
        path.write_text(text.replace(edit.old, edit.new))

    def restore(self) -> None:
        for path, text in self._originals.items():
            path.write_text(text)
        self._originals.clear()

    def _call(self, command: list[object]) -> str:
        ran = subprocess.run(
            [str(part) for part in command], check=False, capture_output=True, text=True
        )
        if ran.returncode != 0:
            raise SystemExit(f"{ran.stdout[-4000:]}\n{ran.stderr[-2000:]}")
        return ran.stdout


def try_mutation(workspace: Workspace, mutation: Mutation) -> str | None:
    """Return the test that notices the mutation, or None."""
    for edit in mutation.edits:
        workspace.edit(edit)
    try:
        return workspace.first_failure()
    finally:
        workspace.restore()


class Report:
    """The table of a run as Markdown, line by line: what is done stays if the rest is not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("| rule, broken | noticed by |\n| --- | --- |\n")

    def add(self, name: str, noticed: str | None) -> None:
        # Parameters of a test may hold anything.
        by = "nothing" if noticed is None else f"`{noticed.split('[')[0]}`"
        with self._path.open("a") as file:
            file.write(f"| {name} | {by} |\n")


def name_of(group: Group) -> str:
    return next(name for name, other in GROUPS.items() if other is group)


def main(names: list[str]) -> int:
    group = GROUPS[names.pop(0) if names and names[0] in GROUPS else "windows"]
    chosen = [m for m in group.mutations if not names or any(name in m.name for name in names)]
    if not chosen:
        print(f"no mutation has any of {names} in its name", file=sys.stderr)
        return 2
    # Tests interrupt themselves, which what a shell runs in the background is told to ignore.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    width = max(len(mutation.name) for mutation in chosen)
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="mutations-") as directory:
        workspace = Workspace(Path(directory), group)
        failure = workspace.first_failure()
        if failure is not None:
            print(f"{failure} fails without any mutation", file=sys.stderr)
            return 2
        report = Report(ROOT / "build" / "mutations" / f"{name_of(group)}.md")
        print(f"{'mutation':{width}}  seconds  noticed by")
        for mutation in chosen:
            started = time.monotonic()
            noticed = try_mutation(workspace, mutation)
            survivors += noticed is None
            seconds = time.monotonic() - started
            print(f"{mutation.name:{width}}  {seconds:7.1f}  {noticed or 'NOTHING'}", flush=True)
            report.add(mutation.name, noticed)
    print(f"{len(chosen) - survivors} of {len(chosen)} mutations were noticed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
