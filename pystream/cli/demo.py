"""``pystream demo``: real, disordered events into the log, event-time windows out."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import pystream as ps
from pystream import col
from pystream.cli.flights import FLIGHTS_SCHEMA, read_flights

if TYPE_CHECKING:
    from pystream.engines.local import JobResult
    from pystream.engines.local import Progress as JobProgress

__all__ = ["build_pipeline", "publish", "run_demo"]

FLIGHTS = "flights"
HOURLY = "delays-hourly"
DAILY = "delays-daily"
LATE = "late-flights"
GROUP = "demo"  # its committed offsets say how far the results are complete
PARTITIONS = 2
BATCH_ROWS = 50  # an hour of flights: a live feed, in which the partitions advance together
OUT_OF_ORDERNESS = "1h"


def run_demo(directory: Path, threads: int, console: Console) -> None:
    """Publish, compute and show; skip what an earlier run completed.

    Parameters
    ----------
    directory : Path
        Of the log; created when missing.
    threads : int
        Of the pipeline.
    console : Console
        Where to print.
    """
    with ps.open(directory) as log:
        publish(log, console)
        compute(log, threads, console)
        show(log, console)
        console.print(
            f"\nThe topics {FLIGHTS}, {HOURLY}, {DAILY} and {LATE} are in {directory}. Look into "
            f"one:\n  {look_into(directory, HOURLY)}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def look_into(directory: Path, topic: str) -> str:
    """Return the command that shows a topic's first records with what is installed here."""
    command = Path(sys.executable).parent / "pystream"
    if command.is_relative_to(Path.cwd()):
        command = command.relative_to(Path.cwd())
    return shlex.join([str(command), "consume", str(directory), topic, "-n", "5"])


def publish(log: ps.Log, console: Console) -> None:
    """Send all flights in order of actual departure, unless they are there already."""
    if FLIGHTS in log.topics():
        there = count(log, FLIGHTS)
        flights = read_flights()
        if there == len(flights["delay"]):
            console.print(
                f"Topic [b]{FLIGHTS}[/b] already holds {there:,} flights: not sent again."
            )
            return
        console.print(
            f"Topic {FLIGHTS} holds only {there:,} flights of an interrupted run: redone."
        )
        for topic in (FLIGHTS, HOURLY, DAILY, LATE):
            if topic in log.topics():
                log.delete_topic(topic)
    else:
        with console.status("Reading the flights of 2013 …"):
            flights = read_flights()
    log.create_topic(FLIGHTS, schema=FLIGHTS_SCHEMA, key="origin", partitions=PARTITIONS)
    total = len(flights["delay"])
    started = time.perf_counter()
    with progress_bar(console) as bar, log.producer() as producer:
        task = bar.add_task("Publishing", total=total)
        for begin in range(0, total, BATCH_ROWS):
            rows = {name: values[begin : begin + BATCH_ROWS] for name, values in flights.items()}
            delay = rows["delay"]
            rows["delay"] = np.ma.masked_array(delay, np.isnan(delay))
            producer.send_batch(FLIGHTS, rows)
            bar.update(task, completed=min(begin + BATCH_ROWS, total))
        producer.flush()
    rate = total / (time.perf_counter() - started)
    console.print(f"Published {total:,} flights, {rate:,.0f} per second.")


def build_pipeline(log: ps.Log, threads: int = 1) -> ps.Environment:
    """Describe the job: filter, two windows per origin and carrier, late flights to a topic."""
    env = ps.Environment(log, name="flight-delays", parallelism=threads)
    late = ps.OutputTag("late")
    flown = env.from_topic(
        FLIGHTS,
        watermark=ps.WatermarkStrategy.for_bounded_out_of_orderness(
            OUT_OF_ORDERNESS, timestamp="scheduled"
        ),
    ).filter(col("delay").is_not_null())
    by_route = flown.key_by("origin", "carrier")
    aggregates = {
        "flights": ps.count(),
        "mean_delay": col("delay").mean(),
        "max_delay": col("delay").max(),
    }
    hourly = by_route.window(ps.tumbling("1h")).side_output_late_data(late).aggregate(**aggregates)
    hourly.sink_to_topic(HOURLY, key="origin", partitions=PARTITIONS)
    hourly.side_output(late).sink_to_topic(LATE, key="origin", partitions=PARTITIONS)
    daily = by_route.window(ps.hopping("24h", "1h")).aggregate(**aggregates)
    daily.sink_to_topic(DAILY, key="origin", partitions=PARTITIONS)
    return env


