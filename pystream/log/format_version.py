"""Refuses files of another format by name: they are not damaged, and nobody may repair them."""

from __future__ import annotations

from pystream.errors import LogError

__all__ = ["check_format_version"]


def check_format_version(path: str, version: int, *, oldest: int, newest: int) -> None:
    """Raise LogError, with the version as a fact, unless it is one of those that are read."""
    if oldest <= version <= newest:
        return
    readable = f"version {newest}" if oldest == newest else f"versions {oldest} to {newest}"
    newer = ", or a newer one" if version > newest else ""
    raise LogError(
        f"{path} has format version {version}, but this pystream reads {readable}. Use the "
        f"pystream that wrote it{newer}.",
        path=path,
        version=version,
    )
