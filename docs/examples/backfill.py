"""Backfill: one pipeline over a history of files, over a live topic, and over one after the other.

Run it in an empty directory; it makes its own data, prints what it found, and ends.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

import pystream as ps
from pystream import col

HOUR_MS = 3_600_000
SCHEMA = {"user": "string", "amount": "float64", "ts": "timestamp[ms]"}
WATERMARK = ps.WatermarkStrategy.for_bounded_out_of_orderness("1m", timestamp="ts")


def pipeline(payments: ps.Stream) -> ps.Stream:
    """Sum payments per user over the last hour, every five minutes: the one program."""
    windows = payments.key_by("user").window(ps.hopping("1h", "5m"))
    return windows.aggregate(n=ps.count(), total=col("amount").sum())


def payments(first_hour: int, hours: int) -> pa.Table:
    """Make payments of some hours in order of arrival, up to half a minute out of order."""
    rng = np.random.default_rng(first_hour)
    due = np.sort(rng.integers(first_hour * HOUR_MS, (first_hour + hours) * HOUR_MS, 1_000 * hours))
    return pa.table(
        {
            "user": [f"user-{n}" for n in rng.integers(0, 50, len(due))],
            "amount": rng.integers(1, 100, len(due)).astype("float64"),
            "ts": pa.array(due - rng.integers(0, 30_000, len(due)), pa.timestamp("ms")),
        }
    )


def main() -> None:
    """Backfill features from files, then go on with a topic without a seam."""
    # A day of history in four files, whose names sort in the order of their records.
    env = ps.Environment()
    for hour in range(0, 24, 6):
        env.from_arrow(payments(hour, 6)).to_parquet(f"history/{hour:02}.parquet")

    # History alone. Nothing is late in it, whatever the order of its rows: mode="perfect".
    env = ps.Environment(name="backfill")
    pipeline(env.from_parquet("history/*.parquet", watermark=WATERMARK)).sink_to_parquet(
        "features/"
    )
    result = env.execute(mode="perfect")
    print(f"backfill: {result.records_in:,} payments, {result.late_records} late")

    # The same program over the topic into which payments come from now on. Without until="latest"
    # it would follow the topic until it is interrupted.
    log = ps.open("data")
    log.create_topic("payments", SCHEMA, key="user", partitions=2)
    with log.producer() as producer:
        producer.send_batch("payments", payments(24, 3))
    env = ps.Environment(log, name="live")
    pipeline(env.from_topic("payments", watermark=WATERMARK)).sink_to_topic("features-cold")
    env.execute(until="latest")

    # That start is cold: the first hour of windows lacks what came before. One job over both has
    # no seam, for its watermark and its open windows carry over.
    env = ps.Environment(log, name="history, then live")
    source = ps.HybridSource(env.from_parquet("history/*.parquet"), env.from_topic("payments"))
    pipeline(env.from_source(source, watermark=WATERMARK)).sink_to_topic("features")
    env.execute(until="latest")

    midnight = 24 * HOUR_MS
    for topic in ("features-cold", "features"):
        rows = env.from_topic(topic).to_arrow()
        ends = rows["window_end"].cast("int64").to_numpy()
        across = ends == midnight + HOUR_MS // 2
        n = rows["n"].to_numpy()[across].sum()
        print(f"{topic}: {n} payments from 23:30 to 00:30")
    log.close()


if __name__ == "__main__":
    main()
