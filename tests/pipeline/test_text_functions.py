"""Functions of strings that need more than an example: case and patterns."""

from __future__ import annotations

import unicodedata
from typing import Any

import pyarrow as pa
import pytest

from pystream._native import RecordBatch
from pystream.errors import ConfigError, SchemaError
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


# -- patterns -------------------------------------------------------------------------------------

FLIGHTS = ["UA1545", "AA 1141", None, "", "x\nB6\n", "é1é22"]


@pytest.mark.parametrize("encoded", [False, True])
def test_a_pattern_matches_anywhere(encoded: bool) -> None:
    def find(pattern: str) -> list[object]:
        return of(col("s").regexp_match(pattern), FLIGHTS, encoded=encoded)

    assert find("[0-9]{2}") == [True, True, None, False, False, True]
    assert find("^[A-Z]{2}[0-9]+$") == [True, False, None, False, False, False]
    assert find("") == [True, True, None, True, True, True]
    assert find("(?i)ua|é$") == [True, False, None, False, False, False]
    assert find("(?m)^B6$") == [False, False, None, False, True, False]
    assert find("B6$") == [False] * 2 + [None] + [False] * 3  # $ is the very end


@pytest.mark.parametrize("encoded", [False, True])
def test_the_first_match_and_its_groups_are_extracted(encoded: bool) -> None:
    def extract(pattern: str, group: int | str = 0) -> list[object]:
        return of(col("s").regexp_extract(pattern, group), FLIGHTS * 2, encoded=encoded)[:6]

    assert extract("[0-9]+") == ["1545", "1141", None, None, "6", "1"]
    assert extract("([A-Z])([A-Z])?", 2) == ["A", "A", None, None, None, None]
    assert extract("(?P<carrier>[A-Z0-9]{2}) ?", "carrier") == [
        *("UA", "AA", None, None, "B6", "22"),
    ]
    assert extract("x*") == ["", "", None, "", "x", ""]


@pytest.mark.parametrize("encoded", [False, True])
def test_every_match_is_replaced(encoded: bool) -> None:
    def replace(pattern: str, replacement: str) -> list[object]:
        return of(col("s").regexp_replace(pattern, replacement), FLIGHTS, encoded=encoded)

    assert replace("[0-9]", "#") == ["UA####", "AA ####", None, "", "x\nB#\n", "é#é##"]
    assert replace("([A-Z])([A-Z0-9])", r"\2\1\\\0")[:2] == ["AU\\UA1545", "AA\\AA 1141"]
    assert replace("(x)?(.)", r"<\1>")[3:5] == ["", "<>\n<><>\n"]
    assert replace("é*", "-")[3:] == ["-", "-x-\n-B-6-\n-", "--1--2-2-"]
    assert of(col("s").regexp_replace("x*", "-"), ["abxd"]) == ["-a-b--d-"]


@pytest.mark.parametrize("encoded", [False, True])
def test_matches_begin_and_end_with_characters(encoded: bool) -> None:
    texts = ["a😀", "é", "éé", "ab", "", None]

    def replace(pattern: str) -> list[object]:
        return of(col("s").regexp_replace(pattern, "-"), texts, encoded=encoded)

    assert replace(r"\B") == ["a😀-", "-é-", "-é-é-", "a-b", "-", None]
    assert replace(r"\B.") == ["a😀", "-", "--", "a-", "", None]
    assert replace(r"é|\B") == ["a😀-", "--", "---", "a-b", "-", None]
    extracted = of(col("s").regexp_extract(r"b|(\B)", 1), ["bé", "b", "😀b"], encoded=encoded)
    assert extracted == [None, None, ""]
    assert of(col("s").regexp_match(r"x\B|\By"), ["xé", "éy", "xy"], encoded=encoded) == [
        False,
        False,
        True,
    ]
    assert of(col("s").regexp_match(r"^a\b|\B"), ["é", "aéa", "aéb"], encoded=encoded) == [True] * 3
    assert of(col("s").regexp_match(r"\B"), ["aéa"], encoded=encoded) == [False]


def test_what_looks_like_a_byte_in_a_pattern_is_text() -> None:
    for pattern in (r"\\C", r"\Q\C\E", r"\Q\C", r"x?\\\x43", r"[\\]C"):
        assert of(col("s").regexp_match(pattern), [r"\C", "C"]) == [True, False]
    for pattern in (r"\QC\E\C", r"\\\C", r"(\C)", r"\Q\\E\C"):
        with pytest.raises(ConfigError, match="matches a byte"):
            type_of(col("carrier").regexp_match(pattern))


