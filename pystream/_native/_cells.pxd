# Cells, and how values become them; open_batch.hpp says what they are.

from libc.stdint cimport int64_t
from libcpp cimport bool as cbool


cdef extern from "columns/row_builder.hpp" namespace "pystream":
    cdef cppclass Cell:
        cbool is_null
        int64_t integer
        int64_t high
        double real
        const char* data
        int64_t size


cdef extern from "open_batch.hpp" namespace "pystream::python":
    cdef enum ValueKind:
        kBoolValue
        kIntegerValue
        kUnsignedValue
        kRealValue
        kTimestampValue
        kDateValue
        kDurationValue
        kDecimalValue
        kStringValue
        kBinaryValue

    cdef cppclass ColumnSpec:
        ValueKind kind
        cbool is_nullable
        cbool is_zoned
        cbool is_single
        int precision
        int scale
        int64_t ticks_per_second
        int64_t minimum
        int64_t maximum


cdef object convert(object value, const ColumnSpec* spec, Cell* cell)
cdef object mismatch(str topic, str column, str expected, ValueKind kind, object value, object why,
                     object row)
cdef int fill_timestamp(str topic, object timestamp, Cell* cell) except -1
