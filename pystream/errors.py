"""Everything that pystream raises on purpose.

::

    StreamError
    ├─ ConfigError (ValueError)
    ├─ NotSupportedError
    ├─ LogError
    │  ├─ UnknownTopicError (LookupError)
    │  ├─ UnknownGroupError (LookupError)
    │  ├─ TopicExistsError
    │  ├─ OffsetOutOfRangeError (LookupError)
    │  ├─ RecordTooLargeError (ValueError)
    │  ├─ CorruptRecordError
    │  ├─ CorruptCatalogError
    │  ├─ StorageError (OSError)
    │  └─ ClosedError (ValueError)
    ├─ ClientError
    │  ├─ BufferFullError
    │  ├─ RequestTimeoutError (TimeoutError)
    │  ├─ FencedError
    │  ├─ InvalidTransactionStateError
    │  ├─ GroupNotEmptyError
    │  ├─ UnreleasedInstanceIdError
    │  └─ RebalanceInProgressError
    └─ PipelineError
       ├─ OperatorError
       ├─ SchemaError (TypeError)
       └─ CheckpointError

A message says in one sentence what happened, with values, and in one what to do. The facts in it
are attributes too, so that a handler need not parse; a fact that is not known is None.
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [
    "BufferFullError",
    "CheckpointError",
    "ClientError",
    "ClosedError",
    "ConfigError",
    "CorruptCatalogError",
    "CorruptRecordError",
    "FencedError",
    "GroupNotEmptyError",
    "InvalidTransactionStateError",
    "LogError",
    "NotSupportedError",
    "OffsetOutOfRangeError",
    "OperatorError",
    "PipelineError",
    "RebalanceInProgressError",
    "RecordTooLargeError",
    "RequestTimeoutError",
    "SchemaError",
    "StorageError",
    "StreamError",
    "TopicExistsError",
    "UnknownGroupError",
    "UnknownTopicError",
    "UnknownTransactionError",
    "UnreleasedInstanceIdError",
]


class StreamError(Exception):
    """Base of all errors of pystream.

    Parameters
    ----------
    message : str
        What happened and what to do.
    **facts : object
        Attributes of this class of error.

    Examples
    --------
    >>> error = UnknownTopicError("topic 'orders' does not exist. Create it.", topic="orders")
    >>> error.topic, error.retriable, isinstance(error, LookupError)
    ('orders', False, True)
    """

    retriable: ClassVar[bool] = False
    """Whether the same call may succeed later without a change by the caller."""

    def __init__(self, message: str = "", **facts: object) -> None:
        super().__init__(message)
        for name, value in facts.items():
            if not hasattr(type(self), name):
                raise TypeError(f"{type(self).__name__} has no fact {name!r}")
            setattr(self, name, value)

    def __str__(self) -> str:
        # Not inherited: OSError and LookupError would decorate the message.
        return str(self.args[0]) if self.args else ""


class ConfigError(StreamError, ValueError):
    """A setting is wrong; the message says which, what was given and what is accepted."""


class NotSupportedError(StreamError):
    """A feature that does not exist yet on this engine or log, named in the message."""

    topic: str | None = None
    column: str | None = None
    operator: str | None = None


class LogError(StreamError):
    """The log as a whole, or a part of it, cannot be used as asked."""

    topic: str | None = None
    partition: int | None = None
    path: str | None = None
    version: int | None = None
    """Of the format, when that is what cannot be read."""


class UnknownTopicError(LogError, LookupError):
    """A topic or partition does not exist."""


class UnknownGroupError(LogError, LookupError):
    """A consumer group does not exist."""

    group_id: str | None = None


class UnknownTransactionError(LogError, LookupError):
    """There is no such transaction, or it is over and forgotten."""

    transaction_id: int | None = None


class TopicExistsError(LogError):
    """A topic of that name exists already, or exists with other properties."""


class OffsetOutOfRangeError(LogError, LookupError):
    """An offset lies outside what the partition holds."""

    offset: int | None = None
    log_start_offset: int | None = None
    log_end_offset: int | None = None


class RecordTooLargeError(LogError, ValueError):
    """A record or batch is larger than the limit; nothing of it was kept."""

    size: int | None = None
    limit: int | None = None


class CorruptRecordError(LogError):
    """Stored bytes fail their checksum or cannot be what was written.

    The records of `topic` and `partition` from `offset` up to, but not including, `next_offset`
    are lost; the damage is at byte `position` of `path`. A consumer that seeks to `next_offset`
    goes on behind them.
    """

    offset: int | None = None
    next_offset: int | None = None
    position: int | None = None


class CorruptCatalogError(LogError):
    """A row of the log's catalog holds what pystream did not write there, or is missing.

    What has nothing to do with that row goes on. ``pystream verify`` lists all such rows.
    """

    table: str | None = None
    row: str | None = None
    """Its key, as ``"group_id=1, topic_id=x'...', partition=0"``."""
    column: str | None = None
    value: Any = None


class StorageError(LogError, OSError):
    """The operating system refused; ``errno`` and ``path`` say what and where."""

    def __init__(self, message: str = "", **facts: object) -> None:
        # OSError keeps errno in a slot of its own, which no class attribute can stand in for.
        number = facts.pop("errno", None)
        super().__init__(message, **facts)
        if isinstance(number, int):
            self.errno = number

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args, {**self.__dict__, "errno": self.errno}


class ClosedError(LogError, ValueError):
    """A log, producer or consumer was used after it was closed, or in a forked child."""


class ClientError(StreamError):
    """A producer or consumer could not do what was asked."""


class BufferFullError(ClientError):
    """The producer's buffer stayed full for as long as it may block."""

    retriable = True
    limit: int | None = None


