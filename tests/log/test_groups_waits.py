"""Members that wait: in an event loop, beside other threads, after a fork, in containers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import pystream as ps
from pystream import TopicPartition, errors
from tests.log.members import LONG, MEMBER, append, await_joined, await_shares, join, settle
from tests.log.test_interrupts import can_unshare


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ps.Log]:
    with ps.open(tmp_path / "log") as opened:
        opened.create_topic("orders", {"n": "int64"}, partitions=4)
        yield opened


@pytest.mark.parametrize("kind", ["records", "batches"])
def test_partitions_come_to_a_member_that_waits_in_an_event_loop(log: ps.Log, kind: str) -> None:
    first, second = join(log), join(log)
    settle(first, second)
    theirs = min(first.assignment())
    append(log, "orders", theirs.partition, 7)

    async def wait() -> int:
        source = second if kind == "records" else second.batches()
        waiting = asyncio.ensure_future(anext(aiter(source)))
        await asyncio.sleep(0)
        first.close()  # what it had comes to the one that waits
        found = await asyncio.wait_for(waiting, LONG)
        return int(found["n"] if isinstance(found, ps.Record) else found["n"].to_pylist()[0])

    assert asyncio.run(wait()) == 7
    second.close()


def test_another_thread_may_close_a_member_that_waits(log: ps.Log) -> None:
    member, other = join(log), join(log)
    settle(member, other)
    failure: list[Exception] = []

    def wait() -> None:
        try:
            for _ in member:
                pass
        except errors.ClosedError as error:
            failure.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    member.close()
    thread.join(LONG)
    assert not thread.is_alive()
    assert len(failure) == 1
    await_shares([4], other)
    other.close()


def test_a_member_that_was_made_before_a_fork_is_the_parents(log: ps.Log) -> None:
    member = join(log)
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for act in (member.poll, member.commit, member.unsubscribe):
                with pytest.raises(errors.LogError, match="before a fork"):
                    act()
            member.close()
            with join(log) as own:
                own.poll()
                os.write(write_end, str(len(own.assignment())).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(write_end)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with os.fdopen(read_end) as answer:
        assert answer.read() == "0"  # the parent has them all
    await_shares([4], member)
    assert log.describe_group("g").members[0].process_id == os.getpid()
    member.close()


def test_members_in_two_pid_namespaces_share_and_notice_deaths(log: ps.Log) -> None:
    """One is process 1 to itself, and nothing to the other; a kernel lock does not care."""
    if not can_unshare():
        pytest.skip("this user may not make PID namespaces")
    contained = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "-c", MEMBER]
    with join(log) as member:
        child = subprocess.Popen(
            [*contained, log.directory, "{}", "2"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            await_joined(child, member)
            described = log.describe_group("g").members
            assert [its.process_id for its in described] == [os.getpid(), 1]
            assert all(its.is_alive for its in described)
        finally:
            child.kill()
            child.communicate()
        await_shares([4], member)


def test_positions_of_partitions_that_were_given_up_are_not_committed_again(log: ps.Log) -> None:
    """A commit after the rebalance does not take the next owner's progress back."""
    for partition in range(4):
        append(log, "orders", partition, 1, 2, 3)
    first, second = join(log), join(log)
    first.poll(max_records=1)
    settle(first, second)
    second.commit()
    after = {name: second.committed(name) for name in second.assignment()}
    assert set(after.values()) == {3}
    first.commit()
    assert {name: second.committed(name) for name in after} == after
    assert all(isinstance(name, TopicPartition) for name in after)
    first.close()
    second.close()
