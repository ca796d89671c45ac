"""Which files count as data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pystream.connectors.file_names import find_files
from pystream.errors import ConfigError


@pytest.fixture(autouse=True)
def in_own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(*names: str) -> None:
    for name in names:
        os.makedirs(os.path.dirname(name), exist_ok=True)
        Path(name).touch()


def test_what_hides_in_a_directory_is_not_data_at_any_level() -> None:
    write("_in/a.csv", "_in/.ipynb_checkpoints/a.csv", "_in/b/_temp/c/a.csv", "_in/b/_a.csv")
    write("_in/b/.a.csv", "_in/b/c/a.csv")
    assert find_files("_in", ".csv", "f") == ("_in/a.csv", "_in/b/c/a.csv")
    assert find_files("_in/**/*.csv", ".csv", "f") == ("_in/a.csv", "_in/b/c/a.csv")
    assert find_files("./_in/b/_temp/*/*.csv", ".csv", "f") == ("./_in/b/_temp/c/a.csv",)


def test_data_ends_in_the_ending_of_its_format() -> None:
    write("in/a.csv", "in/b.csv.gz", "in/c.csv.bak", "in/d.csv.tmp", "in/e.csv.gz.tmp", "in/csv")
    write("in/f.parquet", "in/g.parquet.tmp", "in/h.parquet.gz", "in/i.csv.zst", "in/j.csv.csv")
    text = ("in/a.csv", "in/b.csv.gz", "in/i.csv.zst", "in/j.csv.csv")
    assert find_files("in", ".csv", "f") == text
    assert find_files("in", ".parquet", "f") == ("in/f.parquet",)
    with pytest.raises(ConfigError, match=r"found no file.*end in \.json"):
        find_files("in", ".json", "f")
