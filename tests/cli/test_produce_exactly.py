"""What `pystream produce` stores is what was written, in every format, or it is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

import pystream as ps
from tests.cli.commands import run, words
from tests.log.reading import rows_of

NOT_EXACT = "not exact as a float"
TOO_LARGE = "out of range"
NOON = datetime(2024, 1, 31, 12)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    with ps.open(tmp_path / "data") as log:
        log.create_topic("float64", {"x": "float64"})
        log.create_topic("float32", {"x": "float32"})
        log.create_topic("both", {"x": "float32", "y": "float64", "d": "decimal128(10, 2)"})
        log.create_topic("copy", {"x": "float32", "y": "float64", "d": "decimal128(10, 2)"})
        log.create_topic("at", {"at": "timestamp[us]"})
        log.create_topic("zoned", {"at": "timestamp[us, UTC]"})
    return tmp_path / "data"


def values(directory: Path, topic: str) -> list[Any]:
    with ps.open(directory) as log:
        return [next(iter(row.values())) for row in rows_of(log, topic)]


def sent(directory: Path, topic: str, form: str, number: str) -> tuple[int, str]:
    text = f"x\n1\n{number}\n" if form == "csv" else f'{{"x": 1}}\n{{"x": {number}}}\n'
    ran = run("produce", directory, topic, "--format", form, stdin=text)
    return ran.returncode, words(ran.stderr)


@pytest.mark.parametrize("form", ["csv", "json"])
@pytest.mark.parametrize(
    ("topic", "number", "why"),
    [
        ("float64", "9007199254740993", NOT_EXACT),
        ("float64", "-9007199254740993", NOT_EXACT),
        ("float64", "1e400", TOO_LARGE),
        ("float64", "-1e400", TOO_LARGE),
        ("float64", 400 * "9", TOO_LARGE),
        ("float32", "16777217", NOT_EXACT),
        ("float32", "-16777217", NOT_EXACT),
        ("float32", "9007199254740993", NOT_EXACT),
        ("float32", "9007199254740994", NOT_EXACT),
        ("float32", str(2**128 - 2**103 - 1), NOT_EXACT),
        ("float32", str(2**128 - 2**103), TOO_LARGE),
        ("float32", "1e39", TOO_LARGE),
        ("float32", "1e400", TOO_LARGE),
    ],
)
def test_a_number_that_no_float_is_near_is_refused(
    directory: Path, form: str, topic: str, number: str, why: str
) -> None:
    status, error = sent(directory, topic, form, number)
    assert status == 1
    assert f"{'row 3' if form == 'csv' else 'line 2'}: " in error
    assert "column 'x'" in error
    assert why in error


@pytest.mark.parametrize("form", ["csv", "json"])
@pytest.mark.parametrize(
    ("topic", "number", "stored"),
    [
        ("float64", "0.1", 0.1),
        ("float64", "9007199254740992", 2.0**53),
        ("float64", "18446744073709551616", 2.0**64),
        ("float64", "9007199254740993.0", 2.0**53),
        ("float64", "1e-400", 0.0),
        ("float64", "Infinity", np.inf),
        ("float64", "NaN", np.nan),
        ("float32", "16777216", 2.0**24),
        ("float32", "0.1", float(np.float32(0.1))),
        ("float32", "-Infinity", -np.inf),
    ],
)
def test_a_number_that_has_a_float_is_stored(
    directory: Path, form: str, topic: str, number: str, stored: float
) -> None:
    assert sent(directory, topic, form, number) == (0, "")
    np.testing.assert_equal(values(directory, topic), [1.0, stored])


def test_the_first_bad_row_of_csv_is_named(directory: Path) -> None:
    text = "x,y\n1,1\n16777216,9007199254740992\n1,9007199254740993\n16777217,1\n"
    ran = run("produce", directory, "both", "--format", "csv", stdin=text)
    assert "row 4: column 'y': expected float64, got 9007199254740993" in words(ran.stderr)


def test_json_beside_decimals_is_as_exact(directory: Path) -> None:
    ran = run("produce", directory, "both", stdin='{"y": 1e400}\n')
    assert TOO_LARGE in ran.stderr
    ran = run("produce", directory, "both", stdin='{"x": 0.1, "y": Infinity, "d": 1.25}\n')
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "expected decimal128" in run("produce", directory, "both", stdin='{"d": NaN}\n').stderr


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_floats_that_consume_wrote_are_read_again(
    directory: Path, tmp_path: Path, form: str
) -> None:
    random = np.random.default_rng(7)
    size = 10.0 ** random.uniform(-30, 30, 2000)
    with ps.open(directory) as log, log.producer() as producer:
        whole = random.integers(2**24, 2**31, 2000)
        rows = {"x": np.concatenate([size, whole]).astype(np.float32)}
        rows["y"] = np.concatenate([size * 1e200, 8.0 * whole])
        rows["x"][0], rows["y"][1] = np.inf, -np.inf
        producer.send_batch("both", rows)
    output = tmp_path / f"out.{form}"
    assert run("consume", directory, "both", "-o", output).returncode == 0
    ran = run("produce", directory, "copy", output)
    assert (ran.returncode, ran.stderr) == (0, "")
    with ps.open(directory) as log:
        assert rows_of(log, "copy") == rows_of(log, "both")


@pytest.mark.parametrize(("topic", "word"), [("at", "a"), ("zoned", "no")])
def test_a_zone_is_neither_dropped_nor_made_up(
    directory: Path, tmp_path: Path, topic: str, word: str
) -> None:
    other = NOON.replace(tzinfo=UTC) if topic == "at" else NOON
    pa.parquet.write_table(pa.table({"at": [other]}), tmp_path / "times.parquet")
    ran = run("produce", directory, topic, tmp_path / "times.parquet")
    assert ran.returncode == 1
    assert f"which has {word} time zone. Nothing was produced." in words(ran.stderr)
    text = other.isoformat()
    for form, line in (("json", f'{{"at": "{text}"}}\n'), ("csv", f"at\n{text}\n")):
        assert run("produce", directory, topic, "--format", form, stdin=line).returncode == 1
    assert values(directory, topic) == []
