"""What `import pystream` offers, pinned: a name comes or goes on purpose, or not at all."""

from __future__ import annotations

import importlib.metadata
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import pystream

ROOT = Path(__file__).resolve().parents[2]
SURFACE = [
    "AggregateFunction",
    "Aggregation",
    "Array",
    "AsyncConsumer",
    "AsyncProducer",
    "BatchAggregateFunction",
    "BatchMetadata",
    "Consumer",
    "Delivery",
    "Environment",
    "Expression",
    "HybridSource",
    "Job",
    "JobMetrics",
    "JobResult",
    "KeyedStream",
    "Log",
    "OffsetAndTimestamp",
    "OperatorMetrics",
    "OutputTag",
    "PartitionEnds",
    "Producer",
    "Record",
    "RecordBatch",
    "RecordMetadata",
    "Stream",
    "Topic",
    "TopicPartition",
    "Trigger",
    "TriggerContext",
    "TriggerResult",
    "TriggerWindow",
    "UserFunction",
    "WatermarkStrategy",
    "Window",
    "WindowedStream",
    "coalesce",
    "col",
    "count",
    "count_window",
    "cumulate",
    "errors",
    "global_window",
    "greatest",
    "hopping",
    "least",
    "lit",
    "open",
    "session",
    "tumbling",
    "udf",
    "when",
]


def test_surface_is_what_is_pinned_here() -> None:
    assert sorted(pystream.__all__) == SURFACE


@pytest.mark.parametrize("name", SURFACE)
def test_name_resolves_and_says_what_it_is(name: str) -> None:
    value = getattr(pystream, name)
    assert inspect.getdoc(value)
    assert name in dir(pystream)


def public_members(value: object) -> list[tuple[str, object]]:
    if not inspect.isclass(value):
        return []
    return [(name, member) for name, member in vars(value).items() if not name.startswith("_")]


@pytest.mark.parametrize("name", SURFACE)
def test_public_methods_are_documented(name: str) -> None:
    silent = [
        member_name
        for member_name, member in public_members(getattr(pystream, name))
        if (callable(member) or isinstance(member, property)) and not inspect.getdoc(member)
    ]
    assert silent == []


def test_nothing_else_is_loaded_or_listed() -> None:
    """A fresh interpreter shows the surface and no helper of the package."""
    program = "import pystream; print(*[n for n in dir(pystream) if not n.startswith('_')])"
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(ran.stdout.split()) == set(SURFACE)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'tumblnig'"):
        _ = pystream.tumblnig


def test_version_is_the_one_that_is_installed() -> None:
    assert pystream.__version__ == importlib.metadata.version("pystream")


def test_errors_form_one_tree() -> None:
    classes = [
        value
        for value in vars(pystream.errors).values()
        if inspect.isclass(value) and issubclass(value, Exception)
    ]
    assert [value for value in classes if not issubclass(value, pystream.errors.StreamError)] == []
