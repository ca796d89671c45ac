"""Python values to cells: what a column of each type takes, exactly or not at all."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.datetime cimport (
    PyDate_Check, PyDateTime_Check, PyDateTime_DATE_GET_HOUR, PyDateTime_DATE_GET_MICROSECOND,
    PyDateTime_DATE_GET_MINUTE, PyDateTime_DATE_GET_SECOND, PyDelta_Check, datetime as c_datetime,
    import_datetime, timedelta as c_timedelta, timedelta_days, timedelta_microseconds,
    timedelta_seconds,
)
from cpython.float cimport PyFloat_AS_DOUBLE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport int64_t, uint64_t

from datetime import timezone
from decimal import Decimal

import numpy

from pystream.errors import SchemaError

import_datetime()

__all__ = ["timestamp_us"]


cdef extern from "Python.h":
    int64_t PyLong_AsLongLongAndOverflow(object, int* overflow) except? -1
    uint64_t PyLong_AsUnsignedLongLong(object) except? 18446744073709551615
    int PyDateTime_GET_YEAR(object)
    int PyDateTime_GET_MONTH(object)
    int PyDateTime_GET_DAY(object)


cdef extern from "open_batch.hpp" namespace "pystream::python":
    int64_t days_from_civil(int year, int month, int day)


class Refused(Exception):
    """A value does not fit its column; says why."""


cdef tuple _ACCEPTED = (
    "True or False",
    "a whole number",
    "a whole number from 0",
    "a number",
    "a datetime, numpy.datetime64, or a whole number in the column's unit",
    "a date, numpy.datetime64, or a number of days since 1970",
    "a timedelta, numpy.timedelta64, or a whole number in the column's unit",
    "a Decimal or a whole number",
    "a str",
    "bytes or a str",
)

cdef dict _UNIT = {1: "s", 1000: "ms", 1000000: "us", 1000000000: "ns"}
cdef object _UTC = timezone.utc


cdef int _to_int64(object value, const ColumnSpec* spec, Cell* cell) except -1:
    cdef int overflow = 0
    cell.integer = PyLong_AsLongLongAndOverflow(value, &overflow)
    if overflow or cell.integer < spec.minimum or cell.integer > spec.maximum:
        raise Refused("out of range")
    return 0


cdef int _microseconds_to_ticks(int64_t us, const ColumnSpec* spec, Cell* cell) except -1:
    cdef int64_t per_tick
    if spec.ticks_per_second == 1000000000:
        if us > 9223372036854775 or us < -9223372036854775:
            raise Refused("out of range")
        cell.integer = us * 1000
        return 0
    per_tick = 1000000 // spec.ticks_per_second
    if us % per_tick != 0:
        raise Refused("finer than the column's unit, so it would be cut: round it first")
    cell.integer = us // per_tick
    return 0


cdef int64_t _timedelta_us(object value) except? -1:
    cdef int64_t days = timedelta_days(value)
    if days > 100000000 or days < -100000000:
        raise Refused("out of range")
    return (days * 86400 + timedelta_seconds(value)) * 1000000 + timedelta_microseconds(value)


cdef int _from_datetime(object value, const ColumnSpec* spec, Cell* cell) except -1:
    cdef int64_t us
    cdef object zone = value.tzinfo
    if type(value) is not c_datetime and hasattr(value, "to_datetime64"):
        # A pandas Timestamp: a datetime with nanoseconds; NaT is one too.
        if zone is None and spec.is_zoned and value == value:
            raise Refused("without a time zone, but the column has one: set tzinfo")
        return _from_numpy_time(value.to_datetime64(), spec, cell)
    us = days_from_civil(
        PyDateTime_GET_YEAR(value), PyDateTime_GET_MONTH(value), PyDateTime_GET_DAY(value)
    ) * 86400
    us += (PyDateTime_DATE_GET_HOUR(value) * 60 + PyDateTime_DATE_GET_MINUTE(value)) * 60
    us = (us + PyDateTime_DATE_GET_SECOND(value)) * 1000000
    us += PyDateTime_DATE_GET_MICROSECOND(value)
    if zone is None:
        if spec.is_zoned:
            raise Refused("without a time zone, but the column has one: set tzinfo")
    elif zone is not _UTC:
        us -= _timedelta_us(value.utcoffset())
    return _microseconds_to_ticks(us, spec, cell)


cdef int _from_numpy_time(object value, const ColumnSpec* spec, Cell* cell) except -1:
    """Take a datetime64 or timedelta64; NaT is null."""
    cdef object kind = "M8" if value.dtype.kind == "M" else "m8"
    cdef object unit = "D" if spec.kind == kDateValue else _UNIT[spec.ticks_per_second]
    if numpy.isnat(value):
        if not spec.is_nullable:
            raise Refused("NaT, but the column is not nullable")
        cell.is_null = True
        return 0
    ticks = value.astype(f"{kind}[{unit}]")
    # The comparison converts, too, and may wrap around alike; the way back shows that.
    if ticks != value or ticks.astype(value.dtype) != value:
        raise Refused("finer than the column's unit or out of range: round it first")
    return _to_int64(int(ticks.astype("i8")), spec, cell)


cdef int _from_decimal(object value, const ColumnSpec* spec, Cell* cell) except -1:
    sign, digits, exponent = Decimal(value).as_tuple()
    if not isinstance(exponent, int):
        raise Refused("not finite")
    unscaled = int("".join(map(str, digits)) or "0")
    shift = exponent + spec.scale
    if shift >= 0:
        # More digits than any precision are refused before they are computed.
        unscaled = unscaled * 10 ** min(shift, 40)
    else:
        unscaled, rest = divmod(unscaled, 10 ** min(-shift, 60))
        if rest:
            raise Refused("finer than the column's scale, so it would be cut: round it first")
    if unscaled >= 10 ** <object>spec.precision:  # an int, which C's power is not
        raise Refused("out of range")
    if sign:
        unscaled = -unscaled
    low = unscaled & 0xFFFFFFFFFFFFFFFF
    cell.integer = low - (1 << 64) if low >> 63 else low
    cell.high = unscaled >> 64
    return 0


cdef int _to_real(object value, const ColumnSpec* spec, Cell* cell) except -1:
    cdef cbool is_whole = not isinstance(value, float)
    if is_whole:
        try:
            cell.real = value
        except OverflowError:
            raise Refused("out of range") from None
    else:
        cell.real = PyFloat_AS_DOUBLE(value)
    if spec.is_single and cell.real - cell.real == 0 and not (
        -3.4028235677973366e38 < cell.real < 3.4028235677973366e38
    ):
        raise Refused("out of range")
    # Floats are rounded to float32 as everywhere; who gives a whole number means that one.
    if is_whole and (cell.real != value or (spec.is_single and <float>cell.real != cell.real)):
        raise Refused("not exact as a float: pass float(value) to round it")
    return 0


cdef object _to_bytes(object value, Cell* cell):
    """Point the cell at the bytes of a str or bytes-like; return what must be kept for it."""
    cdef Py_ssize_t size
    if isinstance(value, bytes):
        cell.data = PyBytes_AS_STRING(value)
        cell.size = PyBytes_GET_SIZE(value)
        return value
    if isinstance(value, str):
        try:
            cell.data = PyUnicode_AsUTF8AndSize(value, &size)
        except UnicodeEncodeError:
            raise Refused("not valid Unicode: it has a lone surrogate") from None
        cell.size = size
        return value
    if isinstance(value, (bytearray, memoryview)):
        return _to_bytes(bytes(value), cell)
    raise Refused("")


cdef object convert(object value, const ColumnSpec* spec, Cell* cell):
    """Fill a cell; return the object that the cell's data lies in. Raise Refused."""
    if value is None:
        if not spec.is_nullable:
            raise Refused("null, but the column is not nullable")
        cell.is_null = True
        return None
    if spec.kind == kStringValue:
        if isinstance(value, str):
            return _to_bytes(value, cell)
    elif spec.kind == kBinaryValue:
        return _to_bytes(value, cell)
    elif spec.kind == kRealValue:
        if isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool)):
            _to_real(value, spec, cell)
            return None
    elif spec.kind == kBoolValue:
        if isinstance(value, bool):
            cell.integer = value is True
            return None
    elif isinstance(value, int) and not isinstance(value, bool):
        if spec.kind == kDecimalValue:
            _from_decimal(value, spec, cell)
        elif spec.kind == kUnsignedValue:
            try:
                cell.integer = <int64_t>PyLong_AsUnsignedLongLong(value)
            except OverflowError:
                raise Refused("out of range") from None
        else:
            _to_int64(value, spec, cell)
        return None
    elif spec.kind == kTimestampValue:
        if PyDateTime_Check(value):
            _from_datetime(value, spec, cell)
            return None
    elif spec.kind == kDateValue:
        if PyDate_Check(value) and not PyDateTime_Check(value):
            cell.integer = days_from_civil(
                PyDateTime_GET_YEAR(value), PyDateTime_GET_MONTH(value), PyDateTime_GET_DAY(value)
            )
            return None
    elif spec.kind == kDurationValue:
        if PyDelta_Check(value):
            _from_timedelta(value, spec, cell)
            return None
    elif spec.kind == kDecimalValue:
        if isinstance(value, Decimal):
            _from_decimal(value, spec, cell)
            return None
    if isinstance(value, numpy.generic):
        return _from_numpy(value, spec, cell)
    raise Refused("")


