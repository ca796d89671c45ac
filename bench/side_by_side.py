"""Times a function in turn with its limit or rival, so that a busy machine slows both."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rival:
    """What a figure stands beside.

    Attributes
    ----------
    name : str
        As the table shows it.
    run : callable
        Does the rival's work once.
    aim : float
        Our rate over the rival's that we want at least.
    """

    name: str
    run: Callable[[], object]
    aim: float


def measure(
    benchmark: Any,
    run: Callable[[], object],
    *,
    title: str,
    amount: float,
    unit: str,
    rival: Rival | None = None,
    aim: str = "",
    rounds: int = 5,
    setup: Callable[[], object] | None = None,
) -> None:
    """Run `run` `rounds` times, each right after one run of the rival, and record the pair.

    Parameters
    ----------
    benchmark : pytest-benchmark's fixture
    run : callable
        The work of one round, consumed fully.
    title : str
        Of the row in the table.
    amount : float
        Work done by one round, in `unit`.
    unit : str
        For example ``"M records"``.
    rival : Rival, optional
    aim : str, optional
        Shown where there is no rival.
    rounds : int
    setup : callable, optional
        Runs before each round, untimed.
    """
    rival_seconds: list[float] = []
    loads: list[float] = []

    def before() -> None:
        loads.append(os.getloadavg()[0])
        if rival is not None:
            started = time.perf_counter()
            rival.run()
            rival_seconds.append(time.perf_counter() - started)
        if setup is not None:
            setup()

    benchmark.pedantic(run, setup=before, rounds=rounds, warmup_rounds=1)
    seconds = list(benchmark.stats.stats.data)
    info = benchmark.extra_info
    info["title"] = title
    info["unit"] = unit
    info["rate"] = amount / statistics.median(seconds)
    info["spread"] = (max(seconds) - min(seconds)) / statistics.median(seconds)
    info["load"] = statistics.median(loads)
    info["aim"] = aim
    if rival is not None:
        pairs = rival_seconds[-rounds:]
        ratios = [theirs / ours for ours, theirs in zip(seconds, pairs, strict=True)]
        info["rival"] = rival.name
        info["rival_rate"] = amount / statistics.median(pairs)
        info["ratio"] = statistics.median(ratios)
        info["ratio_spread"] = f"{min(ratios):.2f}-{max(ratios):.2f}"
        info["aim"] = f">= {rival.aim:g}x"
        info["reached"] = statistics.median(ratios) >= rival.aim
