"""The background thread of a producer: appends batches as they close."""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from pystream import _native
from pystream.errors import ClientError, RequestTimeoutError, StreamError
from pystream.log.bell import Bell
from pystream.log.progress import Progress
from pystream.log.table_batch import TableBatch

if TYPE_CHECKING:
    from pystream._native import ProducerBatch, RecordAccumulator, TopicEncoder

__all__ = ["Sender"]


class Sender:
    """Takes closed batches from an accumulator and appends them, in the order they were closed.

    Parameters
    ----------
    accumulator : RecordAccumulator
    acks : {"published", "interval", "durable"}
    linger_us : int
        How long an open batch waits for more records.
    check_topic : callable
        Called before a batch is appended, with its topic and its partition, or None when it may go
        to all; raises when the topic is gone, or the producer fenced.

    Notes
    -----
    The thread starts when it is first woken, which tables of a producer without a name never do,
    and ends with :meth:`stop`. It sleeps while no batch is open, and keeps nothing alive meanwhile:
    a producer that is dropped goes once what was sent is appended, and the thread ends with it.
    Other threads call :meth:`wake`, :meth:`drain` and :meth:`stop`. With ``acks="durable"`` all
    batches that have closed are appended, and then each partition is synced once for them.
    """

    def __init__(
        self,
        accumulator: RecordAccumulator,
        acks: _native.Acks,
        linger_us: int,
        check_topic: Callable[[TopicEncoder, int | None], None],
    ) -> None:
        self._accumulator = accumulator
        self._acks = acks
        self._linger_us = linger_us
        self._check_topic = check_topic
        # What the thread sleeps for: this object, or the dead reference to it.
        self._calls: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._bell = Bell()  # ends its wait for more records
        self._finished = Progress()  # batches
        self._error: StreamError | None = None  # first since the last flush
        self.on_error: Callable[[StreamError], None] | None = None
        self._in_flight: list[ProducerBatch | TableBatch] = []
        self._is_stopping = False
        self._life = threading.Lock()  # of the thread: held while it starts
        self._thread: threading.Thread | None = None
        accumulator.is_idle = True  # so that the first record wakes the thread

    def start(self) -> None:
        """Start the thread; nothing happens when it runs or was stopped."""
        with self._life:
            if self._thread is None and not self._is_stopping:
                # Called without a line of Python, so that no Ctrl-C is lost in it.
                reference = weakref.ref(self, self._calls.put)
                # A daemon: the program may end without closing the producer, which then flushes it.
                self._thread = threading.Thread(
                    target=_serve,
                    args=(self._calls, reference),
                    name="pystream-producer",
                    daemon=True,
                )
                try:
                    self._thread.start()
                except BaseException:
                    self._thread = None  # Ctrl-C: if it has started all the same, it ends at once
                    raise

    def wake(self) -> None:
        """Make the thread look for work; it starts with that."""
        if self._calls.empty():  # else it has not looked yet
            self._calls.put(self)
        self._bell.ring()
        if self._thread is None:
            self.start()

    def wait_for_progress(self, seconds: float) -> None:
        """Wait until a batch is done, or that long."""
        self._finished.wait_for(self._finished.count + 1, seconds)

    def drain(self, timeout_us: int | None) -> bool:
        """Wait until everything sent so far is appended or has failed; say if that took a wait.

        Raises
        ------
        ClientError
            In the thread itself, which would wait for itself.
        RequestTimeoutError
            If it takes longer; the rest goes on.
        """
        self.check_not_inside()
        self._accumulator.seal_older_than(0)
        target = self._accumulator.sealed_count
        if self._finished.count >= target:
            return False
        self.wake()
        seconds = None if timeout_us is None else timeout_us / 1e6
        if not self._finished.wait_for(target, seconds):
            raise RequestTimeoutError(
                f"{target - self._finished.count} batches were not appended within {seconds:g} s. "
                "Call it again; they may yet be."
            )
        return True

    def check_not_inside(self) -> None:
        """Raise ClientError in the background thread, that is, in a delivery callback."""
        if threading.current_thread() is self._thread:
            raise ClientError(
                "a delivery callback called flush(), send_batch() or close(), which would wait for "
                "the callback itself. Call it in another thread."
            )

    def note_error(self, error: StreamError) -> None:
        """Keep an error for :meth:`take_error`, unless there is one already."""
        if self._error is None:
            self._error = error
        if self.on_error is not None:
            self.on_error(error)

    def take_error(self) -> StreamError | None:
        """Return the first error since the last call, and forget it."""
        error, self._error = self._error, None
        return error

    @property
    def is_running(self) -> bool:
        """Whether there is a thread."""
        return self._thread is not None

    def stop(self) -> None:
        """End the thread after what was sent is done; Ctrl-C ends the wait, but not the thread."""
        if self._thread is None and self._accumulator.has_work():
            self.start()  # Ctrl-C came between a record and the wake
        with self._life:
            self._is_stopping = True
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            self.wake()
            thread.join()
            self._thread = None

    def abandon(self, reason: StreamError) -> None:
        """Give up what a forked child inherited: the thread and its batches are the parent's."""
        for batch in [*self._in_flight, *self._accumulator.take_all()]:
            batch.abandon(reason)
        self._thread = None
        self._life = threading.Lock()
        self._calls = queue.SimpleQueue()

    # -- in the thread -------------------------------------------------------------------------

    def work(self) -> bool:
        """Append batches until none is open; return whether there may be more later."""
        with self._life:
            if self._thread is not threading.current_thread():
                self._calls.put(self)  # Ctrl-C cut its start short, and another has its place
                return False
        accumulator = self._accumulator
        accumulator.note_worker()
        accumulator.is_idle = False
        self._bell.wait(0)  # it rang for this call
        while True:
            accumulator.seal_older_than(0 if self._is_stopping else self._linger_us)
            self._in_flight = accumulator.take_sealed()
            if self._acks == "durable" and self._in_flight:
                self._append_and_sync(self._in_flight)
            else:
                for batch in self._in_flight:
                    self._append(batch)
            if self._is_stopping:
                if not accumulator.has_work():
                    return False
            elif not self._wait_for_batch():
                return True

    def _wait_for_batch(self) -> bool:
        """Wait until a batch is due; return whether there is one at all."""
        # Said before looking: whoever adds the first record after the look wakes this thread.
        self._accumulator.is_idle = True
        if not self._accumulator.has_work():
            return False
        self._accumulator.is_idle = False
        age_us = self._accumulator.oldest_age_us()
        if age_us is not None and age_us < self._linger_us:
            self._bell.wait((self._linger_us - age_us) / 1e6)
        return True

    def _append(self, batch: ProducerBatch | TableBatch) -> None:
        result = self._publish(batch, self._acks)
        if result is not None:
            self._complete(batch, result)

    def _append_and_sync(self, batches: list[ProducerBatch | TableBatch]) -> None:
        published: list[tuple[ProducerBatch, _native.TopicAppendResult]] = []
        ends: dict[tuple[TopicEncoder, int], int] = {}
        for batch in batches:
            if isinstance(batch, TableBatch):
                self._append(batch)  # its partitions are known only behind the append
                continue
            result = self._publish(batch, "published")
            if result is not None:
                published.append((batch, result))
                ends[batch.encoder, batch.partition] = result.appends[-1].end_offset
        partitions = [encoder.writer.partition(number) for encoder, number in ends]
        errors = dict(zip(ends, _sync(partitions, list(ends.values())), strict=True))
        for batch, result in published:
            error = errors[batch.encoder, batch.partition]
            if error is None:
                self._complete(batch, result)
            else:
                # Published, but not known to last: none of its records is acknowledged.
                self._fail(batch, self._stop(batch, _native.to_stream_error(error)), None)

    def _publish(
        self, batch: ProducerBatch | TableBatch, acks: _native.Acks
    ) -> _native.TopicAppendResult | None:
        """Append a batch; None when it failed, and all who wait were told."""
        result = _native.TopicAppendResult()
        try:
            self._check_topic(batch.encoder, batch.partition)
            sequences = batch.encoder.sequences
            if sequences is not None and sequences.stopped_by is not None:
                self._fail(batch, sequences.stopped_by, None)
                return None
            complete = -1 if sequences is None else sequences.complete_with(batch.first_sequence)
            if isinstance(batch, TableBatch):
                batch.append(acks, complete)
            else:
                _native.append_records(batch, acks, complete, result)
        except Exception as error:  # whatever it is, those who wait must hear of it
            # A part that was published before the error is acknowledged, but for a sync.
            is_part_kept = result.published_count > 0 and self._acks != "durable"
            stopped = self._stop(batch, _native.to_stream_error(error))
            self._fail(batch, stopped, result if is_part_kept else None)
            return None
        if sequences is not None:
            sequences.stored(batch.first_sequence)
        return result

    def _complete(
        self, batch: ProducerBatch | TableBatch, result: _native.TopicAppendResult
    ) -> None:
        try:
            sequences = batch.encoder.sequences
            if sequences is not None:
                sequences.acknowledged(batch.first_sequence)
            if isinstance(batch, TableBatch):
                batch.complete()
                return
            is_stamped = batch.encoder.target.timestamp_type == "append_time"
            is_whole = len(result.appends) == 1
            batch.complete(
                result.appends[0].base_offset,
                result.appends[-1].append_time_us if is_stamped else None,
                None if is_whole else result.offsets(),
                result.duplicate_count,
            )
        finally:
            self._finish(batch)

    def _finish(self, batch: ProducerBatch | TableBatch) -> None:
        self._accumulator.release(batch.byte_count)
        self._finished.advance()

    def _stop(self, batch: ProducerBatch | TableBatch, error: StreamError) -> StreamError:
        """Let nothing overtake a record of a producer with a name; return the error."""
        sequences = batch.encoder.sequences
        if sequences is not None and sequences.stopped_by is None:
            topic = batch.encoder.topic
            sequences.stopped_by = ClientError(
                f"an earlier record to topic {topic!r} could not be appended ({error}), and none "
                "may overtake it. Make another producer of this name and go on behind its "
                f"last_sequence_id({topic!r})."
            )
            sequences.stopped_by.__cause__ = error
        return error

    def _fail(
        self,
        batch: ProducerBatch | TableBatch,
        error: StreamError,
        kept: _native.TopicAppendResult | None,
    ) -> None:
        """Tell all who wait, but for those whose records are in `kept`."""
        try:
            if isinstance(batch, TableBatch):
                batch.fail(error)  # whoever sent it is waiting
                return
            self.note_error(error)
            if kept is None:
                batch.fail(error, None, 0)
            else:
                batch.fail(error, kept.offsets(), kept.duplicate_count)
        finally:
            self._finish(batch)


def _serve(calls: queue.SimpleQueue[object], _reference: object) -> None:
    """Work for a sender whenever it calls, until it was stopped or is gone."""
    while isinstance(sender := calls.get(), Sender) and sender.work():
        del sender  # what is kept here, no collector finds


def _sync(partitions: list[_native.Partition], ends: list[int]) -> list[Exception | None]:
    """Make each partition durable up to its end offset; return what went wrong with each."""
    try:
        return _native.sync_partitions(partitions, ends)
    except Exception as error:  # whatever it is, those who wait must hear of it
        return [error] * len(partitions)
