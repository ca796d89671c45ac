"""Lose power at every call of a program that uses a log, and open what the disk may hold.

Usage: python -m tests.torture.power_loss SEED [STATES [strict]]

A workload runs under the recorder. Then, for each call that it made, a state is drawn of what the
disk may hold if power was lost there (``disk.py``), and the log is opened in it as by another boot
and compared with what the workload was promised (``promises.py``). The second life of each seed
begins in such a state, so that the recovery itself is interrupted too.

Prints a line of JSON per life; the last one says what failed. The state that failed is kept in
``build/torture/failures``.
"""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
import struct
import sys
import traceback
from functools import partial
from pathlib import Path

from tests.oracle.segment import crc32c
from tests.torture import recorder, trace
from tests.torture.disk import Disk, Tree, write_tree
from tests.torture.harness import Harness, Outcome, run_seeds, said_by, scratch_directory
from tests.torture.keeping import check
from tests.torture.promises import Promises, allow_small_segments
from tests.torture.trace import Call

STEPS = 40
LIVES = 2
DRAWS = 1  # states per call
VERIFY_EVERY = 4  # states


def adopt(root: Path) -> None:
    """Let mapped pages name the files they are in: a disk keeps its inodes, our copy does not."""
    for path, magic, end, at in [
        *((path, b"PSCT", 80, 56) for path in root.glob("log/topics/*/*/control")),
        *((path, b"PSOD", 72, 48) for path in root.glob("log/order")),
    ]:
        with path.open("r+b") as file:
            head = bytearray(file.read(end))
            crc = int.from_bytes(head[4:8], "little")
            if len(head) < end or head[:4] != magic or crc != crc32c(bytes(head[8:])):
                continue
            place = path.parent.parent.name, path.parent.name
            is_stale = (head[16:32].hex(), str(head[32])) != place
            if magic == b"PSCT" and is_stale:  # what another file left in this place
                continue
            status = os.fstat(file.fileno())
            head[at : at + 16] = struct.pack("<QQ", status.st_dev, status.st_ino)
            head[4:8] = struct.pack("<I", crc32c(bytes(head[8:])))
            file.seek(0)
            file.write(head)


class Boots:
    """The boots of an imagined machine, told apart by a file in place of the kernel's boot id."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._number = 0
        self.next()

    def next(self) -> None:
        self._number += 1
        recorder.write_boot_id(self._path, self._number)


class Lives:
    """The lives of one seed, each beginning in a state that the one before left."""

    def __init__(self, seed: int, scratch: Path, *, is_strict: bool = False) -> None:
        self.seed = seed
        self._is_strict = is_strict
        self.cases = 0
        self._choose = random.Random(seed)
        self._scratch = scratch
        self._boots = Boots(Path(os.environ["TORTURE_BOOT"]))
        self._tree: Tree = {}
        self._promises = Promises()
        self._notes: list[str] = []

    def run(self, most: int) -> None:
        for life in range(LIVES):
            if self.cases < most:
                self._live(life, most)

    def _live(self, life: int, most: int) -> None:
        root = self._scratch / f"life-{life}"
        traced = self._scratch / f"trace-{life}"
        self._notes.append(f"life {life}")
        root.mkdir()
        write_tree(self._tree, root)
        adopt(root)
        disk = Disk(root, self._tree, is_strict=self._is_strict)
        self._boots.next()
        env = recorder.environment(root, trace=traced, boot=Path(os.environ["TORTURE_BOOT"]))
        arguments = [root / "log", 10 * self.seed + life, STEPS]
        ended = recorder.run("tests.torture.workload", arguments, env)
        if ended.returncode != 0:
            raise AssertionError(f"life {life} ended with {ended.returncode}:\n{ended.stderr}")
        shutil.rmtree(root)
        calls = trace.read(traced)
        numbers = [i for i, call in enumerate(calls) if call.kind in trace.CALLS]
        goes_on_at = self._choose.choice(numbers)
        self._boots.next()
        for i, call in enumerate(calls):
            if call.kind == trace.MARK:
                self._promises.note(call.data.decode())
                self._notes.append(f"{i} {call.data.decode()}")
                continue
            disk.apply(call)
            if call.kind not in trace.CALLS:
                continue
            if i == goes_on_at:
                following = copy.deepcopy(self._promises), disk.draw(self._choose)
            for _ in range(DRAWS):
                if self.cases < most:
                    self._try(disk.draw(self._choose), life, i, call)
        self._promises, self._tree = following

    def _try(self, tree: Tree, life: int, record: int, call: Call) -> None:
        root = self._scratch / "state"
        root.mkdir()
        write_tree(tree, root)
        adopt(root)
        self.cases += 1
        try:
            check(
                self._promises,
                root / "log",
                self._boots.next,
                is_power_lost=True,
                is_verified=self.cases % VERIFY_EVERY == 0,
            )
            self._boots.next()
        except Exception:
            kept = recorder.BUILD / "failures" / f"power-loss-{self.seed}-{self.cases}"
            shutil.rmtree(kept, ignore_errors=True)
            kept.mkdir(parents=True)
            write_tree(tree, kept)
            (kept / "notes").write_text("\n".join(self._notes))
            shutil.copy(self._scratch / f"trace-{life}", kept / "trace")
            raise AssertionError(
                f"life {life}, behind record {record} ({call.kind.decode()} {call.path}); the "
                f"state, the notes of the lives and the last one's trace are kept in {kept}:\n"
                f"{traceback.format_exc(limit=-3)}"
            ) from None
        finally:
            shutil.rmtree(root)


def main(seed: str, states: str = "1000000", disk: str = "journaled") -> int:
    if "TORTURE_BOOT" not in os.environ:
        with scratch_directory() as scratch:
            ended = recorder.run(
                "tests.torture.power_loss",
                [seed, states, disk],
                recorder.environment(boot=Path(scratch) / "boot"),
            )
        print(ended.stdout, ended.stderr, sep="", end="")
        return ended.returncode
    recorder.write_boot_id(Path(os.environ["TORTURE_BOOT"]), 0)
    allow_small_segments()
    failure = None
    with scratch_directory() as scratch:
        lives = Lives(int(seed), Path(scratch), is_strict=disk == "strict")
        try:
            lives.run(int(states))
        except AssertionError as error:
            failure = str(error)
    print(json.dumps({"cases": lives.cases, "failure": failure}), flush=True)
    return 1 if failure else 0


def run_seed(seed: int, states: int = 1_000_000) -> Outcome:
    """Go through the lives of one seed in a process of its own."""
    with scratch_directory() as scratch:
        ended = recorder.run(
            "tests.torture.power_loss",
            [seed, states],
            recorder.environment(boot=Path(scratch) / "boot"),
        )
    said = said_by(ended)
    repeat = f"python -m tests.torture.power_loss {seed}"
    return Outcome(said.get("cases", 0), seed + 1, said["failure"], repeat)


HARNESS = Harness("power loss, whole log", "states", 100_000, partial(run_seeds, run_seed))

if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
