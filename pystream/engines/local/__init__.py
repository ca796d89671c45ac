"""The local engine: compiles a plan to a native graph and drives its executor."""

from pystream.engines.local.engine import LocalEngine
from pystream.engines.local.job import Job, JobResult, Progress
from pystream.engines.local.metrics import JobMetrics, OperatorMetrics, OperatorRates

__all__ = [
    "Job",
    "JobMetrics",
    "JobResult",
    "LocalEngine",
    "OperatorMetrics",
    "OperatorRates",
    "Progress",
]
