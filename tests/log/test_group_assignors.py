"""Assignors: every partition has one reader, evenly, and moves no more than it must."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pystream.log.groups.assignors import ASSIGNORS, Assignment, assign
from tests.oracle import assignments as oracle

TOPICS = [b"a", b"b", b"c"]


def counts_of(assignment: Assignment) -> dict[int, int]:
    return dict(Counter(assignment.values()))


def moved(before: Mapping[tuple[bytes, int], int], after: Assignment) -> int:
    return sum(before[partition] != member for partition, member in after.items())


def test_sticky_moves_only_what_a_new_member_needs() -> None:
    one = assign("sticky", {1: {b"a"}}, {b"a": 7}, {})
    assert counts_of(one) == {1: 7}
    two = assign("sticky", {1: {b"a"}, 2: {b"a"}}, {b"a": 7}, one)
    assert counts_of(two) == {1: 4, 2: 3}
    assert moved(one, two) == 3
    three = assign("sticky", {key: {b"a"} for key in (1, 2, 3)}, {b"a": 7}, two)
    assert counts_of(three) == {1: 3, 2: 2, 3: 2}
    assert moved(two, three) == 2
    assert assign("sticky", {2: {b"a"}, 3: {b"a"}}, {b"a": 7}, three).items() >= {
        item for item in three.items() if item[1] != 1
    }


def test_sticky_leaves_the_odd_one_where_it_is_and_uniform_gives_it_to_the_first() -> None:
    members = {1: {b"a"}, 2: {b"a"}}
    before = {(b"a", 0): 1, (b"a", 1): 2, (b"a", 2): 2}
    assert assign("sticky", members, {b"a": 3}, before) == before
    assert counts_of(assign("uniform", members, {b"a": 3}, before)) == {1: 2, 2: 1}


def test_range_gives_equal_partitions_of_equal_topics_to_one_member() -> None:
    members = {key: {b"a", b"b"} for key in (4, 7, 9)}
    assignment = assign("range", members, {b"a": 5, b"b": 5}, {})
    for topic in (b"a", b"b"):
        assert [assignment[topic, number] for number in range(5)] == [4, 4, 7, 7, 9]


def test_more_members_than_partitions_leave_some_without() -> None:
    for assignor in ASSIGNORS:
        members = {key: {b"a"} for key in range(5)}
        assert sorted(counts_of(assign(assignor, members, {b"a": 3}, {})).values()) == [1, 1, 1]


def test_balance_goes_through_a_member_in_between() -> None:
    """The first can give the third nothing, but the second can when it gets something."""
    members = {1: {b"a"}, 2: {b"a", b"b"}, 3: {b"b"}}
    before = {**{(b"a", n): 1 for n in range(3)}, **{(b"b", n): 2 for n in range(2)}}
    before[b"a", 3] = 1
    after = assign("sticky", members, {b"a": 4, b"b": 2}, before)
    assert oracle.loads(after, members) == [2, 2, 2]


@pytest.mark.parametrize("assignor", ASSIGNORS)
def test_topics_that_nobody_reads_and_groups_without_members_have_no_assignment(
    assignor: str,
) -> None:
    assert assign(assignor, {1: {b"a"}}, {b"a": 1, b"b": 4}, {}) == {(b"a", 0): 1}
    assert assign(assignor, {1: set()}, {b"a": 1}, {(b"a", 0): 1}) == {}
    assert assign(assignor, {}, {b"a": 1}, {(b"a", 0): 1}) == {}


subscriptions = st.dictionaries(
    st.integers(1, 6), st.sets(st.sampled_from(TOPICS)), min_size=1, max_size=4
)
counts = st.fixed_dictionaries({topic: st.integers(0, 4) for topic in TOPICS})
befores = st.dictionaries(
    st.tuples(st.sampled_from([*TOPICS, b"gone"]), st.integers(0, 5)), st.integers(1, 8)
)


@given(st.sampled_from(ASSIGNORS), subscriptions, counts, befores)
def test_every_partition_has_one_reader_that_is_subscribed(
    assignor: str,
    members: dict[int, set[bytes]],
    topics: dict[bytes, int],
    before: dict[tuple[bytes, int], int],
) -> None:
    assignment = assign(assignor, members, topics, before)
    assert assignment.keys() == oracle.partitions_of(topics, members)
    assert all(topic in members[member] for (topic, _), member in assignment.items())


@given(st.sampled_from(["sticky", "uniform"]), subscriptions, counts, befores)
def test_no_assignment_is_fairer(
    assignor: str,
    members: dict[int, set[bytes]],
    topics: dict[bytes, int],
    before: dict[tuple[bytes, int], int],
) -> None:
    assignment = assign(assignor, members, topics, before)
    partitions = oracle.partitions_of(topics, members)
    assert oracle.loads(assignment, members) == oracle.fairest(members, partitions)


@given(st.sets(st.integers(1, 6), min_size=1, max_size=4), counts, befores)
def test_sticky_takes_no_more_from_members_that_live_than_balance_asks_for(
    numbers: set[int], topics: dict[bytes, int], before: dict[tuple[bytes, int], int]
) -> None:
    members = {key: set(TOPICS) for key in numbers}
    assignment = assign("sticky", members, topics, before)
    partitions = oracle.partitions_of(topics, members)
    taken = sum(
        assignment[partition] != before[partition]
        for partition in partitions
        if before.get(partition) in members
    )
    assert taken == oracle.fewest_moves(members, partitions, before)


@given(subscriptions, counts, befores)
def test_sticky_moves_nothing_when_it_is_asked_again(
    members: dict[int, set[bytes]],
    topics: dict[bytes, int],
    before: dict[tuple[bytes, int], int],
) -> None:
    once = assign("sticky", members, topics, before)
    assert assign("sticky", members, topics, once) == once


@given(st.sets(st.integers(1, 6), min_size=1, max_size=4), st.integers(0, 9))
def test_range_is_contiguous_and_in_the_order_of_members(numbers: set[int], count: int) -> None:
    members = {key: {b"a"} for key in numbers}
    assignment = assign("range", members, {b"a": count}, {})
    readers = [assignment[b"a", number] for number in range(count)]
    assert readers == sorted(readers)
    have = [readers.count(member) for member in sorted(numbers)]
    assert have == sorted(have, reverse=True)
    assert max(have) - min(have) <= 1
