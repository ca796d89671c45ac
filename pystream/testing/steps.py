"""Jobs that run step by step in a test's own thread, so that it says what time it is meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pystream.plan import nodes

if TYPE_CHECKING:
    from pystream.engines.local.metrics import JobMetrics
    from pystream.pipeline.stream import Stream

__all__ = ["StepwiseJob"]


class StepwiseJob:
    """Runs a stream over what its topics hold, whenever it is asked for rows.

    With a :class:`ManualClock` as the environment's `clock` it is a test of processing time that
    does not wait: records that a step finds all have the time that the clock shows then.

    Parameters
    ----------
    stream : Stream
        Whose rows are asked for.

    Notes
    -----
    The topics are followed without end, so open windows stay open. Sinks of the environment are not
    run.

    References
    ----------
    Apache Flink, ``KeyedOneInputStreamOperatorTestHarness``.

    Examples
    --------
    >>> from pystream.testing import ManualClock
    >>> clock = ManualClock()
    >>> log = ps.open("stepwise")
    >>> _ = log.create_topic("clicks", schema={"user": "string"})
    >>> env = ps.Environment(log, clock=clock)
    >>> clicks = env.from_topic("clicks", watermark=ps.WatermarkStrategy.for_processing_time())
    >>> counts = clicks.key_by("user").window(ps.tumbling("10s")).aggregate(n=ps.count())
    >>> job = StepwiseJob(counts)
    >>> with log.producer() as producer:
    ...     _ = producer.send("clicks", {"user": "ann"})
    >>> job.rows()
    []
    >>> clock.advance("10s")
    >>> [row["n"] for row in job.rows()]
    [1]
    >>> log.close()
    """

    def __init__(self, stream: Stream) -> None:
        self._schema = stream.schema
        self._engine = stream._env._engine
        self._job = self._engine.prepare((nodes.Collect(stream._node),), bounded=False)

    def rows(self) -> list[dict[str, Any]]:
        """Work off what is there at the present time and return the rows that it gave.

        Returns
        -------
        list of dict
            Those that came since the last call; values by column. Needs pyarrow.
        """
        table = self._engine.table(self._schema, self._job.step())
        rows: list[dict[str, Any]] = table.to_arrow().to_pylist()
        return rows

    def metrics(self) -> JobMetrics:
        """Return one reading of the counters of every operator."""
        return self._job.metrics()
