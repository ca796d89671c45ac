"""Collecting single records in batches: what a producer's `send` is.

Everything here runs under the interpreter lock; appending to the log happens without it, in a
background thread or, for a lone record of a producer that does not linger, in the thread that
sends.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int64_t

from pystream._native._cells cimport Cell, fill_timestamp
from pystream._native._delivery cimport Delivery, ProducerBatch, note_worker
from pystream._native._encoder cimport TopicEncoder
from pystream._native._open_batch cimport RowCells, steady_clock_us, wall_clock_us

from collections import deque
from sys import modules

from pystream._native._core import TopicAppendResult
from pystream._native._delivery import append_records, to_stream_error
from pystream._native._headers import encode_headers
from pystream.errors import (
    ClosedError, ConfigError, RecordTooLargeError, SchemaError, StreamError, UnknownTopicError,
)

__all__ = ["RecordAccumulator", "encode_rows"]

_NAMELESS = (
    "{what} needs a producer with a name, by which its records are known again. Make one with "
    "log.producer(producer_name=...)."
)

_INTERRUPTED = "an exception came between before the record was appended. Send it again."


cdef enum:
    # A record that comes so long after the one before is alone; in a loop they are never.
    LONE_US = 50


@cython.final
cdef class RecordAccumulator:
    """Collects records in batches per partition, for a `Producer` that appends them.

    All under the interpreter lock, which no step of adding a row gives away once it has chosen
    the batch: so threads may send at the same time.
    """

    cdef dict _encoders
    cdef object _open  # deque of ProducerBatch by age; some are sealed already
    cdef list _sealed
    cdef object _make_encoder
    cdef object _wake
    cdef object _wait_for_memory
    cdef object _is_outdated
    cdef object _direct_acks  # of a lone record, which `send` appends itself; None: it never does
    cdef object _check_topic
    cdef object _note_error
    cdef int64_t _last_us  # when a batch was begun or appended last
    cdef int64_t _batch_size
    cdef int64_t _buffer_memory
    cdef int64_t _max_record_bytes
    cdef readonly int64_t buffered_bytes
    cdef readonly int64_t sealed_count
    cdef public bint is_idle
    cdef public object unusable
    cdef public object refusal

    def __init__(self, make_encoder, wake, wait_for_memory, is_outdated, *, int64_t batch_size,
                 int64_t buffer_memory, int64_t max_record_bytes):
        self._direct_acks = None
        self._encoders = {}
        self._open = deque()
        self._sealed = []
        self._make_encoder = make_encoder
        self._wake = wake
        self._wait_for_memory = wait_for_memory
        self._is_outdated = is_outdated
        self._batch_size = batch_size
        self._buffer_memory = buffer_memory
        self._max_record_bytes = max_record_bytes

    def append_lone_records(self, acks, check_topic, note_error):
        """Let `send` append a record that comes alone, while the background thread is idle.

        Not in an event loop, which must not wait for a disk, nor for a producer with a name.

        Parameters
        ----------
        acks : {"published", "interval"}
        check_topic : callable
            Called with the encoder behind an append; raises StreamError when the topic is gone.
        note_error : callable
            Called with the StreamError of an append.
        """
        self._direct_acks = acks
        self._check_topic = check_topic
        self._note_error = note_error

    cpdef TopicEncoder encoder(self, topic):
        """Return what is known of a topic, which is looked up the first time."""
        if not isinstance(topic, str):
            return self._make_encoder(topic)  # which raises: there is no such topic
        cdef TopicEncoder encoder = self._encoders.get(topic)
        if encoder is None:
            # Looking it up runs Python code: another thread may have been faster.
            encoder = self._encoders.setdefault(topic, self._make_encoder(topic))
            encoder._producer = id(self)
        return encoder

    def note_worker(self):
        """Say that this thread appends what is sent here, so that it cannot wait for it."""
        note_worker(id(self))

    def encoders(self):
        """Return all encoders."""
        return list(self._encoders.values())

    def drop_encoder(self, TopicEncoder encoder):
        """Forget a topic that is gone: its next record looks it up anew."""
        encoder.is_gone = True
        if self._encoders.get(encoder.topic) is encoder:
            del self._encoders[encoder.topic]

    def retire_encoder(self, TopicEncoder encoder):
        """Forget the columns of a topic that has more by now: its next record looks it up anew.

        What was sent before stays as it is, and is appended before what is sent from now on.
        """
        encoder._is_retired = True
        if self._encoders.get(encoder.topic) is encoder:
            del self._encoders[encoder.topic]
        for batch in encoder._open:
            if batch is not None:
                self._seal(<ProducerBatch>batch)
        self._wake()

    def send(self, topic, value=None, *, key=None, partition=None, timestamp=None, headers=None,
             sequence_id=None):
        """Add a record to its partition's open batch; see `Producer.send`."""
        cdef PyObject* found
        cdef TopicEncoder encoder
        if self.unusable is not None:
            raise ClosedError(self.unusable)
        if self.refusal is not None:
            raise self.refusal()
        found = PyDict_GetItemWithError(self._encoders, topic) if isinstance(topic, str) else NULL
        encoder = self.encoder(topic) if found is NULL else <TopicEncoder>found
        if self.buffered_bytes >= self._buffer_memory:
            self._wait_for_memory()
            if self.unusable is not None:
                raise ClosedError(self.unusable)
        return self._add(encoder, value, key, partition, timestamp, headers, sequence_id)

    cdef Delivery _add(self, TopicEncoder encoder, object value, object key, object partition,
                       object timestamp, object headers, object sequence_id):
        cdef int count = encoder._layout.column_count()
        cdef RowCells row
        cdef Cell* cells
        cdef int64_t size
        if partition is not None and not encoder._has_partition(partition):
            if not self._is_outdated(encoder):
                raise encoder._no_partition(partition)
            return self._add(
                self.encoder(encoder.topic), value, key, partition, timestamp, headers, sequence_id
            )
        row.prepare(count + 2 + (encoder._tracker is not NULL))
        cells = row.cells()
        if encoder.is_typed:
            if key is not None:
                raise ConfigError(
                    f"topic {encoder.topic!r} has columns, and its key is one of them. Leave key= "
                    "out."
                )
            try:
                size = encoder._fill(value, &row)
            except SchemaError:
                if not self._is_outdated(encoder):
                    raise
                # The topic has got more columns, or is another.
                return self._add(
                    self.encoder(encoder.topic), value, key, partition, timestamp, headers,
                    sequence_id,
                )
        else:
            size = encoder._fill_bytes(key, value, &row)
        if encoder.needs_key and encoder._layout.partition_of(cells, 1) < 0:
            raise SchemaError(
                f"topic {encoder.topic!r} is compacted, and the record has no key. Send it with "
                "one: compaction keeps the last record of each key.",
                topic=encoder.topic,
            )
        if timestamp is None:
            cells[count].integer = wall_clock_us()
        else:
            fill_timestamp(encoder.topic, timestamp, &cells[count])
        encoded = None if headers is None else encode_headers(headers)
        if encoded is not None:
            row.keep(count + 1, encoded)
            cells[count + 1].data = PyBytes_AS_STRING(encoded)
            cells[count + 1].size = PyBytes_GET_SIZE(encoded)
            size += cells[count + 1].size
        else:
            cells[count + 1].is_null = True
        if size > self._max_record_bytes:
            raise RecordTooLargeError(
                f"a record of topic {encoder.topic!r} has {size} bytes, but max_record_bytes is "
                f"{self._max_record_bytes}. Send less, or raise it.",
                topic=encoder.topic, size=size, limit=self._max_record_bytes,
            )
        if encoder._tracker is not NULL:
            return self._append_numbered(encoder, partition, sequence_id, cells, count)
        if sequence_id is not None:
            raise ConfigError(_NAMELESS.format(what="sequence_id"))
        return self._append(encoder, encoder._choose(partition, cells), cells, count)

    cdef Delivery _append(self, TopicEncoder encoder, int32_t partition, const Cell* cells,
                          int count):
        cdef ProducerBatch batch = self._open_batch(encoder, partition)
        cdef Delivery delivery = Delivery.__new__(Delivery)
        cdef int64_t before = batch._rows.bytes()
        # Looked at here again, because converting the record may have let other threads run: what
        # is added after the last look of the background thread would stay here for ever.
        if self.unusable is not None:
            raise ClosedError(self.unusable)
        if self.refusal is not None:
            raise self.refusal()
        delivery._batch = batch
        delivery._index = batch._rows.rows()
        delivery._timestamp_us = cells[count].integer
        batch._rows.append(cells)
        self.buffered_bytes += batch._rows.bytes() - before
        if delivery._index == 0 and self._take_lone(batch):
            self._append_directly(batch)
        else:
            self._look_at(encoder, batch, delivery)
        return delivery

    cdef bint _take_lone(self, ProducerBatch batch) except -1:
        """Close a batch whose only record is to be appended here and now; return whether it is."""
        cdef bint is_in_loop = _is_in_event_loop()
        cdef int64_t since_us = batch._opened_us - self._last_us
        self._last_us = batch._opened_us
        # From here on no other thread runs before the batch is closed to all.
        if (self._direct_acks is None or not self.is_idle or since_us <= LONE_US or is_in_loop
                or batch.encoder.sequences is not None or batch.encoder._is_retired
                or len(self._sealed) > 0  # they come first
                or batch._is_sealed or batch._rows.rows() != 1 or self._open[-1] is not batch):
            return False
        self._close_batch(batch)
        self._open.pop()
        return True

    cdef _append_directly(self, ProducerBatch batch):
        # Ctrl-C is an exception out of any Python code that runs here, and there is none between
        # the append and the lines that settle the batch: it neither loses nor repeats a record.
        cdef TopicEncoder encoder = batch.encoder
        cdef bint is_stamped = False
        cdef bint is_gone = False
        result = error = None
        try:
            is_stamped = encoder.target.timestamp_type == "append_time"
            result = TopicAppendResult()
            append_records(batch, self._direct_acks, -1, result)
            self._check_topic(encoder)
        except UnknownTopicError as raised:
            is_gone = True  # and what was appended with it
            error = raised
            self.drop_encoder(encoder)  # there may be another topic of that name by now
        except Exception as raised:
            error = to_stream_error(raised)
        finally:
            self.release(batch.byte_count)
            self._last_us = steady_clock_us()
            if result is not None and result.published_count > 0 and not is_gone:
                appended = result.appends[0]
                batch.complete(
                    appended.base_offset, appended.append_time_us if is_stamped else None
                )
            else:
                batch.fail(StreamError(_INTERRUPTED) if error is None else error)
        if error is not None:
            self._note_error(error)

    cdef Delivery _append_numbered(self, TopicEncoder encoder, object partition,
                                   object sequence_id, Cell* cells, int count):
        cdef Delivery delivery = Delivery.__new__(Delivery)
        cdef ProducerBatch batch
        cdef int64_t sequence
        cdef int64_t before
        while True:
            sequence = encoder._next_sequence(sequence_id, 1)
            batch = self._open_batch(
                encoder, encoder._choose_by_sequence(partition, cells, sequence)
            )
            # Opening a batch may have let another thread send: then look again.
            if batch._is_sealed or encoder._next_sequence(sequence_id, 1) != sequence:
                continue
            if not encoder._is_retired or len(self._open) == 1:
                break
            # Records with the topic's new columns may wait already: they come first.
            self.seal_older_than(0)
        if self.unusable is not None:
            raise ClosedError(self.unusable)
        cells[count + 2].is_null = False
        cells[count + 2].integer = sequence
        before = batch._rows.bytes()
        delivery._batch = batch
        delivery._index = batch._rows.rows()
        delivery._timestamp_us = cells[count].integer
        if delivery._index == 0:
            encoder._tracker.wait_for(sequence)
            batch.first_sequence = sequence
        try:
            batch._rows.append(cells)
        except BaseException:
            if delivery._index == 0:
                encoder._tracker.acknowledged(sequence)
            raise
        encoder._tracker.send(sequence)
        self.buffered_bytes += batch._rows.bytes() - before
        self._look_at(encoder, batch, delivery)
        return delivery

    def add_table(self, TopicEncoder encoder, table, int64_t rows, first=None, last=None):
        """Put a table behind everything sent before, and set its `first_sequence`.

        For a producer with a name, whose records are appended in the order they were sent. The
        rows have the sequences from `first` on, by default the next ones, to `last`.
        """
        if self.unusable is not None:
            raise ClosedError(self.unusable)
        cdef int64_t begin = encoder._next_sequence(first, rows)
        self.seal_older_than(0)
        encoder._tracker.wait_for(begin)
        encoder._tracker.send(begin + rows - 1 if last is None else last)
        table.first_sequence = begin
        self._sealed.append(table)
        self.sealed_count += 1

    cdef inline _look_at(self, TopicEncoder encoder, ProducerBatch batch, Delivery delivery):
        """Wake the background thread when a batch that got a row needs it."""
        # From the first call of Python on, the background thread may take the batch.
        if batch._rows.bytes() >= self._batch_size or encoder._is_retired:
            self._seal(batch)
            self._wake()
        elif delivery._index == 0 and self.is_idle:
            self._wake()

    cdef ProducerBatch _open_batch(self, TopicEncoder encoder, int32_t partition):
        cdef ProducerBatch fresh
        cdef object is_open = encoder._open[partition]
        if is_open is None:
            fresh = ProducerBatch.__new__(ProducerBatch, encoder, partition)
            # Allocating may have collected garbage, and so have let another thread send.
            is_open = encoder._open[partition]
            if is_open is None:
                encoder._open[partition] = fresh
                self._open.append(fresh)
                return fresh
        return <ProducerBatch>is_open

    cdef _close_batch(self, ProducerBatch batch):
        cdef TopicEncoder encoder = batch.encoder
        batch._is_sealed = True
        batch.record_count = batch._rows.rows()
        batch.byte_count = batch._rows.bytes()
        encoder._open[batch.partition] = None
        if encoder._sticky == batch.partition:
            encoder._sticky = (encoder._sticky + 1) % encoder.partitions

    cdef _seal(self, ProducerBatch batch):
        self._close_batch(batch)
        if batch.record_count > 0:  # none: the first row was refused by the builder
            self._sealed.append(batch)
            self.sealed_count += 1

    def seal_older_than(self, int64_t age_us):
        """Close every open batch that is at least that old to further records."""
        cdef int64_t latest = steady_clock_us() - age_us
        cdef ProducerBatch batch
        while self._open:
            batch = self._open[0]
            if not batch._is_sealed:
                if batch._opened_us > latest:
                    return
                self._seal(batch)
            self._open.popleft()

    def take_sealed(self):
        """Return the closed batches that were not taken yet, in order."""
        taken = self._sealed
        self._sealed = []
        return taken

    def oldest_age_us(self):
        """Return the age of the oldest open batch, or None."""
        cdef ProducerBatch batch
        while self._open:
            batch = self._open[0]
            if not batch._is_sealed:
                return steady_clock_us() - batch._opened_us
            self._open.popleft()
        return None

    def release(self, int64_t byte_count):
        """Give back the memory of a batch that is done."""
        self.buffered_bytes -= byte_count

    def has_work(self):
        """Return whether any batch, open or sealed, was not taken yet."""
        return len(self._sealed) > 0 or self.oldest_age_us() is not None

    def take_all(self):
        """Return every batch, open or not, that was not taken yet."""
        self.seal_older_than(0)
        return self.take_sealed()


def encode_rows(TopicEncoder encoder, rows):
    """Return an iterable of records as a capsule of a batch with the topic's columns.

    Raises SchemaError as `send` does, with the row.
    """
    cdef int count = encoder._layout.column_count()
    cdef RowCells row
    cdef ProducerBatch batch = ProducerBatch.__new__(ProducerBatch, encoder, 0)
    for number, record in enumerate(rows):
        row.prepare(count + 2 + (encoder._tracker is not NULL))
        row.cells()[count + 1].is_null = True
        try:
            encoder._fill(record, &row)
        except SchemaError as error:
            error.row = number
            error.args = (f"row {number}: {error}",)
            raise
        batch._rows.append(row.cells())
    return batch.take()[0]


cdef bint _is_in_event_loop():
    """Return whether an event loop runs in this thread.

    Only where asyncio was loaded, which takes longer and more memory than all of this package.
    """
    asked = getattr(modules.get("asyncio"), "_get_running_loop", None)
    return asked is not None and asked() is not None
