"""Converting records to the cells of a row: the loop over Python values that `send` is.

A record becomes cells on the C stack, which may fail, and then the row is appended whole, which may
not. So nothing of a refused record stays behind. All under the interpreter lock.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int64_t

from pystream._native._cells cimport Cell, convert, kBinaryValue, mismatch
from pystream._native._open_batch cimport (
    RowCells, SequenceTracker, TopicLayout, partition_of_sequence,
)

from collections.abc import Mapping
from operator import index
from sys import intern

from pystream._native._cells import Refused
from pystream.config import SEQUENCE_ID_MAX
from pystream.errors import ConfigError, SchemaError, UnknownTopicError

__all__ = ["TopicEncoder", "TopicSequences"]


@cython.final
cdef class TopicSequences:
    """Of a producer with a name and a topic, whatever columns that has: which sequences are stored.

    `stopped_by` is the error of those that come after a record that could not be appended.
    """

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

    def __cinit__(self, str topic, bytes schema_blob, tuple names, tuple types, list key_columns,
                  int32_t partitions, bint is_typed, int32_t sticky, target, writer,
                  TopicSequences sequences=None, bint needs_key=False):
        self._layout = new TopicLayout(
            PyBytes_AS_STRING(schema_blob), PyBytes_GET_SIZE(schema_blob), key_columns
        )
        self.topic = topic
        self.partitions = partitions
        self.is_typed = is_typed
        self.needs_key = needs_key
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
            except TypeError:  # an array, too, though it has this method
                first = -1
        if not 0 <= first <= SEQUENCE_ID_MAX - (rows - 1):
            raise ConfigError(
                f"sequence_id is {first if given is None else given!r}. Pass a whole number "
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

    cdef bint _has_partition(self, object partition) except -1:
        """Return whether a number that is passed is one of the topic's partitions."""
        try:
            return 0 <= index(partition) < self.partitions
        except TypeError:
            return False

    cdef object _no_partition(self, object partition):
        return UnknownTopicError(
            f"topic {self.topic!r} has no partition {partition!r}. Its partitions are 0 to "
            f"{self.partitions - 1}.",
            topic=self.topic, partition=partition,
        )

    cdef int32_t _choose(self, object partition, const Cell* cells) except -1:
        cdef int32_t chosen
        if partition is None:
            chosen = self._layout.partition_of(cells, self.partitions)
            return chosen if chosen >= 0 else self._sticky
        return partition
