"""DataType and Schema as Python sees them."""

from __future__ import annotations

import numpy as np
import pytest

from pystream._native import _core
from pystream.errors import ConfigError, SchemaError

INT64 = _core.DataType("int64")


@pytest.mark.parametrize(
    ("text", "kind", "dtype"),
    [
        ("bool", "bool", "bool"),
        ("uint16", "uint16", "uint16"),
        ("float32", "float32", "float32"),
        ("date32", "date32", "datetime64[D]"),
        ("timestamp[ms, UTC]", "timestamp", "datetime64[ms]"),
        ("duration[ns]", "duration", "timedelta64[ns]"),
        ("decimal128(9, 2)", "decimal128", "object"),
        ("dictionary<string>", "string", "object"),
        ("binary", "binary", "object"),
    ],
)
def test_type_says_what_it_is(text: str, kind: str, dtype: str) -> None:
    data_type = _core.DataType(text)
    assert str(data_type) == text
    assert data_type.kind == kind
    assert data_type.numpy_dtype() == np.dtype(dtype)
    assert repr(data_type) == f"DataType('{text}')"


def test_type_parameters() -> None:
    zoned = _core.DataType("timestamp[us, Asia/Tokyo]")
    assert (zoned.unit, zoned.timezone, zoned.precision, zoned.scale) == (
        "us",
        "Asia/Tokyo",
        None,
        None,
    )
    money = _core.DataType("decimal128(9, 2)")
    assert (money.unit, money.timezone, money.precision, money.scale) == (None, None, 9, 2)
    assert _core.DataType("dictionary<string>").is_dictionary
    assert not _core.DataType("string").is_dictionary


def test_equal_types_are_equal_and_hash_alike() -> None:
    assert _core.DataType("timestamp[ms,UTC]") == _core.DataType("timestamp[ms, UTC]")
    assert len({_core.DataType("int64"), INT64, _core.DataType("int32")}) == 2
    assert INT64 != "int64"


@pytest.mark.parametrize(
    "text", ["", "int", "list<list<int64>>", "timestamp[m]", "decimal128(40, 0)"]
)
def test_unknown_type_is_a_config_error_that_lists_what_is_accepted(text: str) -> None:
    with pytest.raises(ConfigError, match=r"is not a column type.*int64.*timestamp") as caught:
        _core.DataType(text)
    assert isinstance(caught.value, ValueError)


def test_schema_keeps_its_fields() -> None:
    fields = [("a", INT64, True), ("b", _core.DataType("string"), False)]
    schema = _core.Schema(fields)
    assert schema.fields == fields
    assert schema.names == ["a", "b"]
    assert (schema.index_of("b"), schema.index_of("c"), len(schema)) == (1, -1, 2)
    assert str(schema) == "a: int64, b: string not null"
    assert repr(schema) == "Schema(a: int64, b: string not null)"
    assert schema == _core.Schema(iter(fields))
    assert hash(schema) == hash(_core.Schema(fields))
    assert schema != _core.Schema([("a", INT64, False), fields[1]])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([("", INT64, True)], "a column has no name"),
        ([("a", INT64, True), ("a", INT64, True)], "'a' appears twice"),
        ([(f"c{i}", INT64, True) for i in range(4097)], "may have 4096 columns, got 4097"),
    ],
)
def test_bad_schema_is_refused(
    fields: list[tuple[str, _core.DataType, bool]], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        _core.Schema(fields)


def test_bytes_that_are_no_schema_are_refused() -> None:
    for data in (b"", b"PSSC", b"x" * 40):
        with pytest.raises(SchemaError, match="damaged"):
            _core.Schema.deserialize(data)
