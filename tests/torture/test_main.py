"""``make torture`` takes turns, goes on where it was, and says how to repeat a failure."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest

from tests.torture import __main__ as torture
from tests.torture import fuzz, native
from tests.torture.harness import Harness, Outcome, run_seeds, said_by
from tests.torture.progress import Progress, Tally


class Recording:
    """A harness that remembers its turns, and fails at one seed."""

    def __init__(self, fails_at: int = -1) -> None:
        self.seeds: list[int] = []
        self._fails_at = fails_at

    def run(self, seed: int, seconds: float) -> Outcome:
        assert seconds > 0
        self.seeds.append(seed)
        if seed == self._fails_at:
            return Outcome(3, seed + 5, "record 7 is lost", "repeat --seed 7")
        return Outcome(10, seed + 5)


@pytest.fixture
def harnesses(monkeypatch: pytest.MonkeyPatch) -> tuple[Recording, Recording]:
    one, two = Recording(), Recording(fails_at=6)
    chosen = (Harness("one", "cases", 1000, one.run), Harness("two", "cases", 10**9, two.run))
    monkeypatch.setattr(torture, "HARNESSES", chosen)
    return one, two


def run(state: Path, *more: str) -> int:
    return torture.main(["--minutes", "0.005", "--state", str(state), *more])


def test_harnesses_go_on_where_they_were_left(
    harnesses: tuple[Recording, Recording], tmp_path: Path
) -> None:
    one, _ = harnesses
    for _ in range(2):
        assert run(tmp_path / "state", "--only", "one") == 0
    assert len(one.seeds) >= 2
    assert one.seeds == list(range(1, 5 * len(one.seeds), 5))
    tally = Progress(tmp_path / "state").of("one")
    assert (tally.cases, tally.failures) == (10 * len(one.seeds), 0)


def test_a_failure_is_told_with_the_command_that_repeats_it(
    harnesses: tuple[Recording, Recording], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "state", "--only", "two", "--seed", "6") == 1
    shown = capsys.readouterr().out
    assert "record 7 is lost" in shown
    assert "Repeat it: repeat --seed 7" in shown
    assert Progress(tmp_path / "state").of("two").failures == 1


def test_a_harness_that_failed_leaves_its_turns_to_the_others(
    harnesses: tuple[Recording, Recording], tmp_path: Path
) -> None:
    one, two = harnesses
    progress = Progress(tmp_path / "state")
    progress.of("one").seconds = 100.0  # so that the other one has turn after turn
    progress.save()
    assert run(tmp_path / "state", "--seed", "6") == 1
    assert two.seeds == [6]
    assert one.seeds


def test_a_program_that_takes_too_long_has_failed_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def hang(seed: int, seconds: float) -> Outcome:
        raise subprocess.TimeoutExpired(["python", "-m", "some.harness", seed], 280)

    one = Recording()
    chosen = (Harness("hung", "cases", 9, hang), Harness("one", "cases", 1000, one.run))
    monkeypatch.setattr(torture, "HARNESSES", chosen)
    assert run(tmp_path / "state") == 1
    assert one.seeds
    assert "Repeat it: python -m some.harness 1" in capsys.readouterr().out


def test_a_harness_that_reached_its_aim_leaves_its_turns_to_the_others(
    harnesses: tuple[Recording, Recording], tmp_path: Path
) -> None:
    one, two = harnesses
    progress = Progress(tmp_path / "state")
    progress.of("one").cases = 1000
    progress.of("two").seconds = 100.0
    progress.save()
    assert run(tmp_path / "state", "--seed", "100") == 0
    assert not one.seeds
    assert two.seeds


def test_two_jobs_never_run_one_harness_side_by_side(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    meeting = threading.Barrier(2)

    def meet(seed: int, seconds: float) -> Outcome:
        if seed == 1:
            meeting.wait(timeout=20)  # the other one is running now
        return Outcome(10, seed + 1)

    chosen = tuple(Harness(name, "cases", 1000, meet) for name in ("one", "two"))
    monkeypatch.setattr(torture, "HARNESSES", chosen)
    assert run(tmp_path / "state", "--jobs", "2") == 0
    progress = Progress(tmp_path / "state")
    assert min(progress.of("one").cases, progress.of("two").cases) >= 10


def test_an_unknown_name_lists_those_that_there_are(
    harnesses: tuple[Recording, Recording], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(tmp_path / "state", "--only", "three")
    assert "there are one, two" in capsys.readouterr().err


def test_hours_to_the_aim_follow_from_the_rate() -> None:
    tally = Tally(cases=3600, seconds=36.0)
    assert tally.rate == 100.0
    assert tally.hours_to(360_000 + 3600) == 1.0
    assert tally.hours_to(100) == 0.0
    assert Tally().hours_to(1) is None


def test_every_harness_has_a_name_of_its_own_and_an_aim() -> None:
    names = [harness.name for harness in torture.HARNESSES]
    assert len(set(names)) == len(names) >= 15
    assert all(harness.aim > 0 for harness in torture.HARNESSES)


def program(directory: Path, script: str) -> native.NativeTest:
    path = directory / "tests" / "a_test"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return native.NativeTest("a_test", "Some.Test")


def test_a_native_test_reports_its_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYSTREAM_NATIVE_BUILD", str(tmp_path))
    script = 'echo "torture: $PYSTREAM_TORTURE_CASES cases, next seed 9"'
    assert program(tmp_path, script).run_cases(4, 25) == Outcome(25, 9)


@pytest.mark.parametrize("script", ["exit 0", "echo seed 12, point 3; exit 1", "kill -9 $$"])
def test_a_native_test_that_says_nothing_or_fails_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setenv("PYSTREAM_NATIVE_BUILD", str(tmp_path))
    outcome = program(tmp_path, script).run_cases(12, 25)
    assert outcome.failure
    assert outcome.next_seed == 13
    assert "PYSTREAM_TORTURE_SEED=12 " in outcome.repeat


def fuzzer(directory: Path, script: str) -> None:
    path = directory / "fuzz" / "a_fuzz"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_fuzzer_reports_how_many_inputs_it_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYSTREAM_FUZZ_BUILD", str(tmp_path))
    fuzzer(tmp_path, 'echo "stat::number_of_executed_units: 123" >&2')
    assert fuzz.run("a_fuzz", 7, 1.0) == Outcome(123, 8)


def test_a_fuzzer_that_fails_names_the_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYSTREAM_FUZZ_BUILD", str(tmp_path))
    fuzzer(tmp_path, 'echo "a leak. Test unit written to /some/crash-1" >&2; exit 77')
    outcome = fuzz.run("a_fuzz", 7, 1.0)
    assert "a leak" in (outcome.failure or "")
    assert outcome.repeat.endswith("a_fuzz /some/crash-1")
    assert outcome.next_seed == 8


def ended(stdout: str) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess([], 3, stdout, "it hurts")


@pytest.mark.parametrize("stdout", ["", "no JSON\n"])
def test_a_program_that_says_nothing_has_failed(stdout: str) -> None:
    assert said_by(ended(stdout)) == {"failure": "it ended with 3:\nit hurts"}
    assert said_by(ended('{"cases": 1}\n{"cases": 2}\n')) == {"cases": 2}


def test_seeds_go_on_until_one_fails() -> None:
    recording = Recording(fails_at=11)
    outcome = run_seeds(lambda seed: recording.run(seed, 1.0), 1, 60.0)
    assert recording.seeds == [1, 6, 11]
    assert outcome == Outcome(23, 16, "record 7 is lost", "repeat --seed 7")
    assert run_seeds(lambda seed: recording.run(seed, 1.0), 1, 0.0) == Outcome(10, 6)
