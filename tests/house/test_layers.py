"""A layer may use what stands below it, never what stands above or beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house.layers import Package

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Package(ROOT)


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PACKAGE.modules(), ids=_relative)
def test_module_imports_only_from_layers_below_it(path: Path) -> None:
    assert PACKAGE.breaches(path) == []


# The command line is the extra that brings its own libraries.
@pytest.mark.parametrize(
    "path",
    [path for path in PACKAGE.modules() if ROOT / "pystream" / "cli" not in path.parents],
    ids=_relative,
)
def test_optional_libraries_are_imported_where_they_are_used(path: Path) -> None:
    assert PACKAGE.eager_optional_imports(path) == set()


@pytest.fixture
def imagined(tmp_path: Path) -> Package:
    for part in ("pipeline", "engines", "connectors", "_native", "log", "cli", "compat"):
        (tmp_path / "pystream" / part).mkdir(parents=True)
    (tmp_path / "pystream" / "errors.py").touch()
    (tmp_path / "pystream" / "_native" / "_core.pyi").touch()
    return Package(tmp_path)


def _breaches(package: Package, place: str, source: str) -> list[str]:
    path = package.root / "pystream" / place
    path.write_text(source)
    return package.breaches(path)


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("log/topic.py", "from pystream.pipeline.environment import Environment"),
        ("log/topic.py", "from ..pipeline import Environment"),
        ("log/__init__.py", "from ..pipeline import Environment"),
        ("log/topic.py", "from pystream import Environment"),
        ("log/topic.py", "import pystream"),
        ("log/topic.py", "def f():\n    import pystream.engines.local"),
        ("engines/local.py", "from pystream import connectors"),
        ("errors.py", "from pystream.log import Topic"),
        ("pipeline/stream.py", "from pystream.cli import main"),
        ("log/topic.py", "from pystream._native._core import Log"),
        ("log/topic.py", "from pystream._native import _core"),
        ("errands.py", ""),
        ("cli/main.py", "from pystream.compat import kafka"),
        ("compat/reader.py", "from pystream.pipeline import Environment"),
    ],
)
def test_forbidden_import_is_reported(imagined: Package, place: str, source: str) -> None:
    assert len(_breaches(imagined, place, source)) == 1


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("log/topic.py", "from pystream._native import Log\nfrom pystream import errors"),
        ("log/topic.py", "from . import partition\nfrom .partition import Partition"),
        ("pipeline/stream.py", "from ..engines.local import run\nimport numpy"),
        ("cli/main.py", "import pystream as ps\nfrom pystream import col"),
        ("_native/__init__.py", "from pystream._native._core import Log"),
        ("compat/reader.py", "from pystream.log import Log\nfrom pystream import errors"),
    ],
)
def test_allowed_import_is_not_reported(imagined: Package, place: str, source: str) -> None:
    assert _breaches(imagined, place, source) == []


def test_eager_import_is_told_from_a_lazy_one(imagined: Package) -> None:
    path = imagined.root / "pystream" / "log" / "topic.py"
    lazy = "import typing\nif typing.TYPE_CHECKING:\n    import pandas\n"
    path.write_text(lazy + "def f():\n    import pyarrow\n")
    assert imagined.eager_optional_imports(path) == set()
    path.write_text("try:\n    import pyarrow.compute\nexcept ImportError:\n    pass\n")
    assert imagined.eager_optional_imports(path) == {"pyarrow"}


def test_nothing_imports_the_libraries_that_compat_stands_in_for() -> None:
    """They are compared with it by tests, and never needed."""
    for path in PACKAGE.modules():
        text = path.read_text()
        for line in text.splitlines():
            words = line.split()
            if words[:1] in (["import"], ["from"]):
                assert words[1].split(".")[0] not in {"confluent_kafka", "kafka"}, (path, line)
