"""The cases that are committed."""

from __future__ import annotations

from pystream.testing import Case, load_case
from tests.conformance.generate import CASES

COMMITTED: list[Case] = [load_case(path) for path in sorted(CASES.rglob("*.spec.json"))]
