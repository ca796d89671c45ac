"""Shared pieces of the benchmarks: a fresh log, machine facts in the JSON."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pystream as ps


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ps.Log]:
    """A log in a fresh directory; its segments stay in the page cache."""
    with ps.open(tmp_path / "log") as opened:
        yield opened


def pytest_configure(config: pytest.Config) -> None:
    """Say what is missing, where it is."""
    if not config.pluginmanager.hasplugin("benchmark"):
        raise pytest.UsageError(
            "the benchmarks need pytest-benchmark. Run ci/bench, or install pystream[bench]."
        )


@pytest.hookimpl(optionalhook=True)  # so that without the plugin the sentence above is reached
def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, Any]
) -> None:
    """Add what the figures depend on."""
    machine_info["cores"] = os.cpu_count()
    machine_info["kernel"] = platform.release()
    versions = {
        name: importlib.metadata.version(name)
        for name in ("numpy", "pyarrow", "duckdb", "pytest-benchmark")
    }
    machine_info["packages"] = {"pystream": ps.__version__, **versions}
