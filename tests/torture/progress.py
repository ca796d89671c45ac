"""How far each harness has come, over all runs of ``make torture``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.torture.harness import Outcome


@dataclass
class Tally:
    """What one harness has done so far."""

    next_seed: int = 1
    cases: int = 0
    seconds: float = 0.0
    failures: int = 0

    def add(self, outcome: Outcome, seconds: float) -> None:
        self.next_seed = max(outcome.next_seed, self.next_seed + 1)
        self.cases += outcome.cases
        self.seconds += seconds
        self.failures += outcome.failure is not None

    @property
    def rate(self) -> float:
        """Cases in a second."""
        return self.cases / self.seconds if self.seconds else 0.0

    def hours_to(self, aim: int) -> float | None:
        """Return how long it takes to the aim at this rate; None before anything is known."""
        if self.cases >= aim:
            return 0.0
        return (aim - self.cases) / self.rate / 3600 if self.rate else None


class Progress:
    """The tallies by name, kept in a file so that the next run goes on where this one ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        stored = json.loads(path.read_text()) if path.exists() else {}
        self._tallies = {name: Tally(**tally) for name, tally in stored.items()}

    def of(self, name: str) -> Tally:
        return self._tallies.setdefault(name, Tally())

    def save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({name: asdict(tally) for name, tally in self._tallies.items()}, indent=1)
        unfinished = self._path.with_suffix(".new")
        unfinished.write_text(text)
        unfinished.replace(self._path)