cdef int _from_timedelta(object value, const ColumnSpec* spec, Cell* cell) except -1:
    if type(value) is not c_timedelta and hasattr(value, "to_timedelta64"):
        return _from_numpy_time(value.to_timedelta64(), spec, cell)
    return _microseconds_to_ticks(_timedelta_us(value), spec, cell)


cdef object _from_numpy(object value, const ColumnSpec* spec, Cell* cell):
    cdef object kind = value.dtype.kind
    if kind == "M" and spec.kind in (kTimestampValue, kDateValue):
        _from_numpy_time(value, spec, cell)
        return None
    if kind == "m" and spec.kind == kDurationValue:
        _from_numpy_time(value, spec, cell)
        return None
    if kind in "biuf":
        return convert(value.item(), spec, cell)
    raise Refused("")


cdef object mismatch(str topic, str column, str expected, ValueKind kind, object value, object why,
                     object row):
    """Return the SchemaError of a value that was refused."""
    shown = repr(value)
    if len(shown) > 60:
        shown = shown[:57] + "..."
    got = "null" if value is None else f"{type(value).__name__} {shown}"
    reason = f" ({why})" if str(why) else ""
    where = "" if row is None else f", row {row}"
    return SchemaError(
        f"topic {topic!r}, column {column!r}{where}: expected {expected}, got {got}{reason}. Send "
        f"{_ACCEPTED[<int>kind]}.",
        topic=topic, column=column, expected=expected, got=got, row=row, value=value,
    )


cdef ColumnSpec _timestamp_spec
_timestamp_spec.kind = kTimestampValue
_timestamp_spec.is_nullable = False
_timestamp_spec.is_zoned = True
_timestamp_spec.ticks_per_second = 1000000
_timestamp_spec.minimum = -9223372036854775807
_timestamp_spec.maximum = 9223372036854775807


cdef int fill_timestamp(str topic, object timestamp, Cell* cell) except -1:
    try:
        convert(timestamp, &_timestamp_spec, cell)
    except Refused as why:
        raise mismatch(topic, "timestamp", "timestamp[us, UTC]", kTimestampValue, timestamp, why,
                       None) from None
    return 0


def timestamp_us(str topic, value):
    """Return a record timestamp in microseconds; raise SchemaError when it is none."""
    cdef Cell cell
    fill_timestamp(topic, value, &cell)
    return cell.integer
