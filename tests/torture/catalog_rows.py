"""Damages the catalog of a log at random, and lets a program do everything with it.

Usage: python -m tests.torture.catalog_rows SEED [CASES]

A case is a copy of one small log, with one to three damaged cells or rows, or damaged bytes of the
database's files. Nothing but an error of pystream that names the catalog may come of it, and no
record that is not what was written; verify must have found what anything complained of; what other
topics and groups have must be usable; and a repair must leave a log that is clean and open to use.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import random
import shutil
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path

import pystream as ps
from pystream.errors import LogError
from pystream.log.findings import VerifyReport
from pystream.log.repair import repair_log
from pystream.log.verify import verify_log
from tests.torture import recorder
from tests.torture.catalog_damages import damage
from tests.torture.catalog_log import LEDGER, Content, Partition, Rows, build, committed
from tests.torture.catalog_use import Attempts, Wrong, change, look, read_all
from tests.torture.harness import Harness, Outcome, run_seeds, said_by, scratch_directory
from tests.torture.promises import allow_small_segments

SECONDS_OF_A_CASE = 60  # then it hangs
SECONDS_OF_A_PROCESS = 20.0
READ_ONLY_SHARE = 0.3
OTHER_FORMAT = "other-format"
CASE = "case"  # the directory of a case


class Case:
    """One damaged log and what becomes of it."""

    def __init__(self, sound: Path, content: Content, scratch: Path, seed: int) -> None:
        self._content = content
        self._choose = random.Random(seed)
        self._directory = scratch / CASE / "log"
        self._backup = scratch / CASE / "backup"
        self._repaired = scratch / CASE / "repaired"
        self._missing: dict[Partition, list[int]] = {}
        self._silent: dict[Partition, list[int]] = {}
        shutil.copytree(sound, self._directory)
        self.damaged = damage(self._directory, self._choose)
        shutil.copytree(self._directory, self._repaired)

    def go_through(self) -> None:
        """Use the log; raise Wrong when a promise does not hold."""
        attempts = Attempts()
        verifying = Attempts()
        report = verifying.attempt("verify", lambda: verify_log(self._directory))
        if self._choose.random() < READ_ONLY_SHARE:
            self._use(attempts, is_read_only=True)
        self._use(attempts, is_read_only=False)
        if report is not None:
            self._compare(report, attempts)
        verifying.attempt("verify what was used", lambda: verify_log(self._directory))
        if report is not None:
            self._repair(report)

    def _use(self, attempts: Attempts, *, is_read_only: bool) -> None:
        partitions = list(self._content.records)
        log = attempts.attempt(
            "open", lambda: ps.open(self._directory, read_only=is_read_only, lock_timeout="5s")
        )
        if log is None:
            if not self.damaged.is_everything:
                raise Wrong(f"the log does not open: {attempts.complaints[-1][1]}")
            return
        with contextlib.ExitStack() as stack:
            stack.callback(lambda: attempts.attempt("close", log.close))
            look(log, attempts, partitions)
            found = read_all(log, attempts, self._content)
            self._check_records(found, is_read_only=is_read_only)
            if is_read_only:
                return
            self._check_others(log, attempts)
            self._silent = self._missing
            change(log, attempts, self._choose, self._backup)
            self._check_values(read_all(log, attempts, self._content))

    # -- what must hold ------------------------------------------------------------------------

    def _check_values(self, found: dict[Partition, Rows]) -> None:
        """No record is another than the one that was written there."""
        for name, rows in found.items():
            expected = self._content.records[name]
            end = max(expected, default=-1)
            for offset, row in rows.items():
                if offset > end:
                    continue  # written since
                sound = expected.get(offset)
                # Columns that were added later are not there in an older state of the catalog.
                common = row.keys() & (sound or {}).keys()
                if sound is None or not common or any(row[key] != sound[key] for key in common):
                    raise Wrong(f"{name} has {row} at offset {offset}, where {sound} was written")

    def _check_records(self, found: dict[Partition, Rows], *, is_read_only: bool) -> None:
        self._check_values(found)
        self._missing = {
            name: sorted(set(self._content.records[name]) - set(rows))
            for name, rows in found.items()
            if set(self._content.records[name]) - set(rows)
        }
        for (topic, partition), offsets in self._missing.items():
            if topic == LEDGER and (is_read_only or self.damaged.has_transactions):
                continue
            if not self._is_concerned(topic):
                raise Wrong(f"{topic}-{partition} lacks offsets {offsets}")

    def _is_concerned(self, topic: str) -> bool:
        return self.damaged.is_everything or topic in self.damaged.topics

    def _check_others(self, log: ps.Log, attempts: Attempts) -> None:
        """What has nothing to do with the damage is usable."""
        if self.damaged.is_everything:
            return
        for what, error in attempts.complaints:
            for topic in {topic for topic, _ in self._content.records} - self.damaged.topics:
                if what in (f"topic({topic!r})", f"ends of {topic!r}") or (
                    what.startswith(f"read {topic}-")
                ):
                    raise Wrong(f"{what}, which is not concerned: {error}")
        for group in set(self._content.committed) - self.damaged.groups:
            wanted = {
                name: at
                for name, at in self._content.committed[group].items()
                if name[0] not in self.damaged.topics
            }
            found = committed(log, group, list(wanted))
            if found != wanted:
                raise Wrong(f"group {group!r} has committed {found}, not {wanted}")

    def _compare(self, report: VerifyReport, attempts: Attempts) -> None:
        """Verify found what anything complained of, and what was missing in silence."""
        said = " ".join(finding.what for finding in report.problems)
        is_whole = any(f.kind in ("catalog-damaged", "catalog-missing") for f in report.problems)
        for table in attempts.damaged_tables():
            if f"table {table}" not in said and not is_whole:
                raise Wrong(f"verify did not find what is wrong in table {table}: {said}")
        if report.is_clean:
            for what, error in attempts.complaints:
                if type(error) is LogError:
                    raise Wrong(f"{what} found the catalog damaged, and verify did not: {error}")
        is_told = not report.is_clean or self.damaged.is_everything
        if self._silent and not is_told and not self.damaged.has_transactions:
            raise Wrong(f"offsets {self._silent} were missing, and verify is clean")

    def _repair(self, report: VerifyReport) -> None:
        """A repair leaves a log that is clean, and of which what was sound can be read."""
        if any(finding.kind == OTHER_FORMAT for finding in report.problems):
            return
        attempts = Attempts()
        if not report.is_clean:
            found = verify_log(self._repaired)  # a copy, of which the report has other paths
            acts = attempts.attempt("repair", lambda: repair_log(self._repaired, found))
            if acts is None:
                raise Wrong(f"it cannot be repaired: {attempts.complaints}")
        again = attempts.attempt("verify what was repaired", lambda: verify_log(self._repaired))
        if again is None or not again.is_clean:
            problems = attempts.complaints if again is None else again.problems
            raise Wrong(f"it is not clean after the repair: {problems}")
        with ps.open(self._repaired, lock_timeout="5s") as log:
            names = set(log.topics())
            kept = [
                (topic, partition)
                for topic, partition in self._content.records
                if topic in names and partition < log.topic(topic).partitions
            ]
            there = replace(
                self._content, records={name: self._content.records[name] for name in kept}
            )
            self._check_values(read_all(log, attempts, there))
            if attempts.complaints:
                raise Wrong(f"what was repaired cannot be read: {attempts.complaints}")
            look(log, attempts, kept)
            if attempts.damaged_tables():
                raise Wrong(f"what was repaired is damaged: {attempts.complaints}")
            change(log, attempts, self._choose, self._repaired.with_name("backup of repaired"))


def _listing(scratch: Path, case: Path) -> dict[str, int]:
    """Return all that stands beside the case, which is not walked through."""
    found = {}
    for place, directories, names in os.walk(scratch):
        if place == str(case.parent):
            directories[:] = set(directories) - {case.name}
        for name in names:
            path = os.path.join(place, name)
            found[path] = os.stat(path).st_mtime_ns
    return found


def main(seed: str, cases: str = "1") -> int:
    allow_small_segments()
    failure, done = None, 0
    with scratch_directory() as place:
        scratch = Path(place) / "one" / "two" / "three"  # so that ../.. is looked at too
        scratch.mkdir(parents=True)
        sound, content = build(scratch)
        before = _listing(Path(place), scratch / CASE)
        for number in range(int(seed), int(seed) + int(cases)):
            faulthandler.dump_traceback_later(SECONDS_OF_A_CASE, exit=True)
            acts: list[str] = []
            try:
                case = Case(sound, content, scratch, number)
                acts = case.damaged.acts
                case.go_through()
                after = _listing(Path(place), scratch / CASE)
                if after != before:
                    raise Wrong(f"files beside the log have changed: {set(after) ^ set(before)}")
            except Exception as error:
                what = str(error) if isinstance(error, Wrong) else traceback.format_exc()
                failure = "\n".join([f"seed {number}", *acts, what])
            faulthandler.cancel_dump_traceback_later()
            shutil.rmtree(scratch / CASE, ignore_errors=True)
            done += 1
            if failure is not None:
                break
    print(json.dumps({"cases": done, "failure": failure}), flush=True)
    return 1 if failure else 0


def run_cases(seed: int, cases: int) -> Outcome:
    """Go through cases in a process of its own."""
    ended = recorder.run(
        "tests.torture.catalog_rows", [seed, cases], recorder.environment_without()
    )
    said = said_by(ended)
    if "cases" not in said:  # it hung, or died
        repeat = f"python -m tests.torture.catalog_rows {seed} {cases}"
        return Outcome(0, seed + 1, said["failure"], repeat)
    repeat = f"python -m tests.torture.catalog_rows {seed + said['cases'] - 1}"
    return Outcome(said["cases"], seed + said["cases"], said["failure"], repeat)


class Runs:
    """Goes through cases in processes that live for about `SECONDS_OF_A_PROCESS`."""

    def __init__(self) -> None:
        self._cases = 50  # of a process; how fast the machine is, is learnt on the way

    def run(self, seed: int, seconds: float) -> Outcome:
        """Go through cases from a seed on for about so long."""
        return run_seeds(self._run_process, seed, seconds)

    def _run_process(self, seed: int) -> Outcome:
        began = time.monotonic()
        outcome = run_cases(seed, self._cases)
        rate = outcome.cases / max(time.monotonic() - began, 0.001)
        self._cases = max(10, int(rate * SECONDS_OF_A_PROCESS))
        return outcome


# Whole programs; a hundred million rows alone go through catalog_cells.py.
HARNESS = Harness("fuzz, rows of the catalog", "cases", 20_000, Runs().run)

if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
