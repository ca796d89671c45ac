"""Tests of pipelines: conformance cases of event-time windows, and a clock that a test moves.

Conformance: a case is three small files that say what goes in, which windows it meets and what must
come out; ``docs/formats/conformance.md`` describes them.

Processing time: :class:`StepwiseJob` runs a stream over topics step by step, at the time that a
:class:`ManualClock` shows.

Not loaded by ``import pystream``.

Examples
--------
>>> from pystream.testing import Case, InputRow, PaneRow, Spec, WindowSpec, check_case
>>> case = Case(
...     name="one-late-row",
...     spec=Spec(WindowSpec("tumbling", size_ms=10)),
...     rows=(InputRow(1, "a", 5), InputRow(12, "a", None), InputRow(3, "a", 7)),
...     panes=(
...         PaneRow("a", 0, 10, count=1, count_nonnull=1, sum=5, min=5, max=5),
...         PaneRow("a", 10, 20, count=1, count_nonnull=0, sum=None, min=None, max=None),
...     ),
...     late=(2,),
... )
>>> check_case(case)
"""

from pystream.engines.local.clock import ManualClock
from pystream.testing.case import Case, InputRow, PaneRow, Result
from pystream.testing.check import check_case, check_result
from pystream.testing.files import load_case, save_case
from pystream.testing.run import run_case
from pystream.testing.spec import Spec, TriggerSpec, WindowSpec
from pystream.testing.steps import StepwiseJob

__all__ = [
    "Case",
    "InputRow",
    "ManualClock",
    "PaneRow",
    "Result",
    "Spec",
    "StepwiseJob",
    "TriggerSpec",
    "WindowSpec",
    "check_case",
    "check_result",
    "load_case",
    "run_case",
    "save_case",
]
