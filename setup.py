"""Drive CMake: native/CMakeLists.txt is the one description of the C++ sources.

Everything static is in pyproject.toml. In-place and editable builds keep their build directory
(``build/<interpreter tag>``), so that ninja rebuilds what changed and nothing else; wheels are
built in setuptools' own ``build/temp.*``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
# Every compiled module has a stub; its target in pystream/_native/CMakeLists.txt has its name.
MODULES = sorted(stub.stem for stub in (ROOT / "pystream" / "_native").glob("*.pyi"))


class CMakeBuild(build_ext):
    """Configure and build all extension modules with one CMake run."""

    def run(self) -> None:
        """Build the modules, then put each where setuptools expects it."""
        in_place = self.inplace or self.editable_mode
        tag = f"{sys.implementation.cache_tag}-{sysconfig.get_platform()}"
        build_dir = ROOT / "build" / tag if in_place else Path(self.build_temp).resolve()
        modules_dir = build_dir / "modules"
        self._configure(build_dir, modules_dir)
        names = [extension.name.rpartition(".")[2] for extension in self.extensions]
        jobs = self.parallel or os.cpu_count() or 1
        _run(_tool("cmake"), "--build", build_dir, "--parallel", str(jobs), "--target", *names)
        for extension, name in zip(self.extensions, names, strict=True):
            (built,) = modules_dir.glob(f"{name}.*so")
            if not in_place:
                _replace(Path(self.get_ext_fullpath(extension.name)), built)
            else:
                _replace(ROOT.joinpath(*self._in_place_parts(extension.name)), built)

    def get_outputs(self) -> list[str]:
        """Name the built modules (editable installs use them where they lie)."""
        if self.inplace or self.editable_mode:
            return [
                str(ROOT.joinpath(*self._in_place_parts(extension.name)))
                for extension in self.extensions
            ]
        return [self.get_ext_fullpath(extension.name) for extension in self.extensions]

    def get_output_mapping(self) -> dict[str, str]:
        """Map nothing: in-place modules are built where they are used."""
        return {}

    def get_source_files(self) -> list[str]:
        """Name no sources: MANIFEST.in lists what the sdist carries."""
        return []

    def _in_place_parts(self, full_name: str) -> tuple[str, ...]:
        *packages, name = full_name.split(".")
        return (*packages, name + sysconfig.get_config_var("EXT_SUFFIX"))

    def _configure(self, build_dir: Path, modules_dir: Path) -> None:
        import pybind11  # noqa: PLC0415  a build requirement, absent when only metadata is asked

        build_dir.mkdir(parents=True, exist_ok=True)
        arguments = [
            *("-S", str(ROOT / "native"), "-B", str(build_dir), "-G", "Ninja"),
            "-DPYSTREAM_PYTHON=ON",
            f"-DCMAKE_MAKE_PROGRAM={_tool('ninja')}",
            f"-DCMAKE_LIBRARY_OUTPUT_DIRECTORY={modules_dir}",
            f"-DPython_EXECUTABLE={sys.executable}",
            "-DPYBIND11_FINDPYTHON=ON",
            f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
        ]
        # An isolated build brings tools under a new path each time. What CMake cached of the old
        # ones is dropped; object files stay, and ninja compiles only what the change reaches.
        stamp = build_dir / "configured-with.txt"
        command = "\n".join([_tool("cmake"), *arguments])
        is_new = not stamp.exists() or stamp.read_text() != command
        if is_new:
            arguments.append("--fresh")
        elif (build_dir / "build.ninja").exists():
            return  # ninja reruns CMake by itself when a CMakeLists.txt changed
        _run(_tool("cmake"), *arguments)
        stamp.write_text(command)


def _run(*command: str | Path) -> None:
    """Run a program whose own message, not our traceback, is what a failed build should end in."""
    status = subprocess.run(command, check=False).returncode
    if status != 0:
        sys.exit(f"building pystream failed: {Path(command[0]).name} ended with status {status}")


def _tool(name: str) -> str:
    """Return the program next to this interpreter, else the one on PATH."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        sys.exit(f"{name} was not found. Install the build requirements: pip install {name}")
    return found


def _replace(target: Path, built: Path) -> None:
    """Copy a module by rename, so that a process that has the old one mapped keeps running."""
    if target.exists() and target.stat().st_mtime_ns == built.stat().st_mtime_ns:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copy2(built, temporary)
    os.replace(temporary, target)


setup(
    ext_modules=[Extension(f"pystream._native.{name}", sources=[]) for name in MODULES],
    cmdclass={"build_ext": CMakeBuild},
)
