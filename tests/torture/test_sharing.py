"""Members that lose their place, or are given too little, are noticed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

import pystream as ps
from pystream import config
from tests.torture import sharing
from tests.torture.promises import Promises


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ps.Log]:
    monkeypatch.setattr(config, "SEGMENT_BYTES_MIN", 4096)
    monkeypatch.setattr(config, "GROUP_LOOK_SECONDS", 0.0)
    with ps.open(tmp_path) as log:
        yield log


def shared(log: ps.Log, steps: int) -> Promises:
    """Let members come and go, and return what was promised."""
    promises, choose = Promises(), random.Random(5)
    for number in range(steps):
        sharing.share(
            log, choose, number, lambda do, **facts: promises.note(json.dumps({"do": do, **facts}))
        )
    return promises


def test_members_that_come_next_get_what_is_left_and_commit_it(log: ps.Log) -> None:
    promises = shared(log, 12)
    assert max(promises.sharing.committed.values()) > 0
    with log.producer() as producer:
        producer.send_batch(sharing.SHARED, [{"number": 1}] * 7, partition=0)
    left = promises.sharing.check(log)
    assert left == {number: end.end for number, end in enumerate(log.topic(sharing.SHARED).ends())}


def test_a_commit_that_is_lost_or_ahead_is_noticed(log: ps.Log) -> None:
    promises = shared(log, 12)
    known = promises.sharing
    (partition, offset), *_ = (item for item in known.committed.items() if item[1] > 0)
    place = sharing.SHARED, partition
    log.reset_offsets(sharing.GROUP, offsets={place: offset - 1})
    with pytest.raises(AssertionError, match=f"{offset} was acknowledged"):
        known.check(log)
    with log.producer() as producer:
        producer.send_batch(sharing.SHARED, [{"number": 1}] * 9, partition=partition)
    log.reset_offsets(sharing.GROUP, offsets={place: known.processed[partition] + 1})
    with pytest.raises(AssertionError, match="was processed"):
        known.check(log)


def test_a_record_that_no_member_is_given_is_noticed(
    log: ps.Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared(log, 1)
    poll = ps.Consumer.poll

    def forgetful(consumer: ps.Consumer, *arguments: object, **settings: object) -> object:
        polled = poll(consumer, *arguments, **settings)  # type: ignore[arg-type]
        return {place: records[1:] for place, records in polled.items() if records[1:]}

    monkeypatch.setattr(ps.Consumer, "poll", forgetful)
    with pytest.raises(AssertionError, match="were skipped"):
        shared(log, 20)
