"""The .pyi of each compiled module says what the module has: no more, no less, same signatures."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NATIVE = ROOT / "pystream" / "_native"
MODULES = sorted(path.stem for path in NATIVE.glob("*.pyi"))


def test_every_compiled_module_has_a_stub() -> None:
    targets = re.findall(
        r"^(?:pybind11_add|pystream_cython)_module\((\w+)",
        (NATIVE / "CMakeLists.txt").read_text(),
        re.MULTILINE,
    )
    assert sorted(targets) == MODULES


def expected_differences(module: str) -> set[str]:
    """Return what stubtest reports although the stub is right."""
    name = f"pystream._native.{module}"
    differences = set()
    for node in ast.parse((NATIVE / f"{module}.pyi").read_text()).body:
        match node:
            # A name for a type of arguments exists in the stub alone.
            case (
                ast.AnnAssign(target=ast.Name(id=alias)) | ast.Assign(targets=[ast.Name(id=alias)])
            ):
                differences.add(f"{name}.{alias} is not present at runtime")
            # pybind11 has a metaclass of its own, and an __init__ that refuses where none is bound.
            case ast.ClassDef(name=handle):
                differences.add(f"{name}.{handle} is inconsistent, metaclass differs")
                differences.add(
                    f"{name}.{handle}.__init__ is inconsistent, "
                    'stub does not have *args parameter "args"'
                )
                # Cython's way to refuse pickling.
                for method in ("__reduce_cython__", "__setstate_cython__"):
                    differences.add(f"{name}.{handle}.{method} is not present in stub")
    return differences


def test_stubs_match_the_compiled_modules() -> None:
    stubtest = [sys.executable, "-m", "mypy.stubtest", "--mypy-config-file", "pyproject.toml"]
    ran = subprocess.run(
        [*stubtest, "--concise", *(f"pystream._native.{module}" for module in MODULES)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    expected = set().union(*map(expected_differences, MODULES))
    drift = set(ran.stdout.splitlines()) - expected
    assert not drift, "\n".join(sorted(drift))
    assert ran.stderr == ""
