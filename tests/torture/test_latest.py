"""What the harnesses ask of a compacted topic can be broken, and is noticed."""

from __future__ import annotations

import json

import pytest

from tests.torture.latest import DELETE_RETENTION_US, LatestPartition, Rows, check_partition
from tests.torture.promises import Promises

A1, B2, A3, B4 = ("a", 1), ("b", 2), ("a", 3), ("b", None)
ALL: Rows = {0: A1, 1: B2, 2: A3, 3: B4}
LONG = (0, DELETE_RETENTION_US)


def known(*times: int, compacted_to: int = 9, **facts: int) -> LatestPartition:
    compactions = [(now, compacted_to) for now in times]
    return LatestPartition(acknowledged=dict(ALL), end=4, compactions=compactions, **facts)


def rows(*offsets: int) -> Rows:
    return {offset: ALL[offset] for offset in offsets}


@pytest.mark.parametrize("left", [(0, 1, 2, 3), (1, 2, 3), (2, 3)])
def test_compaction_may_remove_what_has_a_later_record_of_its_key(left: tuple[int, ...]) -> None:
    check_partition(known(0), rows(*left), is_power_lost=False)


@pytest.mark.parametrize(
    ("left", "compacted_to"),
    [
        ((0, 1, 3), 9),  # the last of its key
        ((1, 2, 3), 2),  # compaction did not know the later one
        ((0, 1, 2), 9),  # a tombstone that is young
        ((), 9),
    ],
)
def test_what_compaction_may_not_remove_is_lost(left: tuple[int, ...], compacted_to: int) -> None:
    with pytest.raises(AssertionError, match="lost"):
        check_partition(known(0, compacted_to=compacted_to), rows(*left), is_power_lost=False)


def test_a_tombstone_goes_when_it_was_compact_for_long_enough_and_not_before_its_key() -> None:
    check_partition(known(*LONG), rows(2), is_power_lost=False)
    with pytest.raises(AssertionError, match="offset 1 is there, and offset 3 of its key is not"):
        check_partition(known(*LONG), rows(1, 2), is_power_lost=False)


@pytest.mark.parametrize("left", [(0, 1, 2), (0, 1), (0,), (), (1, 2)])
def test_power_loss_takes_all_from_some_offset_on(left: tuple[int, ...]) -> None:
    check_partition(known(0), rows(*left), is_power_lost=True)


def test_a_marker_may_be_the_last_that_was_durable() -> None:
    its = known(durable=3)
    its.acknowledged = {0: A1, 1: B2, 4: A3}
    its.end = 5
    check_partition(its, rows(0, 1), is_power_lost=True)
    with pytest.raises(AssertionError, match="lost"):
        check_partition(its, rows(0), is_power_lost=True)


def test_power_loss_takes_nothing_that_was_durable_nor_the_follower_of_what_is_gone() -> None:
    with pytest.raises(AssertionError, match="lost"):
        check_partition(known(0, durable=4), rows(0, 1, 2), is_power_lost=True)
    with pytest.raises(AssertionError, match="lost"):
        check_partition(known(0), rows(1), is_power_lost=True)  # without offset 2, a has nothing
    with pytest.raises(AssertionError, match="offset 2"):
        check_partition(known(0), {**ALL, 2: A1}, is_power_lost=True)


def test_what_was_under_way_may_be_there_in_its_order() -> None:
    its = known(0)
    its.trying = [("c", 5), ("d", 6)]
    check_partition(its, {**ALL, 4: ("c", 5)}, is_power_lost=False)
    check_partition(its, {**ALL, 5: ("d", 6)}, is_power_lost=False)
    for wrong in ({4: ("d", 6), 5: ("c", 5)}, {4: ("e", 7)}):
        with pytest.raises(AssertionError, match="tried"):
            check_partition(its, {**ALL, **wrong}, is_power_lost=False)
    its.end = 6
    with pytest.raises(AssertionError, match="behind 6"):
        check_partition(its, {**ALL, 4: ("c", 5)}, is_power_lost=False)


def test_notes_say_what_is_known() -> None:
    promises = Promises()
    for note in (
        {"do": "latest.try_rows", "partition": 0, "rows": [A1, B2]},
        {"do": "latest.sent", "partition": 0, "first": 0, "count": 2, "is_durable": True},
        {"do": "latest.try_rows", "partition": 0, "rows": [A3]},
        {"do": "latest.aborted", "partition": 0},
        {"do": "latest.try_compact", "now_us": 7, "ends": [5, 0]},
        {"do": "latest.compacted", "durable": [4, 0]},
        {"do": "latest.try_rows", "partition": 0, "rows": [B4]},
    ):
        promises.note(json.dumps(note))
    its, other = promises.latest.partitions
    assert its == LatestPartition({0: A1, 1: B2}, 2, 4, [B4], [], [(7, 5)])
    assert other == LatestPartition(compactions=[(7, 0)])
    promises.note(json.dumps({"do": "sync_failed"}))
    found = {"partition": 0, "rows": [[0, A1]], "durable": 1, "is_new_life": False}
    its.durable = 0
    promises.note(json.dumps({"do": "found_latest", **found}))
    assert its.acknowledged == {0: A1}
    assert (its.given_up, its.trying, its.durable) == ([B2, B4], [], 1)
    check_partition(its, {0: A1, 1: B2}, is_power_lost=False)
