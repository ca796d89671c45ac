"""Blocks whose end runs whatever happens, and files that are closed when they are dropped."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from pystream._native import Descriptor, Guard


class Steps:
    """Writes down what is called, and raises what is due."""

    def __init__(self, *due: BaseException | None) -> None:
        self.due = list(due)
        self.calls: list[object] = []

    def step(self, what: object) -> str:
        self.calls.append(what)
        if self.due and (error := self.due.pop(0)) is not None:
            raise error
        return "given"

    def guard(self, lock: object) -> Guard[str]:
        return Guard(lock, lambda: self.step("begin"), self.step)  # type: ignore[arg-type]


def run(guard: Guard[str], error: Exception | None) -> None:
    with guard:
        if error is not None:
            raise error


def is_free(lock: object) -> bool:
    taken: list[bool] = []
    thread = threading.Thread(target=lambda: taken.append(lock.acquire(blocking=False)))  # type: ignore[attr-defined]
    thread.start()
    thread.join()
    return taken == [True]


def test_a_block_holds_the_lock_and_ends_once() -> None:
    lock, steps = threading.RLock(), Steps()
    with steps.guard(lock) as given, steps.guard(lock):
        assert given == "given"
        assert not is_free(lock)
    assert steps.calls == ["begin", "begin", None, None]
    assert is_free(lock)


def test_what_a_block_raises_comes_to_its_end_and_to_the_caller() -> None:
    lock, steps, error = threading.RLock(), Steps(), KeyError("body")
    with pytest.raises(KeyError, match="body"), steps.guard(lock):
        raise error
    assert steps.calls == ["begin", error]
    assert is_free(lock)


@pytest.mark.parametrize("error", [ValueError("begin"), KeyboardInterrupt("begin")])
def test_a_beginning_that_raises_is_ended(error: BaseException) -> None:
    lock, steps = threading.RLock(), Steps(error)
    with pytest.raises(type(error), match="begin"), steps.guard(lock):
        pytest.fail("the block does not run")
    assert steps.calls == ["begin", error]
    assert is_free(lock)


def test_an_end_that_fails_is_not_tried_again() -> None:
    lock, steps = threading.RLock(), Steps(None, ValueError("end"))
    with pytest.raises(ValueError, match="end"), steps.guard(lock):
        pass
    assert steps.calls == ["begin", None]
    assert is_free(lock)


@pytest.mark.parametrize("body", [None, KeyError("body")])
def test_an_end_that_ctrl_c_cuts_short_runs_again(body: Exception | None) -> None:
    interrupt = KeyboardInterrupt()
    lock, steps = threading.RLock(), Steps(None, interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(steps.guard(lock), body)
    assert steps.calls == ["begin", body, interrupt]
    assert is_free(lock)


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def test_a_descriptor_is_open_until_it_is_closed(tmp_path: Path) -> None:
    file = Descriptor(str(tmp_path / "file"), os.O_RDWR | os.O_CREAT, 0o600)
    number = file.number
    assert os.pwrite(number, b"mine", 0) == 4
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    file.close()
    file.close()
    assert file.number == -1
    assert not is_open(number)


def test_a_descriptor_that_is_dropped_is_closed(tmp_path: Path) -> None:
    file = Descriptor(str(tmp_path / "file"), os.O_RDWR | os.O_CREAT)
    number = file.number
    del file
    assert not is_open(number)


def test_a_descriptor_that_cannot_be_opened_names_the_file(tmp_path: Path) -> None:
    path = str(tmp_path / "missing" / "file")
    with pytest.raises(FileNotFoundError) as caught:
        Descriptor(path, os.O_RDONLY)
    assert caught.value.filename == path
