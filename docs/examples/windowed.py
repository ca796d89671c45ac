"""Windowed aggregation: totals per user and minute, with payments that came too late beside them.

Run it in an empty directory; it makes its own data, prints what it found, and ends.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

import pystream as ps
from pystream import col

SCHEMA = {"user": "string", "amount": "float64", "ts": "timestamp[ms]"}
# A partition that has nothing to say for half a minute does not hold the others.
WATERMARK = ps.WatermarkStrategy.for_bounded_out_of_orderness("5s", timestamp="ts").with_idleness(
    "30s"
)
HOUR_MS = 3_600_000


def payments(count: int) -> pa.Table:
    """Make the payments of an hour in order of arrival; one in a hundred is up to a minute late."""
    rng = np.random.default_rng(20_130_101)
    due = np.sort(rng.integers(0, HOUR_MS, count))
    delay = np.where(rng.random(count) < 0.01, 60_000, 5_000) * rng.random(count)
    order = np.argsort(due + delay, kind="stable")
    cents = rng.integers(100, 10_000, count)
    return pa.table(
        {
            "user": [f"user-{n:02}" for n in rng.integers(0, 50, count)],
            "amount": cents / 100,
            "ts": pa.array(due[order], pa.timestamp("ms")),
        }
    )


def main() -> None:
    """Sum up the minutes, once as they close, and again for each payment up to 20 s behind that."""
    log = ps.open("data")
    log.create_topic("payments", SCHEMA, key="user")
    with log.producer() as producer:
        producer.send_batch("payments", payments(20_000))

    env = ps.Environment(log, name="minute-totals")
    late = ps.OutputTag("late")
    totals = (
        env.from_topic("payments", watermark=WATERMARK)
        .filter(col("amount") >= 5)
        .key_by("user")
        .window(ps.tumbling("1m"))
        .allowed_lateness("20s")
        .side_output_late_data(late)
        .aggregate(
            n=ps.count(),
            total=col("amount").sum(),
            p99=col("amount").approx_quantile(0.99),
            large=ps.count(where=col("amount") > 90),
        )
    )
    totals.sink_to_topic("user-minute", key="user")
    totals.side_output(late).sink_to_topic("payments-late")
    # Without until="latest" it would follow the topic until it is interrupted.
    result = env.execute(until="latest")
    window = next(it for it in result.operators if it.kind == "window")
    print(f"{result.records_in:,} payments, {window.num_records_in:,} of 5 or more")
    accepted = window.num_accepted_late_records
    print(f"{accepted} came behind their minute, {result.late_records} late")

    # A minute that changed has a row for each time; the last one counts.
    rows = env.from_topic("user-minute").to_arrow().to_pylist()
    last = {(row["user"], row["window_start"]): row for row in rows}
    print(f"{len(rows):,} rows for {len(last):,} users and minutes")
    counted = sum(row["n"] for row in last.values())
    print(f"{counted:,} payments in them, {sum(row['large'] for row in last.values())} above 90")
    log.close()


if __name__ == "__main__":
    main()
