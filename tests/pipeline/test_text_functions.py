"""Functions of strings that need more than an example: case."""

from __future__ import annotations

import unicodedata

import pyarrow as pa
import pytest

from pystream._native import RecordBatch
from pystream.errors import SchemaError
from pystream.pipeline.expressions import Expression, col, lit
from tests.pipeline.flights import run, type_of

# All but ideographs and private CHARACTERS, which have no case.
CHARACTERS = [chr(c) for c in (*range(0xD800), *range(0xE000, 0x20000), *range(0xE0000, 0xE0200))]
TABLE = "14.0.0"  # the version of Unicode in native/expressions/case_table.cpp


def of(expression: Expression, values: list[str | None], *, encoded: bool = False) -> list[object]:
    column = pa.array(values, pa.string())
    if encoded:
        column = column.dictionary_encode()
    return run(expression, RecordBatch.from_arrow(pa.record_batch({"s": column}))[0])


# -- case -----------------------------------------------------------------------------------------


def test_case_is_that_of_python() -> None:
    words = ["Straße", "ÄΣ", "ΑΣ.", "ΑΣ.я", "Σ", "ﬃ ǆ", "İ", "UA1545", "", None]
    for encoded in (False, True):
        lowered = of(col("s").lower(), words, encoded=encoded)
        assert lowered == [word and word.lower() for word in words]
        raised = of(col("s").upper(), words, encoded=encoded)
        assert raised == [word and word.upper() for word in words]
    assert run(col("carrier").lower()) == ["ua", "aa", None, "b6", "ua"]
    assert run(lit("Aé").upper() + "!")[0] == "AÉ!"
    assert type_of(col("carrier").cast("dictionary<string>").lower()) == "string"


def test_plain_ascii_keeps_its_offsets_also_in_a_slice() -> None:
    words = ["@AZ[", None, "`az{", "longer Than sixteen Bytes", ""] * 20
    batch = RecordBatch.from_arrow(pa.record_batch({"s": pa.array(words)}))[0]
    for begin, length in ((0, 100), (3, 64), (99, 1), (50, 0)):
        part = batch.slice(begin, length)
        expected = words[begin : begin + length]
        assert run(col("s").lower(), part) == [word and word.lower() for word in expected]
        assert run(col("s").upper(), part) == [word and word.upper() for word in expected]


def test_every_character_changes_its_case_as_in_python() -> None:
    for change in (str.lower, str.upper):
        found = of(getattr(col("s"), change.__name__)(), CHARACTERS)
        different = [c for c, new in zip(CHARACTERS, found, strict=True) if new != change(c)]
        # A newer Unicode gives case to letters that had none; it never changes one.
        assert different == [] or unicodedata.unidata_version != TABLE
        assert len(different) < 200


@pytest.mark.skipif(unicodedata.unidata_version != TABLE, reason=f"the table is Unicode {TABLE}")
def test_every_character_is_looked_through_for_a_final_sigma_as_in_python() -> None:
    for form in ("{}Σ", "a{}Σ", "aΣ{}", "aΣ{}b"):
        texts = [form.format(c) for c in CHARACTERS]
        assert of(col("s").lower(), texts) == [text.lower() for text in texts]


def test_case_takes_strings_alone() -> None:
    with pytest.raises(SchemaError, match=r"lower takes string, but delay is int64\. Cast it"):
        type_of(col("delay").lower())
    with pytest.raises(SchemaError, match="upper takes string, but blob is binary"):
        type_of(col("blob").upper())
