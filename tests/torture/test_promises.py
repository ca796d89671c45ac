"""What the harnesses ask for can be broken: a verify that differs from the reader is noticed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import pystream as ps
from pystream.log.verify import verify_log
from tests.torture.keeping import check_verified, read, verified
from tests.torture.promises import SCHEMA, Partition, Promises, check_partition, text_of


def test_verify_that_does_not_agree_with_the_reader_is_noticed(tmp_path: Path) -> None:
    assert verified(tmp_path) is None
    with ps.open(tmp_path) as log:
        log.create_topic("ants", SCHEMA)
        with log.producer() as producer:
            producer.send_batch("ants", [{"number": n, "text": text_of(n)} for n in range(9)])
        found = {("ants", 0): read(log, "ants", 0)}
    report = verify_log(tmp_path)
    check_verified(report, found)
    (whole,) = report.partitions
    for wrong in (
        replace(whole, records=8),
        replace(whole, lost_records=1),
        replace(whole, log_end_offset=8),
        replace(whole, partition=1),
    ):
        report.partitions[:] = [wrong]
        with pytest.raises(AssertionError, match="verify"):
            check_verified(report, found)


def test_damage_that_no_crash_makes_is_not_excused(tmp_path: Path) -> None:
    with ps.open(tmp_path) as log:
        log.create_topic("ants", SCHEMA)
        with log.producer() as producer:
            producer.send_batch("ants", [{"number": 1, "text": text_of(1)}])
    (segment,) = tmp_path.glob("topics/*/0/*.seg")
    segment.unlink()
    with pytest.raises(AssertionError, match="corrupt-records"):
        verified(tmp_path)


def test_what_a_failed_sync_cost_may_come_back_until_something_follows() -> None:
    its = Partition(acknowledged={0: 7}, end=4, given_up=[8, 9, 10])
    for found in ({0: 7}, {0: 7, 1: 8}, {0: 7, 1: 8, 2: 9, 3: 10}):
        check_partition(its, found, is_power_lost=False)
    for found in ({0: 7, 1: 9, 2: 8}, {0: 8}, {0: 7, 1: 8, 2: 9, 3: 10, 4: 11}):
        with pytest.raises(AssertionError):
            check_partition(its, found, is_power_lost=False)


def test_notes_tell_what_a_failed_sync_cost() -> None:
    promises = Promises()
    where = '"topic": "ants", "partition": 0'
    for note in (
        '{"do": "try_create", "topic": "ants", "partitions": 1}',
        '{"do": "created", "topic": "ants", "partitions": 1}',
        f'{{"do": "try_send", {where}, "first": 7, "count": 2}}',
        f'{{"do": "sent", {where}, "first": 7, "count": 2, "offset": 0, "level": "published"}}',
        f'{{"do": "try_send", {where}, "first": 5, "count": 1}}',
        f'{{"do": "refused", {where}, "first": 5, "count": 1}}',
        '{"do": "sync_failed"}',
        f'{{"do": "found", {where}, "partitions": 1, "records": [[0, 7]], "durable": 1, '
        '"is_new_life": false}',
    ):
        promises.note(note)
    (its,) = promises.topics["ants"].partitions
    assert its.given_up == [8, 5]
    # What is refused for another reason leaves nothing.
    for note in (
        '{"do": "found_topics", "topics": ["ants"], "is_new_life": false}',
        f'{{"do": "try_send", {where}, "first": 6, "count": 1}}',
        f'{{"do": "refused", {where}, "first": 6, "count": 1}}',
        f'{{"do": "found", {where}, "partitions": 1, "records": [[0, 7]], "durable": 1, '
        '"is_new_life": false}',
    ):
        promises.note(note)
    assert its.given_up == [8, 5]
    promises.note(f'{{"do": "try_send", {where}, "first": 9, "count": 1}}')
    assert its.given_up == [8, 5]
    promises.note(
        f'{{"do": "sent", {where}, "first": 9, "count": 1, "offset": 5, "level": "published"}}'
    )
    assert its.given_up == []
