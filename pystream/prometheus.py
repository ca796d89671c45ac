"""Metrics of running jobs for Prometheus, through its client library (``pystream[prometheus]``).

::

    with env.execute_async() as job, prometheus.serve(job, port=9249):
        job.result()

or, in a registry that a program exposes already, ``registry.register(JobCollector(job))``. The
names are in ``docs/metrics.md``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pystream.log._optional import require

if TYPE_CHECKING:
    from pystream.engines.local import Job, OperatorMetrics

__all__ = ["JobCollector", "serve"]

_LABELS = ("job_name", "operator_name")


@dataclass(frozen=True)
class _Metric:
    name: str
    documentation: str
    value: Callable[[OperatorMetrics], float | None]  # None: the operator does not have it
    is_counter: bool = False


def _watermark_seconds(operator: OperatorMetrics) -> float | None:
    if operator.current_watermark is None or operator.tick_ns is None:
        return None
    return operator.current_watermark * operator.tick_ns / 1e9


# Counters get the ending "_total" from the client library.
_METRICS = (
    _Metric("records_in", "Rows that came in.", lambda o: o.num_records_in, True),
    _Metric("records_out", "Rows of the main output.", lambda o: o.num_records_out, True),
    _Metric("batches_in", "Record batches that came in.", lambda o: o.num_batches_in, True),
    _Metric("late_records", "Rows that entered no window.", lambda o: o.num_late_records, True),
    _Metric(
        "accepted_late_records",
        "Rows that came to a window that had fired, and are in it.",
        lambda o: o.num_accepted_late_records,
        True,
    ),
    _Metric(
        "ahead_records",
        "Rows too far in the future to move the watermark.",
        lambda o: o.num_ahead_records if o.is_source else None,
        True,
    ),
    _Metric(
        "alignment_pauses",
        "Times that the source waited for others of its alignment group.",
        lambda o: o.num_alignment_pauses if o.is_source else None,
        True,
    ),
    _Metric(
        "skipped_records",
        "Damaged records that were stepped over.",
        lambda o: o.num_skipped_records if o.is_source else None,
        True,
    ),
    _Metric("busy_seconds", "Time at work, over all threads.", lambda o: o.busy_time, True),
    _Metric(
        "pending_records",
        "Records in the topic that the source has not taken.",
        lambda o: o.pending_records,
    ),
    _Metric(
        "watermark_timestamp_seconds",
        "Event time of the watermark, since 1970.",
        _watermark_seconds,
    ),
    _Metric(
        "watermark_alignment_drift_seconds",
        "Event time by which the source is ahead of the last of its alignment group.",
        lambda o: o.watermark_alignment_drift,
    ),
    _Metric("state_bytes", "Held by keys and accumulators.", lambda o: o.state_bytes),
    _Metric("threads", "That may be at work in it at once.", lambda o: o.parallelism),
)


class JobCollector:
    """Collects the metrics of jobs whenever Prometheus asks.

    Parameters
    ----------
    *jobs : Job
        More can be added and removed at any time. Jobs of one name must not be in one registry.

    Notes
    -----
    Nothing is counted for Prometheus: a scrape takes one reading (:meth:`Job.metrics`). Any thread.

    Examples
    --------
    >>> from prometheus_client import CollectorRegistry, generate_latest
    >>> env = ps.Environment(ps.open("scraped"), name="evens")
    >>> env.from_arrow({"n": np.arange(4)}).filter(ps.col("n") % 2 == 0).sink_to_topic("evens")
    >>> job = env.execute_async()
    >>> _ = job.result()
    >>> registry = CollectorRegistry()
    >>> registry.register(JobCollector(job))
    >>> registry.get_sample_value(
    ...     "pystream_operator_records_out_total",
    ...     {"job_name": "evens", "operator_name": "filter-2"},
    ... )
    2
    """

    def __init__(self, *jobs: Job) -> None:
        self._lock = threading.Lock()
        self._jobs = list(jobs)

    def add(self, job: Job) -> None:
        """Report on one more job."""
        with self._lock:
            self._jobs.append(job)

    def remove(self, job: Job) -> None:
        """Report no more on a job."""
        with self._lock:
            self._jobs.remove(job)

    def describe(self) -> list[Any]:
        """Return nothing: the client then does not ask for a reading when it registers this."""
        return []

    def collect(self) -> Iterator[Any]:
        """Yield the families of metrics, as the client library wants them."""
        core = require("prometheus_client.core", extra="prometheus")
        with self._lock:
            readings = [job.metrics() for job in self._jobs]
        uptime = core.GaugeMetricFamily(
            "pystream_job_uptime_seconds", "Since the job started.", labels=_LABELS[:1]
        )
        for reading in readings:
            uptime.add_metric([reading.job], reading.seconds)
        yield uptime
        for metric in _METRICS:
            family = core.CounterMetricFamily if metric.is_counter else core.GaugeMetricFamily
            samples = family(
                f"pystream_operator_{metric.name}", metric.documentation, labels=_LABELS
            )
            for reading in readings:
                for operator in reading.operators:
                    value = metric.value(operator)
                    if value is not None:
                        samples.add_metric([reading.job, operator.name], value)
            yield samples


@dataclass(frozen=True)
class Exposition:
    """A page of metrics that is being served.

    Attributes
    ----------
    port : int
        That it listens on.
    collector : JobCollector
        What is on it; jobs may be added.
    """

    port: int
    collector: JobCollector


@contextmanager
def serve(*jobs: Job, port: int, address: str = "127.0.0.1") -> Iterator[Exposition]:
    """Serve the metrics of jobs at ``http://address:port/metrics`` during a block.

    Parameters
    ----------
    *jobs : Job
    port : int
        0: one that is free.
    address : str, default "127.0.0.1"
        To listen on; by default nobody else on the network can see it.

    Yields
    ------
    Exposition

    Raises
    ------
    OSError
        If the port is taken.
    """
    client = require("prometheus_client", extra="prometheus")
    registry = client.CollectorRegistry()
    collector = JobCollector(*jobs)
    registry.register(collector)
    server, thread = client.start_http_server(port, addr=address, registry=registry)
    try:
        yield Exposition(server.server_port, collector)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