def compute(log: ps.Log, threads: int, console: Console) -> None:
    """Run the pipeline to the end of the flights, unless its results are complete."""
    with log.consumer(group_id=GROUP) as consumer:
        partitions = [ps.TopicPartition(FLIGHTS, p) for p in range(PARTITIONS)]
        ends = consumer.end_offsets(partitions)
        done = {partition: consumer.committed(partition) for partition in partitions}
        if done == ends:
            console.print(
                f"The windows are computed up to flight {sum(ends.values()):,}: not again."
            )
            return
        for topic in (HOURLY, DAILY, LATE):
            if topic in log.topics():
                log.delete_topic(topic)
        result = execute(build_pipeline(log, threads), sum(ends.values()), console)
        consumer.commit(ends)
    events = sum(ends.values())
    console.print(
        f"Computed the windows of {events:,} flights in {result.seconds:.2f} s: "
        f"[b]{events / result.seconds:,.0f} events per second[/b]."
    )


def execute(env: ps.Environment, events: int, console: Console) -> JobResult:
    """Run the job behind a progress bar."""
    with progress_bar(console) as bar:
        task = bar.add_task("Computing", total=events)

        def on_progress(progress: JobProgress) -> None:
            bar.update(task, completed=progress.records_in)

        result = env.execute(until="latest", on_progress=on_progress)
        bar.update(task, completed=events)
    return result


def show(log: ps.Log, console: Console) -> None:
    """Print the worst days, and how much came late."""
    table = Table(title="Worst 24 hours per origin and carrier (at least 20 flights)")
    table.add_column("24 hours from", no_wrap=True)
    for heading in ("origin", "carrier"):
        table.add_column(heading, style="bold")
    for heading in ("flights", "mean delay", "max delay"):
        table.add_column(heading, justify="right")
    for row in worst_days(log, 10):
        table.add_row(*row)
    console.print(table)
    flights, late = count(log, FLIGHTS), count(log, LATE)
    console.print(
        f"{count(log, HOURLY):,} hourly and {count(log, DAILY):,} daily windows; "
        f"[b]{late:,} late flights[/b] ({late / flights:.1%} of all) went to {LATE}."
    )


def worst_days(log: ps.Log, rows: int) -> list[tuple[str, ...]]:
    """Return the texts of the rows with the highest mean delay, one per origin and carrier."""
    best: dict[tuple[str, str], tuple[float, tuple[str, ...]]] = {}
    with log.consumer(DAILY, auto_offset_reset="earliest") as consumer:
        for batch in consumer.batches(timeout="0s"):
            mean, n = batch["mean_delay"].to_numpy(), batch["flights"].to_numpy()
            origin, carrier = batch["origin"].to_numpy(), batch["carrier"].to_numpy()
            begin, most = batch["window_start"].to_numpy(), batch["max_delay"].to_numpy()
            for i in np.flatnonzero(n >= 20):
                route = (str(origin[i]), str(carrier[i]))
                if route not in best or mean[i] > best[route][0]:
                    numbers = (f"{n[i]}", f"{mean[i]:.1f} min", f"{most[i]:.0f} min")
                    best[route] = (float(mean[i]), (_minute(begin[i]), *route, *numbers))
    return [texts for _, texts in sorted(best.values(), reverse=True)[:rows]]


def count(log: ps.Log, topic: str) -> int:
    """Return how many records a topic holds."""
    with log.consumer() as consumer:
        partitions = [ps.TopicPartition(topic, p) for p in range(log.topic(topic).partitions)]
        return sum(consumer.end_offsets(partitions).values())


def progress_bar(console: Console) -> Progress:
    """Return a bar with counts and time."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def _minute(moment: np.datetime64) -> str:
    return str(moment.astype("datetime64[m]")).replace("T", " ")
