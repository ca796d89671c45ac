"""Ctrl-C at any moment, the end of the interpreter, forks, and containers."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
import traceback
import warnings
import weakref
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import pystream as ps
from tests.log.reading import rows_of

LONG = 60.0

INTERRUPTED = """
import sys, pystream as ps

def acknowledge(delivery):
    try:
        acked.add(delivery.result().offset)
    except ps.errors.StreamError:
        pass

def work(log, producer, consumer):
    global sent
    while True:
        for _ in range(20):
            # Counted first: what is cut short may have been sent.
            sent += 1
            producer.send("t", {"n": sent}).add_done_callback(acknowledge)
        producer.flush()
        for record in consumer.poll(max_records=15).get(("t", 0), []):
            read.append((record.offset, record["n"]))
            position = record.offset + 1
        for batch in consumer.batches(timeout="0s"):
            read.extend(zip(range(batch.base_offset, batch.next_offset), batch["n"].to_pylist()))
        consumer.commit()

acked, read, sent = set(), [], 0
for line in sys.stdin:
    begin = len(read)
    try:
        with ps.open(sys.argv[1]) as log:
            with log.producer(linger="1ms") as producer, log.consumer(
                "t", group_id="g", auto_offset_reset="earliest"
            ) as consumer:
                print("ready", flush=True)
                work(log, producer, consumer)
    except KeyboardInterrupt:
        pass
    print("interrupted", flush=True)
print(sorted(acked))
print(sent)
print(read)
"""


def test_ctrl_c_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    """Fifty of them while records are produced, consumed, flushed and committed."""
    with ps.open(tmp_path) as log:
        log.create_topic("t", {"n": "int64"})
    child = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    chance = random.Random(20)
    try:
        for _ in range(50):
            child.stdin.write("go\n")
            child.stdin.flush()
            assert child.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0, 0.03))  # not to synchronize: at another place each time
            child.send_signal(signal.SIGINT)
            assert child.stdout.readline() == "interrupted\n"
        out, _ = child.communicate(timeout=LONG)
    finally:
        child.kill()
        child.communicate()
    assert child.returncode == 0
    acked, sent, read = map(eval, out.splitlines())
    with ps.open(tmp_path) as log:
        stored = [row["n"] for row in rows_of(log, "t")]
        log.topic("t").ends()
    assert len(stored) > 500
    assert set(acked) <= set(range(len(stored)))
    # Every record once, in the order in which it was sent; unacknowledged ones may lack.
    assert stored == sorted(set(stored))
    assert set(stored) <= set(range(1, sent + 1))
    # Whatever was handed out was what is stored there.
    assert all(stored[offset] == n for offset, n in read)


ENDINGS = {
    "end": "",
    "exception": "raise SystemExit(3)",
    "os._exit": "import os; os._exit(3)",
    "error in a task": "1 / 0",
}
OPEN_AT_EXIT = """
import asyncio, sys, pystream as ps
log = ps.open(sys.argv[1])
log.create_topic("t", {{"n": "int64"}}, exist_ok=True)
producer = log.producer(linger="1h")
delivery = producer.send("t", {{"n": 1}})
consumer = log.consumer("t")
waiting = log.consumer("t")

async def read(consumer):
    async for record in consumer:
        pass

async def main():
    asyncio.create_task(read(waiting))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

asyncio.run(main())
records = aiter(consumer)
loop = asyncio.new_event_loop()
task = loop.create_task(read(consumer))
loop.run_until_complete(asyncio.sleep(0.01))
print("ready", flush=True)
{ending}
"""


@pytest.mark.parametrize("how", ENDINGS)
def test_process_ends_at_once_with_everything_open(tmp_path: Path, how: str) -> None:
    program = OPEN_AT_EXIT.format(ending=ENDINGS[how])
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    began = time.monotonic()
    _, err = child.communicate(timeout=LONG)
    assert time.monotonic() - began < 2
    assert child.returncode == {"end": 0, "error in a task": 1}.get(how, 3), err
    with ps.open(tmp_path) as log:
        # os._exit runs nothing, so it flushes nothing; every other end does.
        assert rows_of(log, "t") == ([] if how == "os._exit" else [{"n": 1}])


def can_unshare() -> bool:
    probe = ["unshare", "--pid", "--fork", "true"]
    try:
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


CONTAINED = """
import os, sys, pystream as ps
with ps.open(sys.argv[1]) as log:
    with log.producer(linger="0s") as producer, log.consumer(
        "t", auto_offset_reset="earliest", timeout="30s"
    ) as consumer:
        print(os.getpid(), flush=True)
        sys.stdin.readline()
        for n in range(200):
            producer.send("t", {"who": int(sys.argv[2]), "n": n})
        producer.flush()
        seen = set()
        for record in consumer:
            seen.add((record["who"], record["n"]))
            if len(seen) == 400:
                break