class RequestTimeoutError(ClientError, TimeoutError):
    """Something took longer than it may; it may yet happen."""

    retriable = True
    pid: int | None = None


class FencedError(ClientError):
    """A newer producer or group generation exists; this one must stop.

    A consumer gets it for an offset of a partition that is another member's now.
    """

    producer_name: str | None = None
    epoch: int | None = None
    current_epoch: int | None = None
    group_id: str | None = None
    member_id: str | None = None
    topic: str | None = None
    partition: int | None = None


class InvalidTransactionStateError(ClientError):
    """A transactional producer cannot do this now: see what the message says is to be done first.

    Calls came out of order, or the transaction has failed, or was aborted by somebody else, and can
    only be aborted.
    """

    transaction_id: int | None = None


class GroupNotEmptyError(ClientError):
    """A consumer group has members, so what was asked must wait until they have left."""

    retriable = True
    group_id: str | None = None
    members: int | None = None


class UnreleasedInstanceIdError(ClientError):
    """A live member of the group has the ``group_instance_id``."""

    retriable = True
    group_id: str | None = None
    group_instance_id: str | None = None
    pid: int | None = None


class RebalanceInProgressError(ClientError):
    """The group is moving partitions; join again."""

    retriable = True


class PipelineError(StreamError):
    """A pipeline cannot be built or run as described."""


class OperatorError(PipelineError):
    """An operator failed; a user function's exception is the ``__cause__``."""

    operator: str | None = None
    expression: str | None = None
    row: int | None = None
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    key: str | None = None
    window_start: int | None = None
    window_end: int | None = None


class SchemaError(PipelineError, TypeError):
    """Columns or values do not fit a schema or an expression."""

    topic: str | None = None
    column: str | None = None
    expected: str | None = None
    got: str | None = None
    row: int | None = None
    expression: str | None = None
    operator: str | None = None
    value: Any = None
    key: str | None = None
    window_start: int | None = None
    window_end: int | None = None


class CheckpointError(PipelineError):
    """A checkpoint could not be taken or restored."""

    operator: str | None = None
