"""The headers of a record, in Kafka's encoding: varint count, then varint-sized keys and values.

References
----------
https://kafka.apache.org/documentation/#recordheader
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t

from pystream.errors import ConfigError

__all__ = ["decode_headers", "encode_headers"]


def encode_headers(headers):
    """Return the headers of a record, as bytes, or None when there are none."""
    cdef bytearray out = bytearray()
    try:
        items = tuple(headers)  # so that the count is that of what follows it
    except TypeError:
        raise ConfigError(f"headers is {headers!r}. Pass (name, bytes) tuples.") from None
    if not items:
        return None
    _put_varint(out, len(items))
    for item in items:
        if not isinstance(item, tuple) or len(item) != 2:
            raise ConfigError(f"a header is {item!r}. Pass headers as (name, bytes) tuples.")
        name, value = item
        if not isinstance(name, str) or not (value is None or isinstance(value, (bytes, str))):
            raise ConfigError(
                f"a header is {item!r}. Pass a str and bytes, a str, or None in each tuple."
            )
        try:
            name = name.encode()
            if isinstance(value, str):
                value = value.encode()
        except UnicodeEncodeError:
            raise ConfigError(
                f"a header is {item!r}, and a lone surrogate has no UTF-8. Pass bytes."
            ) from None
        _put_varint(out, len(name))
        out += name
        if value is None:
            _put_varint(out, -1)
            continue
        _put_varint(out, len(value))
        out += value
    return bytes(out)


cdef int _put_varint(bytearray out, int64_t value) except -1:
    cdef uint64_t rest = (<uint64_t>value << 1) ^ (<uint64_t>(value >> 63))
    while rest > 127:
        out.append((rest & 127) | 128)
        rest >>= 7
    out.append(rest)
    return 0


def decode_headers(bytes encoded):
    """Return the headers of a record, which `encode_headers` encoded."""
    cdef Py_ssize_t at = 0
    cdef int64_t count
    cdef int64_t size
    headers = []
    count, at = _varint(encoded, at)
    for _ in range(count):
        size, at = _varint(encoded, at)
        name = encoded[at:at + size].decode()
        at += size
        size, at = _varint(encoded, at)
        if size < 0:
            headers.append((name, None))
            continue
        headers.append((name, encoded[at:at + size]))
        at += size
    return headers


cdef tuple _varint(bytes encoded, Py_ssize_t at):
    cdef uint64_t raw = 0
    cdef int shift = 0
    cdef uint8_t byte = 128
    while byte & 128:
        byte = encoded[at]
        at += 1
        raw |= <uint64_t>(byte & 127) << shift
        shift += 7
    return <int64_t>(raw >> 1) ^ -<int64_t>(raw & 1), at
