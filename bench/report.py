"""Prints the JSON of a run as one Markdown table. Usage: python -m bench.report FILE"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HEAD = (
    "| job | rate | spread | beside | its rate | ratio (min-max) | aim | reached | append | load |"
)


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
    lines += [row(benchmark["extra_info"]) for benchmark in report["benchmarks"]]
    return "\n".join(lines)


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
    cells.append(f"{info['load']:.1f}")
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    print(table(json.loads(Path(sys.argv[1]).read_text())))
