"""The fuzzers of ``native/fuzz``, run as programs that add to their corpus and count.

``ci/fuzz 0`` builds them; they need clang.
"""

from __future__ import annotations

import math
import os
import re
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.torture.harness import Harness, Outcome, scratch_directory

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("segment", "segment_head", "control_page", "schema_blob", "order_file", "time_index")
EXECUTED = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
KEPT = re.compile(r"Test unit written to (\S+)")
ARTIFACTS = ROOT / "build" / "torture" / "failures"
ENDS_WITHIN_SECONDS = 300  # of the time it was given: it loads its corpus first
# What native/fuzz/sanitizer_runtime.cpp leaves out to be fast: who allocated and freed a block.
WITH_STACKS = "ASAN_OPTIONS=malloc_context_size=30:quarantine_size_mb=256"


def build_directory() -> Path:
    """Return where ``ci/fuzz`` builds."""
    return Path(os.environ.get("PYSTREAM_FUZZ_BUILD", ROOT / "build" / "fuzz")) / "fuzz"


def run(name: str, seed: int, seconds: float) -> Outcome:
    """Fuzz for about so long; what is found on the way is where the next turn begins."""
    build = build_directory()
    corpus = build / "found" / name
    committed = ROOT / "native" / "fuzz" / "corpus" / name
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    # The schedule by entropy takes more time than these short programs do.
    options = [
        f"-seed={seed}",
        f"-max_total_time={math.ceil(seconds)}",
        *("-entropic=0", "-timeout=20", "-rss_limit_mb=4096", "-print_final_stats=1"),
        f"-artifact_prefix={ARTIFACTS}/{name}-",
    ]
    places = [path for path in (corpus, committed) if path.is_dir()]
    with scratch_directory() as scratch:  # some open files there
        ran = subprocess.run(
            [build / name, *options, *places],
            env={**os.environ, "TMPDIR": scratch},
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds + ENDS_WITHIN_SECONDS,
        )
    executed = EXECUTED.search(ran.stderr)
    if ran.returncode == 0 and executed:
        return Outcome(int(executed[1]), seed + 1)
    kept = KEPT.search(ran.stderr)
    repeat = f"{WITH_STACKS} {build / name} {kept[1] if kept else f'-seed={seed}'}"
    said = ran.stderr.strip()[-4000:] or f"exit status {ran.returncode}"
    return Outcome(0, seed + 1, said, repeat)


def _harnesses() -> Iterator[Harness]:
    for name in NAMES:
        shown = name.replace("_", " ")
        yield Harness(f"fuzz, {shown}", "inputs", 100_000_000, partial(run, f"{name}_fuzz"))


HARNESSES = tuple(_harnesses())
