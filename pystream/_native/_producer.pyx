"""Encoding single records: the loop over Python values that a producer's `send` is.

`send` converts a record into cells on the C stack, which may fail, and then appends the row whole,
which may not. So nothing of a refused record stays behind. Everything here runs under the
interpreter lock; appending to the log happens without it, in a background thread or, for a lone
record of a producer that does not linger, in the thread that sends.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from libc.stdint cimport int32_t, int64_t
from libcpp.vector cimport vector

from pystream._native._cells cimport (
    Cell, ColumnSpec, convert, fill_timestamp, kBinaryValue, mismatch,
)

from asyncio import _get_running_loop
from collections import deque
from collections.abc import Mapping
import logging
from operator import index
from queue import Empty, SimpleQueue
from sys import intern

from pystream._native._cells import Refused
from pystream._native._core import RecordBatch as CoreBatch, TopicAppendResult
from pystream._native._records import encode_headers
from pystream.config import SEQUENCE_ID_MAX, parse_duration_us
from pystream.errors import (
    ClosedError, ConfigError, RecordTooLargeError, RequestTimeoutError, SchemaError, StreamError,
    UnknownTopicError,
)
from pystream.types import RecordMetadata

__all__ = [
    "Delivery", "ProducerBatch", "RecordAccumulator", "TopicEncoder", "TopicSequences",
    "append_records", "encode_rows", "to_stream_error",
]

_NAMELESS = (
    "{what} needs a producer with a name, by which its records are known again. Make one with "
    "log.producer(producer_name=...)."
)

_INTERRUPTED = "an exception came between before the record was appended. Send it again."


cdef extern from "errors.hpp" namespace "pystream::python":
    void translate_exception()


cdef extern from "columns/record_batch.hpp" namespace "pystream":
    cdef cppclass RecordBatch:
        RecordBatch()


cdef extern from "row_cells.hpp" namespace "pystream::python":
    cdef cppclass RowCells:
        void prepare(int count) except +translate_exception
        Cell* cells()
        void keep(int index, object owner)


cdef extern from "open_batch.hpp" namespace "pystream::python":
    int64_t wall_clock_us()
    int64_t steady_clock_us()

    cdef cppclass TopicLayout:
        TopicLayout(const char*, size_t, vector[int]) except +translate_exception
        const vector[ColumnSpec]& columns()
        int column_count()
        int32_t partition_of(const Cell*, int32_t) except +translate_exception

    int32_t partition_of_sequence(int64_t, int32_t)

    cdef cppclass SequenceTracker:
        SequenceTracker(int64_t)
        int64_t next()
        int64_t last_sent()
        void send(int64_t)
        void wait_for(int64_t) except +translate_exception
        void stored(int64_t)
        void acknowledged(int64_t)
        int64_t complete()
        int64_t complete_with(int64_t)

    cdef cppclass OpenBatch:
        OpenBatch(const TopicLayout&, bint) except +translate_exception
        void append(const Cell*) except +translate_exception
        int64_t rows()
        int64_t bytes()
        void take(RecordBatch*, RecordBatch*) except +translate_exception


cdef enum:
    # A record that comes so long after the one before is alone; in a loop they are never.
    LONE_US = 50


# -- deliveries ----------------------------------------------------------------------------------


cdef enum Status:
    PENDING
    PUBLISHED
    FAILED


@cython.final
cdef class ProducerBatch:
    """The records of one partition that are appended together, and what became of them."""

    cdef OpenBatch* _rows
    cdef readonly TopicEncoder encoder
    cdef readonly int32_t partition
    cdef readonly int64_t record_count
    cdef readonly int64_t byte_count
    cdef readonly int64_t first_sequence  # -1: the producer has no name
    cdef int64_t _duplicate_count  # leading records that were stored before
    cdef int64_t _opened_us
    cdef bint _is_sealed
    cdef Status _status
    cdef int64_t _base_offset
    cdef object _append_time_us
    cdef object _offsets  # of each record, where they do not simply follow the first
    cdef object _error
    cdef list _bells  # a queue for each who waits, rung when the batch is done
    cdef list _callbacks

    def __cinit__(self, TopicEncoder encoder, int32_t partition):
        self.encoder = encoder
        self.partition = partition
        self.first_sequence = -1
        self._rows = new OpenBatch(encoder._layout[0], encoder._tracker is not NULL)
        self._opened_us = steady_clock_us()

    def __dealloc__(self):
        del self._rows

    def take(self):
        """Return the rows as two capsules: the topic's columns; timestamps, headers, sequences."""
        cdef RecordBatch* columns = new RecordBatch()
        cdef RecordBatch* builtin = new RecordBatch()
        first = PyCapsule_New(columns, "pystream.RecordBatch", &_delete_batch)
        second = PyCapsule_New(builtin, "pystream.RecordBatch", &_delete_batch)
        self._rows.take(columns, builtin)
        del self._rows
        self._rows = NULL
        return first, second

    def complete(self, int64_t base_offset, append_time_us=None, offsets=None,
                 int64_t duplicate_count=0):
        """Say that all records were appended, from `base_offset` on or at `offsets`.

        The first `duplicate_count` of them had been there before.
        """
        self._duplicate_count = duplicate_count
        self._base_offset = base_offset
        self._append_time_us = append_time_us
        self._offsets = offsets
        self._finish(PUBLISHED)

    def fail(self, error, offsets=None, int64_t duplicate_count=0):
        """Say that the records were not appended, but for those whose offset is not -1.

        The first `duplicate_count` of them had been there before.
        """
        self._duplicate_count = duplicate_count
        self._error = error
        self._offsets = offsets
        self._finish(FAILED)

    def abandon(self, error):
        """Fail without telling anyone: in a forked child, those who wait are the parent's."""
        self._error = error
        self._status = FAILED
        self._callbacks = None

    cdef _finish(self, Status status):
        self._status = status
        bells = self._bells
        self._bells = None
        if bells is not None:
            for bell in bells:
                bell.put(None)
        callbacks = self._callbacks
        self._callbacks = None
        if callbacks is not None:
            for callback, delivery in callbacks:
                _call_back(callback, delivery)

    cdef bint _wait(self, timeout) except -1:
        """Wait until the batch is appended or failed; return whether it is."""
        if self._status == PENDING:
            bell = SimpleQueue()
            if self._bells is None:
                self._bells = []
            self._bells.append(bell)
            # Making them may have let another thread finish the batch.
            if self._status == PENDING:
                try:
                    bell.get(timeout=timeout)
                except Empty:
                    pass
        return self._status != PENDING


