"""Prints the JSON of a run as one Markdown table. Usage: python -m bench.report FILE"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HEAD = (
    "| job | rate | spread | beside | its rate | ratio (min-max) | aim | reached | append "
    "| state per key | load |"
)
LATENCY_HEAD = "| produce to consume | offered | p50 | p99 | p99.9 | aim | reached | load |"


def table(report: dict[str, Any]) -> str:
    """Return machine line and table of a pytest-benchmark report."""
    machine = report["machine_info"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    lines = [
        f"{machine['cpu'].get('brand_raw', machine['machine'])}, {machine['cores']} cores, "
        f"kernel {machine['kernel']}, Python {machine['python_version']}, {packages}",
        "",
        HEAD,
        "|" + " --- |" * (HEAD.count("|") - 1),
    ]
    infos = [benchmark["extra_info"] for benchmark in report["benchmarks"]]
    lines += [row(info) for info in infos if "latency" not in info]
    if latencies := [info for info in infos if "latency" in info]:
        lines += ["", LATENCY_HEAD, "|" + " --- |" * (LATENCY_HEAD.count("|") - 1)]
        lines += [latency_row(info) for info in latencies]
    return "\n".join(lines)


def latency_row(info: dict[str, Any]) -> str:
    """Return one line of the table of latencies, in microseconds from the time a record was due."""
    latency = info["latency"]
    cells = [latency["system"], f"{latency['offered']:,}/s"]
    if "why_not" in latency:
        cells += [latency["why_not"], "", "", "", ""]
    else:
        cells += [f"{latency[name]:,.0f} µs" for name in ("p50", "p99", "p999")]
        cells += aim_of(latency)
    return "| " + " | ".join([*cells, f"{info['load']:.1f}"]) + " |"


def aim_of(latency: dict[str, Any]) -> list[str]:
    """Return the aim for p99, where there is one, and whether it is reached."""
    aim = latency.get("p99_aim")
    if aim is None:
        return ["", ""]
    return [f"p99 < {aim / 1000:g} ms", "yes" if latency["p99"] < aim else "no"]


def row(info: dict[str, Any]) -> str:
    """Return one line of the table."""
    unit = info["unit"]
    cells = [info["title"], f"{info['rate']:.2f} {unit}/s", f"{info['spread']:.0%}"]
    if "rival" in info:
        cells += [info["rival"], f"{info['rival_rate']:.2f} {unit}/s"]
        cells += [f"{info['ratio']:.2f} ({info['ratio_spread']})"]
        cells += [info["aim"], "yes" if info["reached"] else "no"]
    else:
        cells += ["", "", "", info["aim"], ""]
    cells.append(f"{info['append']:.1f} M/s" if "append" in info else "")
    cells.append(f"{info['state']:,.0f} bytes" if "state" in info else "")
    cells.append(f"{info['load']:.1f}")
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    print(table(json.loads(Path(sys.argv[1]).read_text())))
