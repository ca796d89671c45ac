"""Did a hot kernel get slower? Counts instructions, which a busy machine cannot change.

Runs every kernel of ``gate_kernels`` under callgrind and compares the counts with those in
``baseline.json`` for the same compiler: more than 5 % above it fails. Beside each count stands its
ratio to the reference kernel, a plain loop of the same build. For a compiler without a baseline
the ratios are compared with those of the nearest one, with a wider limit, since other compilers
spend other instructions.

Usage: ``python -m bench.gate.gate PROGRAM COMPILER [--update]``
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

BASELINE = Path(__file__).parent / "baseline.json"
LIMIT = 1.05
LIMIT_OTHER_COMPILER = 1.5
# Always the same, as it shifts the stack. No symbol is looked up while the kernel works.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "LD_BIND_NOW": "1"}

Counts = dict[str, int]


def count(program: str, kernel: str) -> int:
    """Return the instructions that one kernel takes."""
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(
            [
                "valgrind",
                "--tool=callgrind",
                "--collect-atstart=no",
                "--toggle-collect=gate_measured",
                f"--callgrind-out-file={directory}/out",
                program,
                kernel,
            ],
            capture_output=True,
            text=True,
            check=False,
            env=ENVIRONMENT,
        )
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or found is None or int(found[1]) == 0:
        raise SystemExit(f"bench-gate: kernel {kernel} failed under callgrind:\n{done.stderr}")
    return int(found[1])


def measure(program: str) -> Counts:
    """Return the instructions of every kernel; as many at once as there are cores."""
    listed = subprocess.run([program], capture_output=True, text=True, check=True)
    kernels = listed.stdout.split()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        counts = pool.map(lambda kernel: count(program, kernel), kernels)
    return dict(zip(kernels, counts, strict=True))


def judge(counts: Counts, baseline: Counts, *, same_compiler: bool) -> list[str]:
    """Print a table; return the kernels that got worse by more than the limit."""
    limit = LIMIT if same_compiler else LIMIT_OTHER_COMPILER
    worse = []
    print("| kernel | instructions | x reference | baseline | change |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for kernel, instructions in counts.items():
        ratio = instructions / counts["reference"]
        before = baseline.get(kernel)
        if before is None:
            change = "new"
            worse.append(kernel)
        else:
            now = instructions if same_compiler else ratio
            then = before if same_compiler else before / baseline["reference"]
            change = f"{now / then - 1:+.1%}"
            if now / then > limit:
                worse.append(kernel)
        print(f"| {kernel} | {instructions:,} | {ratio:.2f} | {before or 0:,} | {change} |")
    return worse


def nearest(compiler: str, known: dict[str, Counts]) -> str:
    """Return the compiler with the longest common beginning."""
    return max(known, key=lambda name: len(_common(name, compiler)))


def _common(left: str, right: str) -> str:
    size = next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), None)
    return left[:size]


def main() -> int:
    """Run the gate; 1 when a kernel got slower."""
    program, compiler = sys.argv[1:3]
    known: dict[str, Counts] = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    counts = measure(program)
    if "--update" in sys.argv:
        known[compiler] = counts
        BASELINE.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")
        print(f"bench-gate: baseline of {compiler} written")
        return 0
    beside = compiler if compiler in known else nearest(compiler, known)
    print(f"compiler {compiler}, baseline of {beside}\n")
    worse = judge(counts, known[beside], same_compiler=beside == compiler)
    if worse:
        print(
            f"\nbench-gate: FAILED for {', '.join(worse)}: more than the limit above the baseline, "
            "or without one. Make it faster again; or, where the change is meant, run "
            "ci/bench_gate --update and say in the commit why."
        )
        return 1
    print("\nbench-gate: passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