cdef void _delete_batch(object capsule) noexcept:
    cdef RecordBatch* batch = <RecordBatch*>PyCapsule_GetPointer(capsule, "pystream.RecordBatch")
    del batch


cdef _call_back(callback, delivery):
    try:
        callback(delivery)
    except Exception:
        logging.getLogger("pystream").exception("a delivery callback failed: %r", callback)


@cython.final
@cython.freelist(4096)
@cython.no_gc  # its one reference that could close a cycle is dropped when the batch is done
cdef class Delivery:
    """The future of one sent record; `Producer.send` returns it.

    Notes
    -----
    Any thread. A delivery that nobody asks costs nothing more; an error also appears at
    ``flush()``. In a coroutine, ``await delivery`` gives what :meth:`result` returns or raises.
    """

    cdef ProducerBatch _batch
    cdef int64_t _index
    cdef int64_t _timestamp_us

    def done(self):
        """Return whether the record was appended or failed."""
        return self._batch._status != PENDING

    def result(self, timeout=None):
        """Wait for the record to be appended at the producer's ``acks``.

        Parameters
        ----------
        timeout : str or timedelta, optional
            Default: no limit.

        Returns
        -------
        RecordMetadata

        Raises
        ------
        RequestTimeoutError
            If it takes longer; the record may yet be appended.
        StreamError
            If it could not be appended.
        """
        cdef ProducerBatch batch = self._batch
        error = self.exception(timeout)
        if error is not None:
            raise error
        is_duplicate = self._index < batch._duplicate_count
        timestamp = self._timestamp_us
        if batch._append_time_us is not None:
            timestamp = -1 if is_duplicate else batch._append_time_us
        if batch._offsets is None:
            offset = batch._base_offset + self._index
        else:
            offset = int(batch._offsets[self._index])
        return RecordMetadata(
            batch.encoder.topic, batch.partition, offset, timestamp, is_duplicate
        )

    def exception(self, timeout=None):
        """Wait as `result` does, and return the error, or None when the record was appended."""
        seconds = None if timeout is None else parse_duration_us(timeout, name="timeout") / 1e6
        if not self._batch._wait(seconds):
            raise RequestTimeoutError(
                f"a record of topic {self._batch.encoder.topic!r} was not appended within "
                f"{timeout!s}. Wait longer; it may yet be."
            )
        if self._batch._offsets is not None and self._batch._offsets[self._index] >= 0:
            return None
        if self._index < self._batch._duplicate_count:
            return None
        return self._batch._error

    def add_done_callback(self, callback):
        """Call ``callback(delivery)`` once the record is appended or failed.

        It runs in the producer's background thread, or at once when that has happened already.
        What it raises is logged.
        """
        if self._batch._status != PENDING:
            _call_back(callback, self)
        elif self._batch._callbacks is None:
            self._batch._callbacks = [(callback, self)]
        else:
            self._batch._callbacks.append((callback, self))

    def __await__(self):
        import asyncio

        loop = asyncio.get_running_loop()
        future = loop.create_future()

        def resolve():
            if not future.done():
                error = self.exception()
                if error is None:
                    future.set_result(self.result())
                else:
                    future.set_exception(error)

        def call(delivery):
            try:
                loop.call_soon_threadsafe(resolve)
            except RuntimeError:
                pass  # the loop was closed meanwhile, so nobody waits

        self.add_done_callback(call)
        return future.__await__()

    def __repr__(self):
        state = ("pending", "published", "failed")[<int>self._batch._status]
        return f"<Delivery to {self._batch.encoder.topic}-{self._batch.partition}: {state}>"