print("done", flush=True)
"""


def test_processes_of_two_pid_namespaces_share_a_log(tmp_path: Path) -> None:
    """As two containers do: a process id says nothing there, kernel locks do."""
    if not can_unshare():
        pytest.skip("this user may not make PID namespaces")
    with ps.open(tmp_path) as log:
        log.create_topic("t", {"who": "int64", "n": "int64"}, partitions=2)
    command = ["unshare", "--pid", "--fork", sys.executable, "-c", CONTAINED, str(tmp_path)]
    children = [
        subprocess.Popen(
            [*command, str(who)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for who in range(2)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "1\n"  # both think that they are process 1
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        assert child.communicate(timeout=LONG)[0] == "done\n"
        assert child.returncode == 0
    with ps.open(tmp_path) as log:
        rows = rows_of(log, "t")
    assert sorted((row["who"], row["n"]) for row in rows) == [
        (who, n) for who in range(2) for n in range(200)
    ]


def test_fork_while_threads_use_the_log(tmp_path: Path) -> None:
    """The child opens the log anew, whatever the parent's threads were in the middle of."""
    with ps.open(tmp_path) as log:
        log.create_topic("t", {"who": "int64"}, partitions=2)
        is_done = threading.Event()
        sent = 0

        def produce() -> None:
            nonlocal sent
            with log.producer(linger="0s") as producer:
                while not is_done.is_set():
                    producer.send("t", {"who": 0})
                    sent += 1

        def consume() -> None:
            with log.consumer("t") as consumer:
                for _ in consumer.batches(timeout="1s"):
                    if is_done.is_set():
                        return

        threads = [threading.Thread(target=produce), threading.Thread(target=consume)]
        for thread in threads:
            thread.start()
        try:
            for number in range(1, 9):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12
                    pid = os.fork()
                if pid == 0:
                    status = 1
                    try:
                        signal.alarm(15)  # should the kill of the parent not reach it
                        with log.producer() as producer:
                            producer.send("t", {"who": number}).result("30s")
                        with log.consumer("t", auto_offset_reset="earliest") as consumer:
                            found = [r["who"] for r in consumer.poll("30s").get(("t", 0), [])]
                        status = 0 if found is not None else 2
                    except BaseException:
                        traceback.print_exc()
                    finally:
                        os._exit(status)
                assert os.waitstatus_to_exitcode(wait_for(pid)) == 0
        finally:
            is_done.set()
            for thread in threads:
                thread.join()
        rows = [row["who"] for row in rows_of(log, "t")]
    assert sorted(who for who in rows if who) == list(range(1, 9))
    assert rows.count(0) == sent


def test_a_fork_waits_for_a_thread_that_is_inside_the_catalog(tmp_path: Path) -> None:
    """SQLite shares locks between the connections of a process; none may be taken in the child."""
    with ps.open(tmp_path) as log:
        is_inside, may_leave = threading.Event(), threading.Event()
        happened: list[str] = []

        def look() -> None:
            with log.catalog._database.reading():
                is_inside.set()
                may_leave.wait(20)
                happened.append("left")

        thread = threading.Thread(target=look)
        thread.start()
        is_inside.wait(20)
        timer = threading.Timer(0.3, may_leave.set)
        timer.start()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12
            pid = os.fork()
        if pid == 0:
            os._exit(0 if log.topics() == [] else 1)
        happened.append("forked")
        assert os.waitstatus_to_exitcode(wait_for(pid)) == 0
        timer.join()
        thread.join()
        assert happened == ["left", "forked"]


def wait_for(pid: int) -> int:
    """Return the status of a child, which is killed when it takes too long."""
    timer = threading.Timer(20, os.kill, (pid, signal.SIGKILL))
    timer.start()
    try:
        return os.waitpid(pid, 0)[1]
    finally:
        timer.cancel()


def test_no_python_code_runs_when_what_a_log_made_is_collected(tmp_path: Path) -> None:
    """Ctrl-C would be an exception in it, which the interpreter prints and drops."""
    with ps.open(tmp_path) as log:
        log.create_topic("t", {"n": "int64"})
        things = [log.producer(), log.consumer("t"), log]
        for thing in things:
            callbacks = [reference.__callback__ for reference in weakref.getweakrefs(thing)]
            assert callbacks
            assert callbacks == [None] * len(callbacks)


class InterruptAt:
    """Raises KeyboardInterrupt when the next transaction of a catalog was begun, or is to end."""

    def __init__(self, moment: str) -> None:
        self._event, self._names = {
            "entering": ("return", ("__enter__", "begin")),
            "leaving": ("call", ("__exit__", "end")),
        }[moment]
        self._is_due = True
        self._before = sys.gettrace()

    def __enter__(self) -> None:
        sys.settrace(self._trace)

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, event: str, _argument: object) -> Any:
        code = frame.f_code
        is_at = event == self._event and code.co_name in self._names
        if self._is_due and is_at and Path(code.co_filename).name in self._files:
            self._is_due = False
            raise KeyboardInterrupt
        return self._trace

    _files = ("contextlib.py", "database.py")


@pytest.mark.parametrize("moment", ["entering", "leaving"])
@pytest.mark.parametrize("kind", ["reading", "writing"])
def test_ctrl_c_at_either_end_of_a_catalog_transaction_blocks_no_other_thread(
    tmp_path: Path, kind: str, moment: str
) -> None:
    """Nor another process, although the traceback that the handler sees keeps what it has."""
    with ps.open(tmp_path) as log, ps.open(tmp_path, lock_timeout="1s") as other:
        log.create_topic("t", {"n": "int64"})
        catalog = log.catalog
        threads: list[threading.Thread] = []
        seen: list[list[str]] = []
        try:
            with InterruptAt(moment), getattr(catalog, kind)():
                pass
        except KeyboardInterrupt:
            thread = threading.Thread(target=lambda: seen.append(log.topics()), daemon=True)
            thread.start()
            thread.join(20)
            other.create_topic("u", {"n": "int64"})
            threads.append(thread)
        assert len(threads) == 1
        assert seen == [["t"]]
        assert log.topics() == ["t", "u"]
