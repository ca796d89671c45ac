"""The tree of errors: what each one is, and the facts it carries."""

from __future__ import annotations

import inspect
import pickle

import pytest

from pystream import errors

BUILT_IN = {
    "ConfigError": ValueError,
    "UnknownTopicError": LookupError,
    "UnknownGroupError": LookupError,
    "OffsetOutOfRangeError": LookupError,
    "RecordTooLargeError": ValueError,
    "StorageError": OSError,
    "ClosedError": ValueError,
    "RequestTimeoutError": TimeoutError,
    "SchemaError": TypeError,
}
CLASSES = [getattr(errors, name) for name in errors.__all__]


def test_module_exports_every_error() -> None:
    defined = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and value.__module__ == errors.__name__
    }
    assert defined == set(errors.__all__)


@pytest.mark.parametrize("cls", CLASSES)
def test_error_is_a_stream_error_and_what_users_expect_to_catch(
    cls: type[errors.StreamError],
) -> None:
    assert issubclass(cls, errors.StreamError)
    assert issubclass(cls, BUILT_IN.get(cls.__name__, Exception))
    assert isinstance(cls.retriable, bool)


@pytest.mark.parametrize("cls", CLASSES)
def test_message_is_shown_as_written(cls: type[errors.StreamError]) -> None:
    assert str(cls("what happened. What to do.")) == "what happened. What to do."


def test_facts_are_attributes_and_unknown_ones_are_refused() -> None:
    error = errors.OffsetOutOfRangeError("x", topic="orders", partition=3, offset=812)
    assert (error.topic, error.partition, error.offset, error.log_end_offset) == (
        "orders",
        3,
        812,
        None,
    )
    with pytest.raises(TypeError, match="no fact 'colour'"):
        errors.LogError("x", colour="red")


def test_storage_error_keeps_errno_and_path_through_pickle() -> None:
    error = errors.StorageError("disk full: /x: No space left", errno=28, path="/x")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.errno, copy.path) == (type(error), str(error), 28, "/x")


def test_only_errors_that_may_pass_are_retriable() -> None:
    assert {cls.__name__ for cls in CLASSES if cls.retriable} == {
        "BufferFullError",
        "GroupNotEmptyError",
        "RequestTimeoutError",
        "RebalanceInProgressError",
        "UnreleasedInstanceIdError",
    }
