# What C++ knows of records on their way into a batch; open_batch.hpp says what it is.

from libc.stdint cimport int32_t, int64_t
from libcpp cimport bool as cbool
from libcpp.vector cimport vector

from pystream._native._cells cimport Cell, ColumnSpec


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
        OpenBatch(const TopicLayout&, cbool) except +translate_exception
        void append(const Cell*) except +translate_exception
        int64_t rows()
        int64_t bytes()
        void take(RecordBatch*, RecordBatch*) except +translate_exception
