"""Aggregates of one's own: the volume-weighted price of trades, and how far it swings.

Run it in an empty directory; it makes its own data, prints what it found, and ends.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

import pystream as ps
from pystream import col

WATERMARK = ps.WatermarkStrategy.for_bounded_out_of_orderness("2s", timestamp="ts")


class WeightedPrice(ps.BatchAggregateFunction):
    """The mean price, by volume: numpy over all trades of a round."""

    returns = "float64"
    accumulators = {"turnover": "float64", "volume": "float64"}  # noqa: RUF012

    def add_batch(self, state: dict[str, Any], groups: Any, *columns: Any) -> None:
        """Add trades to the accumulators that `groups` names."""
        price, volume = columns
        state["turnover"] += np.bincount(groups, price * volume)
        state["volume"] += np.bincount(groups, volume)

    def merge_batch(self, state: dict[str, Any], other: dict[str, Any]) -> None:
        """Add the parts of windows up."""
        state["turnover"] += other["turnover"]
        state["volume"] += other["volume"]

    def get_results(self, state: dict[str, Any]) -> Any:
        """Divide; null where nothing was traded."""
        return state["turnover"] / np.ma.masked_equal(state["volume"], 0)


class Range(NamedTuple):
    """What a window has of a symbol; None before the first trade."""

    least: float
    most: float


class Swing(ps.AggregateFunction[float, Range | None, float | None]):
    """How far the price went, in percent of the least: one trade at a time."""

    returns = "float64"

    def create_accumulator(self) -> Range | None:
        """Begin without a trade."""
        return None

    def add(self, value: float, accumulator: Range | None) -> Range | None:
        """Widen the range to a price."""
        return self.merge(accumulator, Range(value, value))

    def merge(self, a: Range | None, b: Range | None) -> Range | None:
        """Take the least and the most of both."""
        if a is None or b is None:
            return a or b
        return Range(min(a.least, b.least), max(a.most, b.most))

    def get_result(self, accumulator: Range | None) -> float | None:
        """Compare the most with the least."""
        if accumulator is None:
            return None
        return 100 * (accumulator.most / accumulator.least - 1)


def trades(count: int) -> pa.Table:
    """Make a quarter of an hour of trades in three symbols, nearly in order."""
    rng = np.random.default_rng(20_130_101)
    due = np.sort(rng.integers(2_000, 900_000, count))
    return pa.table(
        {
            "symbol": rng.choice(["AAA", "BBB", "CCC"], count),
            "price": 100 * np.exp(np.cumsum(rng.normal(0, 0.0005, count))),
            "volume": rng.integers(1, 500, count).astype("float64"),
            "ts": pa.array(due - rng.integers(0, 1_500, count), pa.timestamp("ms")),
        }
    )


def main() -> None:
    """Print the prices of each five minutes."""
    env = ps.Environment(name="prices")
    prices = (
        env.from_arrow(trades(count=20_000), watermark=WATERMARK)
        .key_by("symbol")
        .window(ps.tumbling("5m"))
        .aggregate(
            n=ps.count(),
            price=WeightedPrice()(col("price"), col("volume")),
            swing=Swing()(col("price")),
            large=WeightedPrice()(col("price"), col("volume"), where=col("volume") > 400),
        )
    )
    rows = sorted(prices.to_arrow().to_pylist(), key=lambda r: (r["window_start"], r["symbol"]))
    for row in rows:
        print(
            f"{row['window_start']:%H:%M} {row['symbol']}: {row['n']} trades at "
            f"{row['price']:.2f}, large ones at {row['large']:.2f}, swing {row['swing']:.1f} %"
        )
    assert sum(row["n"] for row in rows) == 20_000
    assert all(80 < row["price"] < 125 for row in rows)


if __name__ == "__main__":
    main()
