"""Transactions. Part of the producer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from pystream import errors, types
from pystream.compat.confluent_kafka.kafka_error import (
    KafkaError,
    KafkaException,
    raised,
    to_kafka_error,
)
from pystream.compat.confluent_kafka.message import TopicPartition
from pystream.compat.group_identity import GroupIdentity
from pystream.compat.joined_errors import joined

if TYPE_CHECKING:
    from pystream.log.producer import Producer as LogProducer

__all__ = ["ProducerTransactions"]


class ProducerTransactions:
    """The part of :class:`Producer` that is about transactions."""

    _native: LogProducer | None  # None: `init_transactions` makes it
    _transactional_id: str | None
    _is_in_transaction: bool
    _is_closed: bool

    def _start(self) -> None:
        raise NotImplementedError

    def _serve(self) -> int:
        raise NotImplementedError

    def init_transactions(self, timeout: float = -1) -> None:
        """Take the ``transactional.id``, abort what its last owner left, and fence it."""
        self._require_id()
        if self._native is None:
            self._start()

    def begin_transaction(self) -> None:
        """Begin a transaction: what is sent from now on counts with it."""
        with self._transacting() as native:
            native.begin_transaction()
            self._is_in_transaction = True

    def send_offsets_to_transaction(
        self, positions: list[TopicPartition], group_metadata: GroupIdentity, timeout: float = -1
    ) -> None:
        """Commit a group's offsets with the transaction."""
        offsets = {
            types.TopicPartition(each.topic, each.partition): each.offset
            for each in positions
            if each.offset >= 0
        }
        with self._transacting(may_be_repeated=False) as native:
            if not isinstance(group_metadata, GroupIdentity):
                raise TypeError("group_metadata must come from consumer_group_metadata()")
            if offsets:
                native.send_offsets_to_transaction(offsets, group_metadata.metadata)

    def commit_transaction(self, timeout: float = -1) -> None:
        """Commit the transaction, with reports for all of its messages."""
        with self._transacting() as native:
            native.commit_transaction(_limit(timeout))
            self._is_in_transaction = False
        self._serve()

    def abort_transaction(self, timeout: float = -1) -> None:
        """Abort the transaction: nobody who reads committed messages sees any of it."""
        with self._transacting() as native:
            native.abort_transaction(_limit(timeout))
            self._is_in_transaction = False
        self._serve()

    def _check_open(self) -> None:
        if self._is_closed:
            raise RuntimeError("Producer has been closed")

    def _require_id(self) -> None:
        self._check_open()
        if self._transactional_id is None:
            raise raised(
                errors.ConfigError(
                    "The Transactional API requires transactional.id to be configured"
                ),
                KafkaError._NOT_CONFIGURED,
            )

    @contextmanager
    def _transacting(self, *, may_be_repeated: bool = True) -> Iterator[LogProducer]:
        """Do something to a transaction; say of an error whether it must be aborted."""
        self._require_id()
        if self._native is None:
            raise KafkaException(
                KafkaError(KafkaError._STATE, "init_transactions() must be called first")
            )
        try:
            yield self._native
        except errors.StreamError as error:
            value = to_kafka_error(error)
            is_retriable = may_be_repeated and isinstance(
                error, errors.RequestTimeoutError | errors.StorageError
            )
            goes_on = value.fatal() or is_retriable or isinstance(error, errors.ConfigError)
            must_abort = self._is_in_transaction and not goes_on
            told = KafkaError(value.code(), str(error), value.fatal(), is_retriable, must_abort)
            raise joined(KafkaException, error, told) from error


def _limit(seconds: float) -> timedelta | None:
    return None if seconds is None or seconds < 0 else timedelta(seconds=seconds)
