"""Yielding single records of a batch: each field is decoded when it is asked for."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError
from cpython.float cimport PyFloat_FromDouble
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport (
    int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
)
from libcpp cimport bool as cbool
from libcpp.vector cimport vector

from pystream._native._headers import decode_headers
from pystream.errors import SchemaError

__all__ = ["Record", "RecordIterator", "RecordPlace", "RecordRows"]


cdef extern from "errors.hpp" namespace "pystream::python":
    void translate_exception()


cdef extern from "columns/bitmap.hpp" namespace "pystream":
    cbool get_bit(const uint8_t*, int64_t)


cdef extern from "columns/record_batch.hpp" namespace "pystream":
    cdef cppclass RecordBatch:
        pass


cdef extern from "column_reader.hpp" namespace "pystream::python":
    cdef enum ReadKind:
        kReadBool
        kReadInt8
        kReadInt16
        kReadInt32
        kReadInt64
        kReadUInt8
        kReadUInt16
        kReadUInt32
        kReadUInt64
        kReadFloat32
        kReadFloat64
        kReadString
        kReadBinary
        kReadEncoded
        kReadOther

    cdef cppclass ColumnReader:
        ColumnReader(const RecordBatch&) except +translate_exception
        ReadKind kind
        const uint8_t* values
        int64_t entry_count
        ReadKind entry_kind
        cbool is_null(int64_t)
        const char* bytes_at(int64_t)
        int64_t size_at(int64_t)
        int32_t code_at(int64_t)
        const char* entry_bytes(int32_t)
        int64_t entry_size(int32_t)


cdef enum:
    WINDOW = 1024  # rows of a column that Python converts at a time


@cython.final
cdef class RecordRows:
    """The rows of one batch, read value by value.

    Parameters
    ----------
    topic, partition, base_offset, length
        What the rows are.
    names : tuple of str
        The topic's columns.
    key : tuple of int
        Indexes of the key columns.
    is_typed : bool
        Has columns of its own, or Kafka's key and value.
    load : callable
        ``load(i)`` returns column i as (capsule of a one-column batch, the core's array). Column
        ``len(names)`` holds the record timestamps, the one after it headers, or is None.
    offsets : bytes, optional
        An int64 for each row, where they do not follow `base_offset`.
    """

    cdef bytes _offsets
    cdef readonly str topic
    cdef readonly int32_t partition
    cdef readonly int64_t base_offset
    cdef readonly int64_t length
    cdef tuple _names
    cdef tuple _key
    cdef readonly bint is_typed
    cdef object _load
    cdef dict _index
    cdef vector[ColumnReader*] _readers
    cdef list _entries  # per column: Python objects of its dictionary, as they are needed
    cdef list _arrays   # per column: the core's array, where Python converts
    cdef list _windows  # per column: (first row, converted rows)
    cdef bint _has_no_headers
    cdef object _last_name  # the field read last, and its index: loops read one field often
    cdef Py_ssize_t _last_index

    def __init__(self, str topic, int32_t partition, int64_t base_offset, int64_t length,
                 tuple names, tuple key, bint is_typed, load, bytes offsets=None):
        cdef Py_ssize_t i
        self.topic = topic
        self.partition = partition
        self.base_offset = base_offset
        self.length = length
        self._offsets = offsets
        if offsets is not None and PyBytes_GET_SIZE(offsets) != length * <int64_t>sizeof(int64_t):
            raise ValueError("offsets are not one for each row")
        self._names = names
        self._key = key
        self.is_typed = is_typed
        self._load = load
        self._index = {name: i for i, name in enumerate(names)}
        for i in range(len(names) + 2):
            self._readers.push_back(NULL)
        self._entries = [None] * (len(names) + 2)
        self._arrays = [None] * (len(names) + 2)
        self._windows = [None] * (len(names) + 2)

    def __dealloc__(self):
        for reader in self._readers:
            del reader

    def records(self, int64_t begin, int64_t end):
        """Return rows ``[begin, end)`` as a list of records."""
        cdef int64_t row
        if begin < 0 or end > self.length:
            raise IndexError(f"[{begin}, {end}) is not within {self.length} records")
        return [_record(self, row) for row in range(begin, end)]

    cdef inline int64_t _offset(self, int64_t row):
        if self._offsets is None:
            return self.base_offset + row
        return (<const int64_t*>PyBytes_AS_STRING(self._offsets))[row]

    def position(self, int64_t row):
        """Return the offset behind so many rows."""
        if not 0 <= row <= self.length:
            raise IndexError(f"{row} is not within {self.length} records")
        return self.base_offset if row == 0 else self._offset(row - 1) + 1

    cdef ColumnReader* _open(self, Py_ssize_t i) except? NULL:
        """Load a column on first use; NULL without an exception for absent headers."""
        loaded = self._load(i)
        if loaded is None:
            self._has_no_headers = True
            return NULL
        capsule, array = loaded
        cdef ColumnReader* reader = new ColumnReader(
            (<RecordBatch*>PyCapsule_GetPointer(capsule, "pystream.RecordBatch"))[0]
        )
        if reader.kind == kReadEncoded:
            self._entries[i] = [None] * reader.entry_count
        elif reader.kind == kReadOther:
            self._arrays[i] = array
        self._readers[i] = reader
        return reader

    cdef object _value(self, Py_ssize_t i, int64_t row):
        cdef ColumnReader* reader = self._readers[i]
        cdef ReadKind kind
        if reader is NULL:
            reader = self._open(i)
            if reader is NULL:
                return None
        if reader.is_null(row):
            return None
        kind = reader.kind
        if kind == kReadFloat64:
            return PyFloat_FromDouble((<const double*>reader.values)[row])
        if kind == kReadInt64:
            return (<const int64_t*>reader.values)[row]
        if kind == kReadEncoded:
            return self._entry(i, reader, reader.code_at(row))
        if kind == kReadString:
            return PyUnicode_DecodeUTF8(reader.bytes_at(row), reader.size_at(row), NULL)
        if kind == kReadBinary:
            return PyBytes_FromStringAndSize(reader.bytes_at(row), reader.size_at(row))
        if kind == kReadOther:
            return self._converted(i, row)
        return _number(kind, reader.values, row)

    cdef object _entry(self, Py_ssize_t i, ColumnReader* reader, int32_t code):
        cdef list entries = <list>self._entries[i]
        cdef object entry = entries[code]
        if entry is None:
            if reader.entry_kind == kReadString:
                entry = PyUnicode_DecodeUTF8(
                    reader.entry_bytes(code), reader.entry_size(code), NULL
                )
            else:
                entry = PyBytes_FromStringAndSize(
                    reader.entry_bytes(code), reader.entry_size(code)
                )
            entries[code] = entry
        return entry

    cdef object _converted(self, Py_ssize_t i, int64_t row):
        """Return a value of a type that the core converts, a window of rows at a time."""
        cdef int64_t begin
        window = self._windows[i]
        if window is None or not window[0] <= row < window[0] + len(window[1]):
            begin = row - row % WINDOW
            count = min(<int64_t>WINDOW, self.length - begin)
            window = (begin, self._arrays[i].slice(begin, count).to_pylist())
            self._windows[i] = window
        return window[1][row - window[0]]

    cdef object _field(self, object name, int64_t row):
        cdef PyObject* found
        if name is not self._last_name:
            found = PyDict_GetItemWithError(self._index, name)
            if found is NULL:
                raise SchemaError(
                    f"topic {self.topic!r} has no column {name!r}. Its columns are "
                    f"{', '.join(self._names)}.",
                    topic=self.topic, column=str(name),
                )
            self._last_index = <object>found
            self._last_name = name
        return self._value(self._last_index, row)

    cdef object _key_of(self, int64_t row):
        if len(self._key) == 1:
            return self._value(self._key[0], row)
        if not self._key:
            return None
        return tuple([self._value(i, row) for i in self._key])

    cdef object _value_of(self, int64_t row):
        cdef Py_ssize_t i
        if not self.is_typed:
            return self._value(1, row)
        return {self._names[i]: self._value(i, row) for i in range(len(self._names))}

    cdef object _headers_of(self, int64_t row):
        if self._has_no_headers:
            return []
        encoded = self._value(len(self._names) + 1, row)
        return [] if encoded is None else decode_headers(encoded)


cdef object _number(ReadKind kind, const uint8_t* values, int64_t row):
    if kind == kReadBool:
        return bool(get_bit(values, row))
    if kind == kReadInt32:
        return (<const int32_t*>values)[row]
    if kind == kReadInt16:
        return (<const int16_t*>values)[row]
    if kind == kReadInt8:
        return (<const int8_t*>values)[row]
    if kind == kReadUInt8:
        return values[row]
    if kind == kReadUInt16:
        return (<const uint16_t*>values)[row]
    if kind == kReadUInt32:
        return (<const uint32_t*>values)[row]
    if kind == kReadUInt64:
        return (<const uint64_t*>values)[row]
    return PyFloat_FromDouble((<const float*>values)[row])


cdef inline Record _record(RecordRows rows, int64_t row):
    cdef Record record = Record.__new__(Record)
    record._rows = rows
    record._row = row
    return record


@cython.final
@cython.freelist(1024)
@cython.no_gc  # refers to rows alone, and rows never refer to records
cdef class Record:
    """One record of a topic.

    Fields are decoded when they are read. A record keeps its batch in memory, and so its segment
    mapped: keep values, not records, for a long time.

    Notes
    -----
    ``record["amount"]`` is a column of a topic with a schema; ``record.value`` is all of them as a
    dict. Of a topic without a schema, ``record.key`` and ``record.value`` are bytes or None.
    Times and decimals are what ``Array.to_pylist`` gives.
    """

    cdef RecordRows _rows
    cdef int64_t _row

    def __init__(self):
        raise TypeError("records come from a consumer")

    @property
    def topic(self):
        """Name of the topic."""
        return self._rows.topic

    @property
    def partition(self):
        """Partition of the topic."""
        return self._rows.partition

    @property
    def offset(self):
        """Offset in the partition."""
        return self._rows._offset(self._row)

    @property
    def timestamp(self):
        """Record timestamp in microseconds since 1970."""
        return self._rows._value(len(self._rows._names), self._row)

    @property
    def key(self):
        """The key: bytes; of a topic with a schema its key column, a tuple of several, or None."""
        return self._rows._key_of(self._row)

    @property
    def value(self):
        """The value: bytes or None; of a topic with a schema a dict of all columns."""
        return self._rows._value_of(self._row)

    @property
    def headers(self):
        """Headers as a list of (str, bytes or None) tuples."""
        return self._rows._headers_of(self._row)

    def keys(self):
        """Return the names of the columns, so that ``dict(record)`` works."""
        return list(self._rows._names)

    def __getitem__(self, name):
        return self._rows._field(name, self._row)

    def __contains__(self, name):
        return name in self._rows._index

    def __repr__(self):
        rows = self._rows
        return (
            f"<Record {rows.topic}-{rows.partition} offset {rows._offset(self._row)}: "
            f"{self.value!r}>"
        )


@cython.final
cdef class RecordPlace:
    """Where an iteration over records is: a batch, and how many of its rows were handed out.

    The consumer knows the place and the iterator knows both, so that no cycle keeps a consumer
    that is dropped.
    """

    cdef RecordRows _rows
    cdef int64_t _row

    @property
    def rows(self):
        """The batch at hand, or None."""
        return self._rows

    @property
    def row(self):
        """How many of its rows were handed out."""
        return self._row

    def enter(self, RecordRows rows not None):
        """Go to the first row of another batch."""
        self._rows = rows
        self._row = 0

    def drop(self):
        """Leave the batch at hand; the next record is that of the next one."""
        self._rows = None


@cython.final
cdef class RecordIterator:
    """Iterates over the records of one batch after another.

    Parameters
    ----------
    place : RecordPlace
        That it moves.
    next_rows : callable
        Returns the next RecordRows, or None at the end.
    """

    cdef RecordPlace _place
    cdef object _next_rows

    def __init__(self, RecordPlace place not None, next_rows):
        self._place = place
        self._next_rows = next_rows

    def __iter__(self):
        return self

    def __next__(self):
        cdef RecordPlace place = self._place
        cdef RecordRows rows = place._rows
        cdef int64_t row
        while rows is None or place._row >= rows.length:
            place._rows = None
            rows = self._next_rows()
            if rows is None:
                raise StopIteration
            place._rows = rows
            place._row = 0
        row = place._row
        place._row = row + 1
        return _record(rows, row)
