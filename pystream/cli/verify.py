"""``pystream verify``: runs the check, shows what it found."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from pystream.cli.endings import Stop
from pystream.cli.printing import print_table
from pystream.log.findings import Finding, VerifyReport
from pystream.log.verify import verify_log

__all__ = ["CLEAN", "FOUND", "NOT_A_LOG", "run_verify"]

# Exit statuses.
CLEAN = 0
FOUND = 1
NOT_A_LOG = 2


def run_verify(
    directory: Path, *, repair: bool, as_json: bool, console: Console, stop: Stop
) -> int:
    """Verify a log, repair it when asked, and print the report.

    Parameters
    ----------
    directory : Path
    repair : bool
        Set damaged files aside and rebuild what can be, then verify again.
    as_json : bool
        Print JSON instead of tables.
    console : Console
    stop : Stop

    Returns
    -------
    int
        0 when the log is clean (at the end), 1 when something is wrong.

    Raises
    ------
    StreamError
        If the directory is not a log, or cannot be read.
    """
    report = _verify(directory, console, stop, is_quiet=as_json)
    actions: list[str] = []
    if repair and not report.is_clean:
        from pystream.log.repair import repair_log  # noqa: PLC0415  only when asked

        try:
            actions = repair_log(directory, report)
        finally:  # not before, where a reader that is gone would end it
            if not as_json:
                show(report, console)
        report = _verify(directory, console, stop, is_quiet=as_json)
    if as_json:
        content = report.to_dict()
        if repair:
            content["actions"] = actions
        json.dump(content, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        for action in actions:
            console.print(f"[green]repaired[/green] {escape(action)}", soft_wrap=True)
        show(report, console)
    return CLEAN if report.is_clean else FOUND


def _verify(directory: Path, console: Console, stop: Stop, *, is_quiet: bool) -> VerifyReport:
    if is_quiet or not console.is_terminal:
        return verify_log(directory, on_progress=lambda done, total: stop.check())
    columns = (
        TextColumn("Verifying"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)

        def tell(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            stop.check()

        return verify_log(directory, on_progress=tell)


def show(report: VerifyReport, console: Console) -> None:
    """Print a table of the partitions, then each finding."""
    numbers = ("segments", "batches", "records", "bytes", "offsets", "durable", "lost")
    rows = [
        (
            part.topic,
            str(part.partition),
            f"{part.segments:,}",
            f"{part.batches:,}",
            f"{part.records:,}",
            f"{part.bytes:,}",
            f"{part.log_start_offset:,} to {part.log_end_offset:,}",
            f"{part.durable_offset:,}",
            f"{part.lost_records:,}",
        )
        for part in report.partitions
    ]
    if rows:
        headings = ["topic", "partition", *numbers]
        print_table(console, headings, rows, numbers=("partition", *numbers))
    for finding in report.findings:
        _show_finding(finding, console)
    count = len(report.problems)
    verdict = "[green]clean[/green]" if count == 0 else f"[red]{count} found[/red]"
    console.print(f"{escape(report.directory)}: {verdict}", highlight=False, soft_wrap=True)


def _show_finding(finding: Finding, console: Console) -> None:
    color = "yellow" if finding.is_note else "red"
    where = finding.path
    if finding.position is not None:
        where += f", byte {finding.position}"
    if finding.offset is not None and finding.next_offset is not None:
        where += f", offsets {finding.offset} to {finding.next_offset - 1}"
    lines = [f"[{color}]{finding.kind}[/{color}] {escape(finding.what)}", f"  at {escape(where)}"]
    if finding.advice:
        lines.append(f"  {escape(finding.advice)}")
    console.print("\n".join(lines), highlight=False, soft_wrap=True)
