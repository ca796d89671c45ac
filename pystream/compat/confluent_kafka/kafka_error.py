"""KafkaError and KafkaException: what every call raises, with pystream's own error in it."""

from __future__ import annotations

import builtins
from typing import Any

from pystream import errors
from pystream.compat.confluent_kafka.error_codes import KafkaErrorCodes
from pystream.compat.joined_errors import joined

__all__ = ["KafkaError", "KafkaException", "raised", "to_kafka_error"]

_NAMES = {number: name for name, number in vars(KafkaErrorCodes).items() if isinstance(number, int)}


class KafkaError(KafkaErrorCodes):
    """An error as a value: in ``exception.args[0]``, ``message.error()`` and delivery reports.

    Parameters
    ----------
    error : int
        One of the class's codes.
    reason : str, optional
        Default: the code's name in words.
    fatal, retriable, txn_requires_abort : bool, default False

    Examples
    --------
    >>> error = KafkaError(KafkaError._QUEUE_FULL)
    >>> error.code() == error == KafkaError._QUEUE_FULL, error.name(), error.str()
    (True, '_QUEUE_FULL', 'Local: Queue full')
    """

    def __init__(
        self,
        error: int,
        reason: str | None = None,
        fatal: bool = False,
        retriable: bool = False,
        txn_requires_abort: bool = False,
    ) -> None:
        self._code = error
        self._reason = reason
        self._fatal = fatal
        self._retriable = retriable
        self._txn_requires_abort = txn_requires_abort

    def code(self) -> int:
        """Return the number."""
        return self._code

    def name(self) -> builtins.str:
        """Return the code's name."""
        return _NAMES.get(self._code, f"ERR_{self._code}?")

    def str(self) -> builtins.str:
        """Return what happened."""
        if self._reason is not None:
            return self._reason
        words = self.name().strip("_").replace("_", " ").capitalize()
        return f"{'Local' if self._code < -1 else 'Broker'}: {words}"

    def fatal(self) -> bool:
        """Return whether the client cannot go on."""
        return self._fatal

    def retriable(self) -> bool:
        """Return whether the same call may succeed later."""
        return self._retriable

    def txn_requires_abort(self) -> bool:
        """Return whether the transaction must be aborted."""
        return self._txn_requires_abort

    def __bool__(self) -> bool:
        return self._code != 0

    def __hash__(self) -> int:
        return hash(self._code)

    def __eq__(self, other: object) -> bool:
        number = _number(other)
        return NotImplemented if number is None else self._code == number

    def __lt__(self, other: object) -> bool:
        number = _number(other)
        return NotImplemented if number is None else self._code < number

    def __le__(self, other: object) -> bool:
        number = _number(other)
        return NotImplemented if number is None else self._code <= number

    def __gt__(self, other: object) -> bool:
        number = _number(other)
        return NotImplemented if number is None else self._code > number

    def __ge__(self, other: object) -> bool:
        number = _number(other)
        return NotImplemented if number is None else self._code >= number

    def __str__(self) -> builtins.str:
        return f'KafkaError{{code={self.name()},val={self._code},str="{self.str()}"}}'

    __repr__ = __str__


def _number(other: object) -> int | None:
    if isinstance(other, KafkaError):
        return other._code
    return other if isinstance(other, int) else None


class KafkaException(Exception):
    """Raised by every call that fails; ``args[0]`` is the :class:`KafkaError`.

    One that comes from the log is also of the class that pystream raises, such as
    ``pystream.errors.UnknownTopicError``, and has its facts.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args)


_CODES: list[tuple[type[errors.StreamError], int]] = [
    (errors.UnknownTopicError, KafkaError.UNKNOWN_TOPIC_OR_PART),
    (errors.UnknownGroupError, KafkaError.GROUP_ID_NOT_FOUND),
    (errors.TopicExistsError, KafkaError.TOPIC_ALREADY_EXISTS),
    (errors.OffsetOutOfRangeError, KafkaError.OFFSET_OUT_OF_RANGE),
    (errors.RecordTooLargeError, KafkaError.MSG_SIZE_TOO_LARGE),
    (errors.CorruptRecordError, KafkaError._BAD_MSG),
    (errors.StorageError, KafkaError._FS),
    (errors.ClosedError, KafkaError._DESTROY),
    (errors.BufferFullError, KafkaError._QUEUE_FULL),
    (errors.RequestTimeoutError, KafkaError._TIMED_OUT),
    (errors.InvalidTransactionStateError, KafkaError._STATE),
    (errors.GroupNotEmptyError, KafkaError.NON_EMPTY_GROUP),
    (errors.UnreleasedInstanceIdError, KafkaError.UNRELEASED_INSTANCE_ID),
    (errors.RebalanceInProgressError, KafkaError.REBALANCE_IN_PROGRESS),
    (errors.SchemaError, KafkaError.INVALID_RECORD),
    (errors.ConfigError, KafkaError._INVALID_ARG),
    (errors.NotSupportedError, KafkaError._UNSUPPORTED_FEATURE),
]


def to_kafka_error(error: errors.StreamError) -> KafkaError:
    """Return one of pystream's errors as a value."""
    code = KafkaError._FAIL
    if isinstance(error, errors.FencedError):
        is_member = error.group_id is not None
        code = KafkaError.ILLEGAL_GENERATION if is_member else KafkaError._FENCED
        return KafkaError(code, str(error), fatal=not is_member)
    for kind, number in _CODES:
        if isinstance(error, kind):
            code = number
            break
    return KafkaError(code, str(error), retriable=error.retriable)


def raised(error: errors.StreamError, code: int | None = None) -> KafkaException:
    """Return what is raised for one of pystream's errors."""
    value = to_kafka_error(error) if code is None else KafkaError(code, str(error))
    return joined(KafkaException, error, value)
