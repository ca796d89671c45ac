"""What a producer knows of the topics that it sends to, and how it notices that they changed."""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING

from pystream import _native, config
from pystream.errors import FencedError, UnknownTopicError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pystream._native import Codec, RecordAccumulator, TopicEncoder
    from pystream.log.log import Log
    from pystream.log.producer_name import ProducerName
    from pystream.log.transactions.transactions import Transactions

__all__ = ["ProducerTopics"]


class ProducerTopics:
    """Looks topics up for an accumulator.

    Parameters
    ----------
    log : Log
    name : ProducerName, optional
    compression : {"none", "lz4"}, optional
        Default: each topic's.
    max_record_bytes : int
    make_accumulator : callable
        Called with this object once it can be asked.
    transactions : Transactions, optional
        Of a transactional producer, which has no name besides.
    """

    def __init__(
        self,
        log: Log,
        name: ProducerName | None,
        compression: Codec | None,
        max_record_bytes: int,
        make_accumulator: Callable[[ProducerTopics], RecordAccumulator],
        *,
        transactions: Transactions | None = None,
    ) -> None:
        self._log = log
        self._name = name
        self._transactions = transactions
        self._compression = compression
        self._max_record_bytes = max_record_bytes
        if transactions is not None:
            self.producer_id = transactions.producer_id
        else:
            self.producer_id = _native.random_producer_id() if name is None else name.id
        self._catalog_mark = log.catalog.change_mark()
        self._unsaved_batches = 0
        self._sequences: dict[bytes, _native.TopicSequences] = {}  # by topic id
        self.accumulator = make_accumulator(self)

    def make_encoder(self, topic: str) -> TopicEncoder:
        """Look a topic up for its first record."""
        known = self._log.topic(topic)
        schema = known.schema
        keys = [schema.index_of(name) for name in known.key]
        first_keyless = random.randrange(known.partitions)
        name, transactions = self._name, self._transactions
        known_as = name or transactions
        partitions = known.native_partitions(range(known.partitions))
        for partition in partitions:
            partition.set_segment_bytes(known.segment_bytes)
        writer = _native.TopicWriter(
            partitions,
            key_columns=keys,
            codec=self._compression or known.compression,
            append_time=known.timestamp_type == "append_time",
            max_record_bytes=self._max_record_bytes,
            first_keyless_partition=first_keyless,
            producer_id=self.producer_id,
            producer_epoch=0 if known_as is None else known_as.epoch,
            producer_name="" if known_as is None else known_as.name,
            is_transactional=transactions is not None,
            positions=(
                () if name is None else name.positions(known.description.id, known.partitions)
            ),
        )
        if transactions is not None and transactions.is_open:
            writer.set_transaction(transactions.transaction_id, transactions.epoch)
        sequences = None
        if name is not None:
            topic_id = known.description.id
            # Before the first append: the next of this name must find what this one writes.
            sequences = self._sequences.setdefault(
                topic_id, _native.TopicSequences(writer.complete_sequence)
            )
            name.save(topic_id, writer.positions(), sequences.complete())
        return _native.TopicEncoder(
            known.name,
            known.description.schema_blob,
            tuple(schema.names),
            tuple(str(dtype) for _, dtype, _ in schema.fields),
            keys,
            known.partitions,
            known.is_typed,
            first_keyless,
            known,
            writer,
            sequences,
            known.description.config.is_compacted,
        )

    def save_positions(self) -> None:
        """Store where the next producer of this name reads on."""
        if self._name is None:
            return
        self._unsaved_batches = 0
        with contextlib.suppress(FencedError):  # the newer one stores its own
            for encoder in self.accumulator.encoders():
                topic_id = encoder.target.description.id
                complete = self._sequences[topic_id].complete()
                self._name.save(topic_id, encoder.writer.positions(), complete)

    def is_outdated(self, encoder: TopicEncoder) -> bool:
        """Return whether the topic is another than when it was looked up, or has more.

        What refuses a record asks this first: no batch would come of it that looks for changes.
        """
        found = self._log.catalog.find_topic(encoder.topic)
        known = encoder.target.description
        if found is None:
            return False
        if found.id != known.id:
            self.accumulator.drop_encoder(encoder)
            return True
        if (found.schema_id, found.partitions) == (known.schema_id, known.partitions):
            return False
        self.accumulator.retire_encoder(encoder)
        return True

    def begin_transaction(self) -> None:
        """Let what is appended from now on belong to the transaction that has begun."""
        assert self._transactions is not None
        for encoder in self.accumulator.encoders():
            encoder.writer.set_transaction(
                self._transactions.transaction_id, self._transactions.epoch
            )

    def check(self, encoder: TopicEncoder, partition: int | None = None) -> None:
        """Raise when the topic was deleted since it was looked up, or the producer is fenced.

        A transaction is about to write to the partition, or, without one, to any of the topic.
        """
        self.forget_changed()
        if self._name is not None:
            # So that the next of this name has little to read, should this one be killed.
            self._unsaved_batches += 1
            if self._unsaved_batches > config.POSITION_BATCHES:
                self.save_positions()
        if encoder.is_gone:
            raise UnknownTopicError(
                f"topic {encoder.topic!r} was deleted before its records were appended. Create it "
                "again and send them anew.",
                topic=encoder.topic,
            )
        if self._transactions is not None:
            numbers = range(encoder.partitions) if partition is None else (partition,)
            self._transactions.before_append(encoder.target.description.id, numbers)

    def forget_changed(self) -> None:
        """Let topics be looked up anew that were altered, or deleted and perhaps made again."""
        mark = self._log.catalog.change_mark()
        is_changed = mark != self._catalog_mark
        if self._name is not None:
            self._name.check_current(is_changed=is_changed)
        if is_changed and self._transactions is not None and self._transactions.is_open:
            self._transactions.check_current()
        if is_changed:
            self._catalog_mark = mark
            for known in self.accumulator.encoders():
                found = self._log.catalog.find_topic(known.topic)
                if found is None or found.id != known.target.description.id:
                    self.accumulator.drop_encoder(known)
                elif found != known.target.description:
                    self.accumulator.retire_encoder(known)
