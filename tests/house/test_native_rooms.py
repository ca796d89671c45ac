"""The rooms of native/: each includes only from rooms below it, and nothing knows Python."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

NATIVE = Path(__file__).resolve().parents[2] / "native"
# Room by room, lowest first: what it may include besides itself.
MAY_INCLUDE = {
    "base": set(),
    "columns": {"base"},
    "storage": {"base", "columns"},
    "expressions": {"base", "columns"},
    "state": {"base", "columns"},
    "windows": {"base", "columns", "state"},
    "runtime": {"base", "columns", "storage", "expressions", "state", "windows"},
}
# Rooms that see every other one and that nobody includes.
OUTSIDE = ("tests", "fuzz")
OWN_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
SYSTEM_INCLUDE = re.compile(r"^\s*#\s*include\s+<([^>]+)>", re.MULTILINE)


def sources(room: str) -> list[Path]:
    return sorted(
        path for path in (NATIVE / room).rglob("*.?pp") if path.suffix in (".cpp", ".hpp")
    )


def is_listed(source: Path, room: Path) -> bool:
    """Return whether a CMake list of the room names the file, or its stem in a foreach()."""
    lists = [*room.rglob("CMakeLists.txt"), *room.rglob("*.cmake")]
    words = {word for path in lists for word in re.findall(r"\w+", path.read_text())}
    return bool({source.stem, source.stem.removesuffix("_test")} & words)


def test_every_room_has_a_place_in_the_order() -> None:
    assert {path.name for path in NATIVE.iterdir() if path.is_dir()} == {*MAY_INCLUDE, *OUTSIDE}


@pytest.mark.parametrize("room", MAY_INCLUDE)
def test_room_includes_only_rooms_below_it(room: str) -> None:
    allowed = MAY_INCLUDE[room] | {room}
    strangers = [
        f"{path.relative_to(NATIVE)} includes {name}"
        for path in sources(room)
        for name in OWN_INCLUDE.findall(path.read_text())
        if name.split("/")[0] not in allowed
    ]
    assert strangers == []


@pytest.mark.parametrize("room", [*MAY_INCLUDE, *OUTSIDE])
def test_native_code_knows_no_python(room: str) -> None:
    python = re.compile(r"^(Python\.h|pybind11/|numpy/|cpython/)")
    strangers = [
        f"{path.relative_to(NATIVE)} includes {name}"
        for path in sources(room)
        for name in [
            *OWN_INCLUDE.findall(path.read_text()),
            *SYSTEM_INCLUDE.findall(path.read_text()),
        ]
        if python.match(name)
    ]
    assert strangers == []


@pytest.mark.parametrize("room", [*MAY_INCLUDE, *OUTSIDE])
def test_every_source_is_compiled(room: str) -> None:
    files = [path for path in sources(room) if path.suffix == ".cpp"]
    assert [path.name for path in files if not is_listed(path, NATIVE / room)] == []


@pytest.mark.parametrize("room", MAY_INCLUDE)
def test_room_says_its_purpose(room: str) -> None:
    assert (NATIVE / room / "README.md").read_text().startswith(f"# {room}: ")
