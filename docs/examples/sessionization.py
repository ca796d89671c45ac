"""Sessionization: clicks of users become visits, which end after half an hour without a click.

Run it in an empty directory; it makes its own data, prints what it found, and ends.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

import pystream as ps
from pystream import col

MINUTE_MS = 60_000
SCHEMA = {"user": "string", "url": "string", "ts": "timestamp[ms]"}
WATERMARK = ps.WatermarkStrategy.for_bounded_out_of_orderness("5m", timestamp="ts")
PAGES = ["/", "/search", "/item", "/basket", "/pay"]


def clicks(users: int, visits: int) -> pa.Table:
    """Make the clicks of a day in order of arrival; one in a thousand comes hours too late."""
    rng = np.random.default_rng(20_130_101)
    starts = rng.integers(0, 20 * 60, users * visits)
    lengths = rng.integers(1, 30, users * visits)
    user = np.repeat(np.arange(users).repeat(visits), lengths)
    begin = np.repeat(starts, lengths)
    # Clicks of a visit are less than half an hour apart.
    minute = begin + rng.integers(0, 25, len(begin))
    due = minute * MINUTE_MS + rng.integers(0, MINUTE_MS, len(begin))
    delay = np.where(rng.random(len(due)) < 0.001, 180, 4) * MINUTE_MS * rng.random(len(due))
    order = np.argsort(due + delay, kind="stable")
    return pa.table(
        {
            "user": [f"user-{n:03}" for n in user[order]],
            "url": [PAGES[n] for n in rng.integers(0, len(PAGES), len(due))],
            "ts": pa.array(due[order], pa.timestamp("ms")),
        }
    )


def main() -> None:
    """Find the visits, and the clicks that came too late for any."""
    log = ps.open("data")
    log.create_topic("clicks", SCHEMA, key="user")
    with log.producer() as producer:
        producer.send_batch("clicks", clicks(users=100, visits=10))

    # One row per visit: when it began, and half an hour after its last click. A late click joins a
    # visit that is still open, and two visits that it lies between become one.
    env = ps.Environment(log, name="sessionization")
    late = ps.OutputTag("late")
    visits = (
        env.from_topic("clicks", watermark=WATERMARK)
        .key_by("user")
        .window(ps.session("30m"))
        .side_output_late_data(late)
        .aggregate(
            n=ps.count(),
            first=col("url").first(),
            last=col("url").last(),
            pages=col("url").approx_count_distinct(),
        )
    )
    visits.sink_to_topic("visits")
    visits.side_output(late).sink_to_topic("clicks-late")
    # Without until="latest" it would follow the topic until it is interrupted.
    result = env.execute(until="latest")
    print(f"{result.records_in:,} clicks, {result.late_records} late")

    rows = env.from_topic("visits").to_arrow()
    paid = sum(last == "/pay" for last in rows["last"].to_pylist())
    print(
        f"{len(rows):,} visits, {sum(rows['n'].to_pylist()):,} clicks in them, {paid} ended at /pay"
    )
    longest = max(rows.to_pylist(), key=lambda row: (row["n"], row["user"]))
    print(f"most clicks: {longest['n']} by {longest['user']}, on {longest['pages']} pages")
    log.close()


if __name__ == "__main__":
    main()
