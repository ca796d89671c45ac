"""Which files a path, a directory, a pattern or a list of them names."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from pystream.config import is_name, path_text
from pystream.errors import ConfigError

__all__ = ["FilePaths", "find_files", "output_file"]

PACKED = (".gz", ".bz2", ".lz4", ".zst")  # what pyarrow unpacks by its name

FilePaths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

WANTED = "Pass a file, a directory, a pattern, or a list of these."


def find_files(paths: FilePaths, ending: str, method: str) -> tuple[str, ...]:
    """Return the files in sorted order of their names, each once.

    Parameters
    ----------
    paths : path or sequence of paths
        A file, a pattern (``*``, ``?``, ``[]``, ``**``), or a directory, whose files with `ending`
        count, those below it too, of CSV and JSON also compressed ones. Files and directories
        whose names begin with ``.`` or ``_`` are not data.
    ending : str
        For example ``".parquet"``.
    method : str
        For messages.

    Raises
    ------
    ConfigError
        If there is no file, or something that is no path.
    """
    found: set[str] = set()
    for path in _listed(paths):
        name = path_text(path)
        if name is None:
            raise ConfigError(f"{method}({path!r}) got no path. {WANTED}")
        files = _files_of(name, ending)
        if not files:
            raise ConfigError(
                f"{method}({name!r}) found no file. Check the path; patterns are "
                f"those of glob, and in a directory files end in {ending}."
            )
        for file in files:
            if not is_name(file):
                raise ConfigError(
                    f"{method}({name!r}) found {file!r}, whose name is not UTF-8. Rename it."
                )
        found.update(files)
    if not found:
        raise ConfigError(f"{method}() got no path. {WANTED}")
    return tuple(sorted(found))


def _listed(paths: object) -> Iterable[object]:
    if isinstance(paths, str | bytes | os.PathLike) or not isinstance(paths, Iterable):
        return [paths]
    return paths


def _files_of(name: str, ending: str) -> list[str]:
    if os.path.isfile(name):
        return [name]
    if os.path.isdir(name):
        # Parquet compresses within.
        endings = (ending,) if ending == ".parquet" else (ending, *(ending + c for c in PACKED))
        below = [p for p in Path(name).rglob(f"*{ending}*") if p.name.endswith(endings)]
        return [str(p) for p in below if p.is_file() and _is_data(p.relative_to(name))]
    spelled = Path(name).parts
    return [
        path
        for path in glob.glob(name, recursive=True)
        if os.path.isfile(path) and _is_data(Path(path), spelled)
    ]


def _is_data(path: Path, spelled: tuple[str, ...] = ()) -> bool:
    """Tell if neither the file nor a directory hides, but for directories that are spelled out."""
    shown = [part for part in path.parts[:-1] if part not in spelled]
    return not any(part.startswith((".", "_")) for part in [*shown, path.name])


def output_file(path: str | os.PathLike[str], ending: str) -> str:
    """Return the file that a sink writes: the path, or ``part-0`` in a directory.

    A path is a directory when it is one, ends in a separator, or lacks `ending`.

    Raises
    ------
    ConfigError
        If it is no path.
    """
    name = path_text(path)
    if name is None:
        raise ConfigError(f"path is {path!r}. Pass the path of a file or a directory.")
    is_directory = os.path.isdir(name) or name.endswith(os.sep) or not name.endswith(ending)
    return os.path.join(name, f"part-0{ending}") if is_directory else name
