"""What a running job says about itself: one reading of the counters of its operators."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pystream._native import OperatorMetrics as NativeMetrics

__all__ = ["JobMetrics", "OperatorMetrics", "OperatorRates", "read_operator"]


@dataclass(frozen=True)
class OperatorMetrics:
    """One reading of one operator; names are Flink's, written as Python's.

    Attributes
    ----------
    name, kind : str
        For example ``"window-3"`` and ``"window"``.
    num_records_in, num_records_out : int
        Rows; out is the main output, without late rows. A source counts what it read.
    num_batches_in : int
        Batches; of a source, those that it read.
    num_late_records : int
        Rows that entered no window, whether a side output takes them or nothing does (Flink's
        ``numLateRecordsDropped`` counts only the latter).
    num_accepted_late_records : int
        Rows that came after a window of theirs had fired, and entered one.
    num_skipped_records : int
        Damaged records that a source with ``on_corruption="skip"`` stepped over.
    num_ahead_records : int
        Records of a source that did not move the watermark, for they were too far ahead; see
        :meth:`pystream.WatermarkStrategy.with_max_ahead`.
    watermark_alignment_drift : float or None
        Of a source with :meth:`pystream.WatermarkStrategy.with_watermark_alignment`: seconds by
        which its watermark is ahead of the least in its group; None before all have one.
    num_alignment_pauses : int
        How often such a source had to wait for others.
    pending_records : int or None
        Of a topic source: records that are in the topic and not yet taken; of a bounded one, up
        to its end. None of other operators.
    current_watermark : int or None
        In ticks of the event-time column; None before the first and after the last.
    tick_ns : int or None
        Nanoseconds of a tick; None where there is no watermark.
    watermark_lag : float or None
        Seconds by which the watermark is behind the clock.
    busy_time : float
        Seconds at work since the start, over all its threads, without the operators behind it.
    parallelism : int
        Threads that may be at work in it at once.
    state_bytes : int
        Held by keys and accumulators.
    """

    name: str
    kind: str
    num_records_in: int
    num_records_out: int
    num_batches_in: int
    num_late_records: int
    num_accepted_late_records: int
    num_skipped_records: int
    num_ahead_records: int
    watermark_alignment_drift: float | None
    num_alignment_pauses: int
    pending_records: int | None
    current_watermark: int | None
    tick_ns: int | None
    watermark_lag: float | None
    busy_time: float
    parallelism: int
    state_bytes: int

    @property
    def is_source(self) -> bool:
        """Whether rows of the job begin here."""
        return self.kind.endswith("source")


@dataclass(frozen=True)
class OperatorRates:
    """What an operator did between two readings.

    Attributes
    ----------
    num_records_in_per_second, num_records_out_per_second : float
    busy_share : float
        From 0 to 1: the share of its threads' time in which it was at work (a thousandth of
        Flink's ``busyTimeMsPerSecond``).
    """

    num_records_in_per_second: float
    num_records_out_per_second: float
    busy_share: float


@dataclass(frozen=True)
class JobMetrics:
    """One reading of all operators; not a consistent cut, for the job goes on meanwhile.

    Attributes
    ----------
    job : str
        Its name.
    seconds : float
        Since the job started.
    operators : list of OperatorMetrics
        In plan order, inputs before the operators that read them.
    """

    job: str
    seconds: float
    operators: list[OperatorMetrics] = field(repr=False)

    @property
    def records_in(self) -> int:
        """Rows that the sources read."""
        return sum(o.num_records_in for o in self.operators if o.is_source)

    @property
    def late_records(self) -> int:
        """Rows that entered no window."""
        return sum(o.num_late_records for o in self.operators)

    def since(self, earlier: JobMetrics | None) -> list[OperatorRates]:
        """Return the rates of each operator between an earlier reading and this one.

        Parameters
        ----------
        earlier : JobMetrics or None
            Of the same job; None: its start.

        Returns
        -------
        list of OperatorRates
            In the order of `operators`; zeros when no time has passed.
        """
        seconds = self.seconds - (0.0 if earlier is None else earlier.seconds)
        if seconds <= 0:
            return [OperatorRates(0.0, 0.0, 0.0) for _ in self.operators]
        before = [None] * len(self.operators) if earlier is None else earlier.operators
        return [_rates(old, new, seconds) for old, new in zip(before, self.operators, strict=True)]


def _rates(old: OperatorMetrics | None, new: OperatorMetrics, seconds: float) -> OperatorRates:
    records_in, records_out, busy = (
        (0, 0, 0.0) if old is None else (old.num_records_in, old.num_records_out, old.busy_time)
    )
    return OperatorRates(
        (new.num_records_in - records_in) / seconds,
        (new.num_records_out - records_out) / seconds,
        # Counters are read one after the other, so a share may come out a little above 1.
        min(1.0, (new.busy_time - busy) / (seconds * new.parallelism)),
    )


def read_operator(native: NativeMetrics, now_ns: int) -> OperatorMetrics:
    """Convert the core's reading.

    Parameters
    ----------
    native : OperatorMetrics of the core
    now_ns : int
        The clock, in nanoseconds since 1970.
    """
    tick = native.tick_ns
    lag = None
    if native.watermark is not None and tick is not None:
        lag = (now_ns - native.watermark * tick) / 1e9
    drift_ns = native.alignment_drift_ns
    return OperatorMetrics(
        name=native.name,
        kind=native.kind,
        num_records_in=native.records_in,
        num_records_out=native.records_out,
        num_batches_in=native.batches_in,
        num_late_records=native.late_records,
        num_accepted_late_records=native.accepted_late_records,
        num_skipped_records=native.skipped_records,
        num_ahead_records=native.ahead_records,
        watermark_alignment_drift=None if drift_ns is None else drift_ns / 1e9,
        num_alignment_pauses=native.alignment_pauses,
        pending_records=native.pending_records,
        current_watermark=native.watermark,
        tick_ns=tick,
        watermark_lag=lag,
        busy_time=native.busy_ns / 1e9,
        parallelism=native.threads,
        state_bytes=native.state_bytes,
    )
