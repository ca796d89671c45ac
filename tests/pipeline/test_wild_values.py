"""Whatever is passed while a chain is built, what comes of it says which parameter wants what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

import pystream as ps
from pystream import col
from pystream.errors import StreamError
from tests.log.wild_values import VALUES

TABLE = pa.table(
    {"user": ["ann"], "amount": [1.0], "ts": pa.array([1_000], pa.timestamp("ms"))},
)
Strategy = ps.WatermarkStrategy
Build = Callable[[object], object]

# Of Python: what an operator of expressions, as `+`, is refused with. Ours say what to write.
OURS = ("cannot be a literal. Pass", "Test for nulls with", "is not a name. Pass", "list of values")


def stream() -> ps.Stream:
    strategy = Strategy.for_bounded_out_of_orderness("5s", timestamp="ts")
    return ps.Environment().from_arrow(TABLE, watermark=strategy)


def windowed() -> ps.WindowedStream:
    return stream().key_by("user").window(ps.tumbling("1m"))


BUILDS: dict[str, Build] = {
    "from_arrow": lambda its: ps.Environment().from_arrow(its),
    "from_arrow of a column": lambda its: ps.Environment().from_arrow({"n": its}),
    "from_arrow, watermark": lambda its: ps.Environment().from_arrow(TABLE, watermark=its),
    "from_topic": lambda its: ps.Environment().from_topic(its),
    "from_parquet": lambda its: ps.Environment().from_parquet(its),
    "from_csv": lambda its: ps.Environment().from_csv(its, schema={"n": "int64"}),
    "from_json": lambda its: ps.Environment().from_json(its, schema={"n": "int64"}),
    "sink_to_topic": lambda its: stream().sink_to_topic(its),
    "sink_to_topic, key": lambda its: stream().sink_to_topic("t", key=its),
    "sink_to_parquet": lambda its: stream().sink_to_parquet(its),
    "sink_to_csv": lambda its: stream().sink_to_csv(its),
    "sink_to_json": lambda its: stream().sink_to_json(its),
    "filter": lambda its: stream().filter(its),
    "select": lambda its: stream().select(its),
    "with_columns": lambda its: stream().with_columns(x=its),
    "key_by": lambda its: stream().key_by(its),
    "union": lambda its: stream().union(its),
    "window": lambda its: stream().key_by("user").window(its),
    "aggregate": lambda its: windowed().aggregate(x=its),
    "allowed_lateness": lambda its: windowed().allowed_lateness(its),
    "tumbling": ps.tumbling,
    "tumbling, offset": lambda its: ps.tumbling("1m", offset=its),
    "hopping": lambda its: ps.hopping(its, "1m"),
    "hopping, slide": lambda its: ps.hopping("1m", its),
    "session": ps.session,
    "cumulate": lambda its: ps.cumulate("1h", its),
    "watermark": lambda its: Strategy.for_bounded_out_of_orderness(its, timestamp="ts"),
    "watermark, timestamp": lambda its: Strategy.for_bounded_out_of_orderness("5s", timestamp=its),
    "watermark, unit": lambda its: Strategy.for_bounded_out_of_orderness(
        "5s", timestamp="ts", unit=its
    ),
    "col": ps.col,
    "lit": ps.lit,
    "cast": lambda its: stream().with_columns(x=col("amount").cast(its)),
    "sum with": lambda its: stream().with_columns(x=col("amount") + its),
    "equal to": lambda its: stream().filter(col("user") == its),
    "less than": lambda its: stream().filter(col("amount") < its),
    "isin": lambda its: stream().filter(col("user").isin(its)),
    "isin of one": lambda its: stream().filter(col("user").isin([its])),
    "where": lambda its: windowed().aggregate(n=ps.count(where=its)),
}


@pytest.mark.parametrize("name", BUILDS)
def test_wild_values_are_told(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = []
    for shown, value in VALUES.items():
        try:
            BUILDS[name](value)
        except StreamError as error:
            if not str(error).strip():
                wrong.append(f"{shown}: an error without a message")
        except Exception as error:
            if not (isinstance(error, TypeError) and any(part in str(error) for part in OURS)):
                wrong.append(f"{shown}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)
    assert list(tmp_path.iterdir()) == [], "nothing was written"
