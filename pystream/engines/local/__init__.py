"""The local engine: compiles a plan to a native graph and drives its executor."""

from pystream.engines.local.engine import LocalEngine
from pystream.engines.local.job import JobResult, OperatorStatus, Progress

__all__ = ["JobResult", "LocalEngine", "OperatorStatus", "Progress"]