def test_parts_are_those_of_split() -> None:
    texts = ["a,b,,c", ",", "", None, "abc"]
    for encoded in (False, True):
        for index in range(-5, 5):
            parts = [None if text is None else text.split(",") for text in texts]
            assert of(col("s").split_part(",", index), texts, encoded=encoded) == [
                p[index] if p and -len(p) <= index < len(p) else None for p in parts
            ]
        expected = [None if text is None else text.split(",") for text in texts]
        assert of(col("s").split(","), texts, encoded=encoded) == expected
        lengths = [None if parts is None else len(parts) for parts in expected]
        assert of(col("s").split(",").list_length(), texts, encoded=encoded) == lengths
        assert of(col("s").upper().split("B"), ["abc", None, ""]) == [["A", "C"], None, [""]]
    assert of(col("s").split("aa"), ["aaaaa"]) == [["", "", "a"]]
    assert of(col("s").split_part("aa", 1), ["aaaaa"]) == [""]
    assert of(col("s").split_part("aa", -1), ["aaaaa"]) == ["a"]
    assert of(col("s").split_part("a", -(2**63)), ["a"]) == [None]
    assert of(col("s").split_part("a", 2**63 - 1), ["a"]) == [None]


def test_a_pattern_that_would_backtrack_for_ever_is_linear() -> None:
    text = "a" * 100_000
    assert of(col("s").regexp_match("(a+)+$"), [text + "!"]) == [False]
    assert of(col("s").regexp_match("(a|a)*b"), [text]) == [False]


@pytest.mark.parametrize(
    "make",
    [
        lambda text: col("s").contains(text),
        lambda text: col("s") == text,
        lambda text: col("s").isin(["a", text]),
        lambda text: col("s").regexp_match(text),
        lambda text: col("s").regexp_extract("a", text),
        lambda text: col("s").regexp_replace("a", text),
        lambda text: col("s").split_part(text, 0),
        lambda text: col("s").split(text),
        lambda text: col("s").parse(text, "date32"),
        lambda text: col("ts").format(text),
        lit,
        col,
    ],
)
def test_half_a_surrogate_pair_is_no_text(make: Any) -> None:
    with pytest.raises(ConfigError, match=r"text 'a\\ud800' is not valid Unicode: .* at index 1"):
        make("a\ud800")
    make("a😀")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: type_of(col("carrier").regexp_match("(")),
            ConfigError,
            r"carrier.regexp_match\('\('\): the pattern is not a regular expression: missing \)",
        ),
        (lambda: type_of(col("carrier").regexp_match(r"(?=a)")), ConfigError, "RE2's syntax"),
        (lambda: type_of(col("carrier").regexp_extract(r"\C")), ConfigError, r"a byte.*\(\?s:\.\)"),
        (lambda: type_of(col("carrier").regexp_extract("a", 1)), ConfigError, "no group 1. Use 0"),
        (lambda: type_of(col("carrier").regexp_extract("a", -1)), ConfigError, "no group -1"),
        (lambda: type_of(col("carrier").regexp_extract("(a)", "n")), ConfigError, "no group 'n'"),
        (
            lambda: type_of(col("carrier").regexp_replace("(a)", r"\2")),
            ConfigError,
            "names group 2, but the pattern has 1 groups",
        ),
        (lambda: type_of(col("carrier").regexp_replace("a", "\\")), ConfigError, "lone backslash"),
        (lambda: type_of(col("delay").regexp_match("a")), SchemaError, "takes string, but delay"),
        (lambda: type_of(col("delay").split_part("a", 1)), SchemaError, "takes string, but delay"),
        (lambda: type_of(col("dellay").regexp_match("a")), SchemaError, "did you mean 'delay'"),
        (lambda: col("s").split_part("", 1), ConfigError, "empty delimiter"),
        (lambda: col("s").split(""), ConfigError, "split got an empty delimiter"),
        (lambda: type_of(col("delay").split("a")), SchemaError, "takes string, but delay"),
        (
            lambda: type_of(col("carrier").split("a").upper()),
            SchemaError,
            r"upper does not take lists, but carrier.split\('a'\) is list<string>",
        ),
        (lambda: col("s").split_part("a", 2**63), ConfigError, "one of 64 bits"),
        (lambda: col("s").split_part("a", "b"), TypeError, "the index 'b'. Pass an int"),  # type: ignore[arg-type]
        (lambda: col("s").regexp_match(col("t")), TypeError, "the pattern col.* Pass a str"),  # type: ignore[arg-type]
        (lambda: col("s").regexp_extract("a", 1.5), TypeError, "the group 1.5. Pass an int"),  # type: ignore[arg-type]
    ],
)
def test_wrong_patterns_are_refused_where_the_chain_is_built(
    make: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make()
