"""The harnesses in ``native/tests/storage``, run as programs with a seed and a number of cases."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.torture.harness import Harness, Outcome

ROOT = Path(__file__).resolve().parents[2]
REPORT = re.compile(r"torture: (\d+) cases, next seed (\d+)")
PROGRAM_TIMEOUT_SECONDS = 3600


def build_directory() -> Path:
    """Return where ``ci/native_tests`` builds."""
    override = os.environ.get("PYSTREAM_NATIVE_BUILD")
    name = f"{sys.implementation.cache_tag}-{sysconfig.get_platform()}"
    return Path(override) if override else ROOT / "build" / name


@dataclass
class NativeTest:
    """One test of a program; how many cases it does in a second is learnt on the way."""

    program: str
    test: str
    cases_per_second: float = field(default=50.0)

    def run(self, seed: int, seconds: float) -> Outcome:
        """Run the test from a seed for about so long."""
        wanted = max(1, int(self.cases_per_second * seconds))
        started = time.monotonic()
        outcome = self.run_cases(seed, wanted)
        if outcome.cases:
            # Half the weight to the news: machines have moods.
            rate = outcome.cases / max(time.monotonic() - started, 0.001)
            self.cases_per_second = (self.cases_per_second + rate) / 2
        return outcome

    def run_cases(self, seed: int, cases: int) -> Outcome:
        wanted = {"PYSTREAM_TORTURE_SEED": str(seed), "PYSTREAM_TORTURE_CASES": str(cases)}
        path = build_directory() / "tests" / self.program
        command = [str(path), f"--gtest_filter={self.test}", "--gtest_brief=1"]
        ran = subprocess.run(
            command,
            env={**os.environ, **wanted},
            check=False,
            capture_output=True,
            text=True,
            timeout=PROGRAM_TIMEOUT_SECONDS,
        )
        report = REPORT.search(ran.stdout)
        if ran.returncode == 0 and report:
            return Outcome(int(report[1]), int(report[2]))
        failed = re.findall(r"seed (\d+)", ran.stdout)
        first = failed[0] if failed else str(seed)
        shown = f"{path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}"
        repeat = (
            f"PYSTREAM_TORTURE_SEED={first} PYSTREAM_TORTURE_CASES=1 "
            f"{shown} --gtest_filter='{self.test}'"
        )
        said = (ran.stdout + ran.stderr).strip()[-4000:] or f"exit status {ran.returncode}"
        return Outcome(0, seed + 1, said, repeat)


def _harness(name: str, unit: str, aim: int, program: str, test: str) -> Harness:
    return Harness(name, unit, aim, NativeTest(program, test).run)


def programs() -> list[str]:
    """Return the programs to be built."""
    names = ("power_loss", "crash", "damage", "faults", "retention")
    names += ("compaction_crash", "compaction_model", "compaction_races")
    return [f"storage_log_{name}_test" for name in names]


_CRASHES = {
    "writer's life": "KilledAtAnyPointOfAWritersLife",
    "reopening": "KilledAtAnyPointAfterReopening",
    "recovery": "KilledAtAnyPointOfARecovery",
    "burial": "KilledAtAnyPointOfBuryingADeadAppend",
    "copy": "KilledAtAnyPointOfAFirstLifeInACopiedDirectory",
    "zeros ahead": "KilledAtAnyPointOfWritingZerosAhead",
    "durable appends": "KilledAtAnyPointOfDurableAppends",
    "failed sync": "KilledAtAnyPointOfTheOpenAfterAFailedSync",
}
_RACES = {
    "compaction beside a reader": "AReaderIsGivenEachSegmentAsItWasOrAsItIs",
    "compaction beside an aborted batch": (
        "AReaderInTheMiddleOfAnAbortedTransactionFindsThatItIsGone"
    ),
    "deletion beside a compaction": "RecordsThatAreDeletedDuringACompactionStayDeleted",
    "compaction beside a deletion": "ACompactionDuringADeletionBringsNothingBack",
}
_FLIP = "Codecs/LogDamageTest.AFlippedBit"
_CUT = "Codecs/LogDamageTest.AFileCutAtAnyByteKeepsWhatCameBefore"

HARNESSES = (
    _harness(
        "power loss, partition",
        "losses",
        900_000,  # and 100,000 of the whole log
        "storage_log_power_loss_test",
        "LogPowerLossTest.*",
    ),
    _harness(
        "power loss, compaction",
        "losses",
        100_000,
        "storage_log_compaction_crash_test",
        "*.PowerLossesLoseNoKeyAndBringNoneBack",
    ),
    _harness(
        "compaction against the model",
        "lives",
        100_000,
        "storage_log_compaction_model_test",
        "LogCompactionModelTest.*",
    ),
    *(
        # About 150 to 650 runs visit each point twice: each 100 times.
        _harness(f"kill -9, {name}", "kills", 40_000, "storage_log_crash_test", f"*.{test}")
        for name, test in _CRASHES.items()
    ),
    *(
        # Each of about 600 points 100 times.
        _harness(
            f"kill -9, {name}",
            "kills",
            60_000,
            f"storage_log_{name}{suffix}_test",
            f"*.AKillAtAnyCallOrStore{what}",
        )
        for name, suffix, what in (
            ("retention", "", "LeavesTheOldStartOrTheNewOne"),
            ("compaction", "_crash", "LosesNoKeyAndBringsNoneBack"),
        )
    ),
    *(
        _harness(
            f"races, {name}", "races", 500_000, "storage_log_compaction_races_test", f"*.{test}"
        )
        for name, test in _RACES.items()
    ),
    *(
        _harness(name, unit, aim, "storage_log_damage_test", test)
        for name, unit, aim, test in (
            ("flips, segment, raw", "bits", 524_288, f"{_FLIP}CostsAtMostItsBatch/Raw"),
            ("flips, segment, lz4", "bits", 524_288, f"{_FLIP}CostsAtMostItsBatch/Lz4"),
            ("flips, control page", "bits", 65_536, f"{_FLIP}OfTheControlPageCostsNothing/Raw"),
            ("flips, 1 GiB", "bits", 10_000_000, "LargeLogDamageTest.*"),
            ("cuts, raw", "cuts", 250_000, f"{_CUT}/Raw"),
            ("cuts, lz4", "cuts", 250_000, f"{_CUT}/Lz4"),
        )
    ),
    _harness(
        "failing calls, partition",
        "programs",
        250_000,
        "storage_log_faults_test",
        "LogFaultsTest.*",
    ),
)