# -- the accumulator -----------------------------------------------------------------------------


@cython.final
cdef class TopicSequences:
    """Of a producer with a name and a topic, whatever columns that has: which sequences are stored.

    `stopped_by` is the error of those that come after a record that could not be appended.
    """

    cdef SequenceTracker* _tracker
    cdef public object stopped_by

    def __cinit__(self, int64_t complete):
        self._tracker = new SequenceTracker(complete)

    def __dealloc__(self):
        del self._tracker

    def complete(self):
        """Return up to which sequence all records are acknowledged; -1: none."""
        return self._tracker.complete()

    def complete_with(self, int64_t first):
        """Return up to which all are stored, once the batch with that first sequence is."""
        return self._tracker.complete_with(first)

    def stored(self, int64_t first):
        """Say that the batch with that first sequence is stored."""
        self._tracker.stored(first)

    def acknowledged(self, int64_t first):
        """Say that it is stored as the producer's acks demand."""
        self._tracker.acknowledged(first)


@cython.final
cdef class TopicEncoder:
    """What a producer knows of a topic, and its open batches."""

    cdef TopicLayout* _layout
    cdef readonly str topic
    cdef readonly int32_t partitions
    cdef readonly bint is_typed
    cdef tuple _names
    cdef tuple _types
    cdef list _open  # ProducerBatch or None, by partition
    cdef int32_t _sticky
    cdef readonly object target
    cdef readonly object writer
    cdef public bint is_gone
    cdef bint _is_retired
    cdef readonly TopicSequences sequences  # None: the producer has no name
    cdef SequenceTracker* _tracker  # of them; NULL without

    def __cinit__(self, str topic, bytes schema_blob, tuple names, tuple types, list key_columns,
                  int32_t partitions, bint is_typed, int32_t sticky, target, writer,
                  TopicSequences sequences=None):
        self._layout = new TopicLayout(
            PyBytes_AS_STRING(schema_blob), PyBytes_GET_SIZE(schema_blob), key_columns
        )
        self.topic = topic
        self.partitions = partitions
        self.is_typed = is_typed
        # Interned, as the keys of dict displays are: a lookup then compares addresses.
        self._names = tuple([intern(name) for name in names])
        self._types = types
        self._open = [None] * partitions
        self._sticky = sticky % partitions
        self.target = target
        self.writer = writer
        self.sequences = sequences
        if sequences is not None:
            self._tracker = sequences._tracker

    def __dealloc__(self):
        del self._layout

    cdef int64_t _next_sequence(self, object given, int64_t rows) except -1:
        """Return the first sequence of that many records, or raise ConfigError."""
        cdef object first = self._tracker.next() if given is None else given
        if type(first) is not int:
            try:
                first = index(first)
            except TypeError:
                first = -1
        if not 0 <= first <= SEQUENCE_ID_MAX - (rows - 1):
            raise ConfigError(
                f"sequence_id is {given if given is not None else first!r}. Pass a whole number "
                "from 0 to 2**62 - 1."
            )
        if first <= self._tracker.last_sent():
            raise ConfigError(
                f"sequence_id is {first}, but {self._tracker.last_sent()} was sent to topic "
                f"{self.topic!r} before. Sequence ids rise; to send records again, make another "
                "producer of this name."
            )
        return first

    cdef int32_t _choose_by_sequence(self, object partition, const Cell* cells,
                                     int64_t sequence) except -1:
        """Choose the same partition when the record is sent again."""
        cdef int32_t chosen
        if partition is not None:
            return self._choose(partition, cells)
        chosen = self._layout.partition_of(cells, self.partitions)
        return chosen if chosen >= 0 else partition_of_sequence(sequence, self.partitions)

    cdef _refuse_columns(self, dict record):
        """Raise for a record that lacks a column or has one too many."""
        cdef Py_ssize_t i
        for i in range(len(self._names)):
            if self._names[i] not in record and not self._layout.columns()[i].is_nullable:
                raise SchemaError(
                    f"topic {self.topic!r}: column {self._names[i]!r} ({self._types[i]}) is "
                    "missing and is not nullable. Add it to the record.",
                    topic=self.topic, column=self._names[i], expected=self._types[i],
                    got="nothing",
                )
        for name in record:
            if name not in self._names:
                raise SchemaError(
                    f"topic {self.topic!r} has no column {name!r}. Its columns are "
                    f"{', '.join(self._names)}; leave the others out.",
                    topic=self.topic, column=str(name), expected="nothing",
                    got=type(record[name]).__name__,
                )

    cdef int64_t _fill(self, object record, RowCells* row) except -1:
        """Fill the cells of a typed record; return the bytes of its strings."""
        cdef dict values
        cdef PyObject* found
        cdef Py_ssize_t i
        cdef Py_ssize_t count = 0
        cdef int64_t size = 0
        cdef object value
        cdef object owner
        cdef tuple names = self._names
        cdef Cell* cells = row.cells()
        if type(record) is dict:
            values = <dict>record
        elif isinstance(record, Mapping):
            values = dict(record)
        else:
            raise SchemaError(
                f"topic {self.topic!r} has columns, so a record is a dict, got "
                f"{type(record).__name__}. Send {{{', '.join(map(repr, names))}: ...}}.",
                topic=self.topic, expected="dict", got=type(record).__name__,
            )
        for i in range(len(names)):
            found = PyDict_GetItemWithError(values, names[i])
            if found is NULL:
                if not self._layout.columns()[i].is_nullable:
                    self._refuse_columns(values)
                cells[i].is_null = True
                continue
            count += 1
            value = <object>found
            try:
                owner = convert(value, &self._layout.columns()[i], &cells[i])
            except Refused as why:
                raise mismatch(self.topic, names[i], self._types[i],
                               self._layout.columns()[i].kind, value, why, None) from None
            if owner is not None:
                row.keep(<int>i, owner)
                size += cells[i].size
        if count != len(values):
            self._refuse_columns(values)
        return size

    cdef int64_t _fill_bytes(self, object key, object value, RowCells* row) except -1:
        """Fill the two cells of a topic of Kafka's shape."""
        cdef Py_ssize_t i
        cdef object given
        cdef Cell* cells = row.cells()
        for i in range(2):
            given = key if i == 0 else value
            try:
                owner = convert(given, &self._layout.columns()[i], &cells[i])
            except Refused as why:
                raise mismatch(self.topic, "key" if i == 0 else "value", "binary", kBinaryValue,
                               given, why, None) from None
            if owner is not None:
                row.keep(<int>i, owner)
        return cells[0].size + cells[1].size

    cdef int32_t _choose(self, object partition, const Cell* cells) except -1:
        cdef int32_t chosen
        if partition is None:
            chosen = self._layout.partition_of(cells, self.partitions)
            return chosen if chosen >= 0 else self._sticky
        if not isinstance(partition, int) or not 0 <= partition < self.partitions:
            raise UnknownTopicError(
                f"topic {self.topic!r} has no partition {partition!r}. Its partitions are 0 to "
                f"{self.partitions - 1}.",
                topic=self.topic, partition=partition,
            )
        return partition


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
        cdef TopicEncoder encoder = self._encoders.get(topic)
        if encoder is None:
            # Looking it up runs Python code: another thread may have been faster.
            encoder = self._encoders.setdefault(topic, self._make_encoder(topic))
        return encoder

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
        found = PyDict_GetItemWithError(self._encoders, topic)
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
                # The topic has got more columns.
                return self._add(
                    self.encoder(encoder.topic), value, key, partition, timestamp, headers,
                    sequence_id,
                )
        else:
            size = encoder._fill_bytes(key, value, &row)
        if timestamp is None:
            cells[count].integer = wall_clock_us()
        else:
            fill_timestamp(encoder.topic, timestamp, &cells[count])
        if headers:
            encoded = encode_headers(headers)
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
        delivery._batch = batch
        delivery._index = batch._rows.rows()
        delivery._timestamp_us = cells[count].integer
        batch._rows.append(cells)
        self.buffered_bytes += batch._rows.bytes() - before
        if delivery._index == 0 and self._is_lone(batch):
            self._append_directly(batch)
        else:
            self._look_at(encoder, batch, delivery)
        return delivery

    cdef bint _is_lone(self, ProducerBatch batch) except -1:
        """Whether a batch of one record should be appended here and now."""
        cdef int64_t since_us = batch._opened_us - self._last_us
        self._last_us = batch._opened_us
        return (
            self._direct_acks is not None and self.is_idle and since_us > LONE_US
            and batch.encoder.sequences is None and not batch.encoder._is_retired
            and self._open[-1] is batch and _get_running_loop() is None
        )

    cdef _append_directly(self, ProducerBatch batch):
        # Ctrl-C is an exception out of any Python code that runs here, and there is none between
        # the append and the lines that settle the batch: it neither loses nor repeats a record.
        cdef TopicEncoder encoder = batch.encoder
        cdef bint is_stamped = encoder.target.timestamp_type == "append_time"
        cdef bint is_gone = False
        result = TopicAppendResult()
        error = None
        self._close_batch(batch)
        self._open.pop()
        try:
            append_records(batch, self._direct_acks, -1, result)
            self._check_topic(encoder)
        except UnknownTopicError as raised:
            is_gone = True  # and what was appended with it
            error = raised
        except Exception as raised:
            error = to_stream_error(raised)
        finally:
            self.release(batch.byte_count)
            self._last_us = steady_clock_us()
            if result.published_count > 0 and not is_gone:
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


def append_records(ProducerBatch batch, acks, int64_t complete, result):
    """Append a batch that takes no more records; what was published is in `result`, also on error.

    `complete`: of a producer with a name, the sequence up to which all are stored then.
    """
    columns, builtin = batch.take()
    columns = CoreBatch._from_capsule(columns)
    builtin = CoreBatch._from_capsule(builtin)
    headers = builtin.column(1)
    batch.encoder.writer.append(
        columns,
        timestamps=builtin.column(0),
        headers=None if headers.null_count == len(headers) else headers,
        partition=batch.partition,
        acks=acks,
        sequences=None if batch.encoder.sequences is None else builtin.column(2),
        complete_sequence=complete,
        result=result,
    )


def to_stream_error(error):
    """Return an error of an append as one of ours."""
    if isinstance(error, StreamError):
        return error
    wrapped = StreamError(f"a batch could not be appended: {error!r}. See the cause.")
    wrapped.__cause__ = error
    return wrapped


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
