"""The systems of `test_latency.py`; run as a program it is the producing process.

Usage: python -m bench.latency SYSTEM DIRECTORY RATE COUNT
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pystream as ps

POLL_SECONDS = 100e-6
VALUE_BYTES = 64
FIRST = 0  # due time of the record before the schedule, which makes files and tables


class Unavailable(Exception):
    """A rival that is not installed."""


def value_of(due_ns: int) -> bytes:
    return due_ns.to_bytes(8, "little").ljust(VALUE_BYTES, b"x")


def due_of(value: bytes) -> int:
    return int.from_bytes(value[:8], "little")


class System:
    """A way from one process to another. Subclasses are made in both."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def send(self, values: list[bytes]) -> None:
        raise NotImplementedError

    def arrivals(self) -> Iterator[list[int]]:
        """Yield the due times of what has arrived, as soon as it has."""
        raise NotImplementedError


class Pystream(System):
    """A record that comes alone by ``send``, a group of records as one table."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.log = ps.open(directory / "log")
        self.log.create_topic("t", exist_ok=True)
        self.producer = self.log.producer(acks="published", linger="0s")
        self.consumer = self.log.consumer("t", auto_offset_reset="earliest")

    def send(self, values: list[bytes]) -> None:
        if len(values) == 1:
            self.producer.send("t", values[0])
        else:
            self.producer.send_batch("t", {"value": values})

    def arrivals(self) -> Iterator[list[int]]:
        for batch in self.consumer.batches():
            yield [due_of(value) for value in batch["value"].to_pylist()]

    def __exit__(self, *_: object) -> None:
        self.log.close()


class Sqlite(System):
    """WAL, ``synchronous=OFF``; one transaction per group of records."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.db = sqlite3.connect(directory / "queue.db", isolation_level=None, timeout=10)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = OFF")
        self.db.execute("CREATE TABLE IF NOT EXISTS queue (id INTEGER PRIMARY KEY, value BLOB)")

    def send(self, values: list[bytes]) -> None:
        self.db.execute("BEGIN IMMEDIATE")
        self.db.executemany("INSERT INTO queue (value) VALUES (?)", [(v,) for v in values])
        self.db.execute("COMMIT")

    def arrivals(self) -> Iterator[list[int]]:
        last = 0
        while True:
            rows = self.db.execute(
                "SELECT id, value FROM queue WHERE id > ? ORDER BY id", (last,)
            ).fetchall()
            if rows:
                last = rows[-1][0]
                yield [due_of(value) for _, value in rows]
            else:
                time.sleep(POLL_SECONDS)

    def __exit__(self, *_: object) -> None:
        self.db.close()


class Lmdb(System):
    """``sync=False``; one transaction per group of records."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        try:
            import lmdb  # noqa: PLC0415  an extra
        except ImportError:
            raise Unavailable("lmdb is not installed: pip install 'pystream[bench]'") from None
        self.env: Any = lmdb.open(str(directory / "lmdb"), map_size=1 << 30, sync=False)
        self.next = 0

    def send(self, values: list[bytes]) -> None:
        with self.env.begin(write=True) as transaction:
            for value in values:
                transaction.put(self.next.to_bytes(8, "big"), value)
                self.next += 1

    def arrivals(self) -> Iterator[list[int]]:
        while True:
            found = []
            with self.env.begin() as transaction, transaction.cursor() as cursor:
                if cursor.set_range(self.next.to_bytes(8, "big")):
                    found = [due_of(value) for _, value in cursor]
            self.next += len(found)
            if found:
                yield found
            else:
                time.sleep(POLL_SECONDS)

    def __exit__(self, *_: object) -> None:
        self.env.close()


class Redis(System):
    """A server without persistence on a Unix socket; XADD in a pipeline, XREAD that blocks."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        try:
            import redis  # noqa: PLC0415  an extra
        except ImportError:
            raise Unavailable("redis is not installed: pip install 'pystream[bench]'") from None
        program = shutil.which("redis-server")
        if program is None:
            raise Unavailable("redis-server is not installed: apt-get install redis-server")
        # A socket's path is short.
        self.place = Path(tempfile.gettempdir()) / f"pystream-redis-{os.getuid()}-{directory.name}"
        socket = self.place / "socket"
        self.server = None
        if not socket.exists():
            self.place.mkdir(exist_ok=True)
            settings = ["--port", "0", "--save", "", "--appendonly", "no"]
            command = [program, "--unixsocket", str(socket), "--dir", str(self.place), *settings]
            self.server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self.client: Any = redis.Redis(unix_socket_path=str(socket))
        deadline = time.monotonic() + 10
        while True:
            try:
                self.client.ping()
                return
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def send(self, values: list[bytes]) -> None:
        pipeline = self.client.pipeline(transaction=False)
        for value in values:
            pipeline.xadd("queue", {"v": value})
        pipeline.execute()

    def arrivals(self) -> Iterator[list[int]]:
        last = b"0"
        while True:
            for _, entries in self.client.xread({"queue": last}, block=1000):
                last = entries[-1][0]
                yield [due_of(fields[b"v"]) for _, fields in entries]

    def __exit__(self, *_: object) -> None:
        self.client.close()
        if self.server is not None:
            self.server.terminate()
            self.server.wait(10)
            shutil.rmtree(self.place, ignore_errors=True)


class Pipe(System):
    """No storage at all: what the kernel needs to wake another process."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        path = directory / "pipe"
        if not path.exists():
            os.mkfifo(path)
        self.pipe = os.open(path, os.O_RDWR)

    def send(self, values: list[bytes]) -> None:
        os.write(self.pipe, b"".join(values))

    def arrivals(self) -> Iterator[list[int]]:
        rest = b""
        while True:
            found = rest + os.read(self.pipe, 1 << 16)
            end = len(found) - len(found) % VALUE_BYTES
            rest = found[end:]
            yield [due_of(found[at:]) for at in range(0, end, VALUE_BYTES)]

    def __exit__(self, *_: object) -> None:
        os.close(self.pipe)


SYSTEMS: dict[str, Callable[[Path], System]] = {
    "a pipe, nothing stored": Pipe,
    "pystream": Pystream,
    "LMDB, polled": Lmdb,
    "SQLite WAL, polled": Sqlite,
    "Redis Streams": Redis,
}


def produce(system: System, rate: int, count: int) -> None:
    """Send on a schedule: whatever is due, together; then sleep until the next is."""
    system.send([value_of(FIRST)])
    start_ns = time.monotonic_ns() + 100_000_000
    sent = 0
    while sent < count:
        due_count = min(count, (time.monotonic_ns() - start_ns) * rate // 10**9 + 1)
        if due_count <= sent:
            next_ns = start_ns + sent * 10**9 // rate
            time.sleep(max(0, next_ns - time.monotonic_ns()) / 1e9)
            continue
        system.send([value_of(start_ns + n * 10**9 // rate) for n in range(sent, due_count)])
        sent = due_count


if __name__ == "__main__":
    with SYSTEMS[sys.argv[1]](Path(sys.argv[2])) as system:
        produce(system, int(sys.argv[3]), int(sys.argv[4]))
