"""Wheel and sdist build in isolation, carry what they should, and an edit reaches the module.

Minutes of compiling: marked `packaging`, run by ci/check.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.markdown import shown_output, write_program

ROOT = Path(__file__).resolve().parents[2]
MODULES = {path.stem for path in (ROOT / "pystream" / "_native").glob("*.pyi")}
SOURCES = {".cpp", ".hpp", ".c", ".h", ".pyx", ".pxd", ".txt", ".cmake"}

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(1800)]


def run(*command: str | Path, cwd: Path) -> str:
    ran = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def copy_of_repository(target: Path) -> Path:
    """Copy what git would commit, so that nothing built or ignored helps the build."""
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in listed.splitlines():
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build an sdist, and a wheel from that sdist, each in an isolated environment."""
    source = copy_of_repository(tmp_path_factory.mktemp("source"))
    run(sys.executable, "-m", "build", "--outdir", source / "dist", cwd=source)
    return source / "dist"


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (path,) = dist.glob("*.whl")
    return path


def test_sdist_carries_every_source(dist: Path) -> None:
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        members = {name.partition("/")[2] for name in archive.getnames()}
    listed = run("git", "ls-files", "native", "pystream", "tests", "docs", cwd=ROOT).splitlines()
    assert set(listed) - members == set()
    assert {"LICENSE", "README.md", "CHANGELOG.md", "setup.py", "pyproject.toml"} <= members


def test_wheel_carries_modules_and_types_but_no_sources(wheel: Path) -> None:
    names = [Path(name) for name in zipfile.ZipFile(wheel).namelist()]
    package = [name for name in names if ".dist-info" not in name.parts[0]]
    assert {name.parts[0] for name in package} == {"pystream"}
    assert {name.suffix for name in package} == {".py", ".pyi", ".typed", ".so"}
    modules = {name.name.split(".")[0] for name in package if name.suffix == ".so"}
    assert modules == MODULES
    assert not {name.suffix for name in package} & SOURCES
    assert any(name.parts[-2:] == ("licenses", "LICENSE") for name in names)


def test_wheel_needs_nothing_but_numpy(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        lines = archive.read(metadata).decode().splitlines()
    required = [
        line.removeprefix("Requires-Dist: ")
        for line in lines
        if line.startswith("Requires-Dist: ") and "extra ==" not in line
    ]
    assert [requirement.split(">")[0] for requirement in required] == ["numpy"]


def test_installed_wheel_runs_the_readme(wheel: Path, tmp_path: Path) -> None:
    """In a fresh environment with numpy alone, away from the sources."""
    environment = tmp_path / "venv"
    run(sys.executable, "-m", "venv", environment, cwd=tmp_path)
    python = environment / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", wheel, cwd=tmp_path)
    where = run(python, "-c", "import pystream; print(pystream.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(environment)
    readme = ROOT / "README.md"
    program = write_program(readme, tmp_path)
    assert program is not None
    assert run(python, "-W", "error", program, cwd=tmp_path) == shown_output(readme)


@pytest.fixture(scope="module")
def built_copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    source = copy_of_repository(tmp_path_factory.mktemp("in_place"))
    build_in_place(source)
    yield source
    shutil.rmtree(source)


def build_in_place(source: Path) -> None:
    """Build with this environment as the copy's own, so that a compiler cache knows its headers."""
    environment = source / ".venv"
    if not environment.is_symlink():
        environment.symlink_to(sys.prefix)
    python = environment / Path(sys.executable).relative_to(sys.prefix)
    run(python, "setup.py", "-q", "build_ext", "--inplace", cwd=source)


def module_bytes(source: Path, name: str) -> bytes:
    (path,) = (source / "pystream" / "_native").glob(f"{name}.*.so")
    return path.read_bytes()


@pytest.mark.parametrize(
    ("path", "old", "new", "module"),
    [
        (
            "native/storage/order_file.cpp",
            "was not written by pystream",
            "was written by a stranger!",
            "_core",
        ),
        (
            "native/windows/window_results.hpp",
            "kMaxResultRows = 65536;",
            "kMaxResultRows = 32768;",
            "_core",
        ),
        (
            "pystream/_native/_delivery.pyx",
            "Wait longer; it may yet be.",
            "Wait longer; it might be.",
            "_delivery",
        ),
        (
            "pystream/_native/open_batch.hpp",
            "duration_cast<microseconds>(system_clock",
            "duration_cast<milliseconds>(system_clock",
            "_producer",
        ),
    ],
)
def test_edited_source_ends_in_a_relinked_module(
    built_copy: Path, path: str, old: str, new: str, module: str
) -> None:
    edited = built_copy / path
    text = edited.read_text()
    assert old in text
    before = module_bytes(built_copy, module)
    edited.write_text(text.replace(old, new))
    build_in_place(built_copy)
    assert module_bytes(built_copy, module) != before


def test_unchanged_build_leaves_the_modules_alone(built_copy: Path) -> None:
    (module,) = (built_copy / "pystream" / "_native").glob("_core.*.so")
    before = os.stat(module)
    build_in_place(built_copy)
    after = os.stat(module)
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
