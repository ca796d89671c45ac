from __future__ import annotations

from pathlib import Path

import pytest

from tests.torture import fuzz
from tests.torture.harness import Outcome


def make_fuzzer(directory: Path, script: str) -> None:
    program = directory / "fuzz" / "segment_fuzz"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYSTREAM_FUZZ_BUILD", str(tmp_path))
    monkeypatch.setattr(fuzz, "ARTIFACTS", tmp_path / "failures")
    return tmp_path


def test_inputs_that_were_executed_are_counted(build: Path) -> None:
    make_fuzzer(build, "echo 'stat::number_of_executed_units: 4711' >&2")
    outcome = fuzz.run("segment_fuzz", 3, 1.0)
    assert outcome == Outcome(4711, 4)


def test_an_input_that_fails_is_repeated_by_a_command_that_shows_where_memory_came_from(
    build: Path,
) -> None:
    make_fuzzer(
        build, "echo 'ERROR: heap-use-after-free\nTest unit written to /a/crash' >&2; exit 77"
    )
    outcome = fuzz.run("segment_fuzz", 3, 1.0)
    assert "heap-use-after-free" in str(outcome.failure)
    assert outcome.repeat == (
        "ASAN_OPTIONS=malloc_context_size=30:quarantine_size_mb=256 "
        f"{build}/fuzz/segment_fuzz /a/crash"
    )
