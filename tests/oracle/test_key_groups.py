"""The rule of key groups gives what ``native/tests/state/key_groups_test.cpp`` expects."""

from __future__ import annotations

import doctest
import math

import pytest

from tests.oracle import key_groups
from tests.oracle.key_groups import Value, groups_of, key_group


def test_examples_hold() -> None:
    failed, attempted = doctest.testmod(key_groups)
    assert attempted >= 4
    assert failed == 0


@pytest.mark.parametrize(
    ("keys", "groups"),
    [
        ([(0,), (1,), (-1,), (42,), (None,)], [111, 30, 55, 4, 91]),
        ([("",), ("ann",), ("a longer key than eight",), (None,)], [111, 7, 10, 91]),
        ([(0.0,), (1.5,), (math.nan,)], [111, 62, 127]),
        ([("ann", 7), (7, "ann"), ()], [101, 124, 0]),
    ],
)
def test_groups_are_those_that_the_core_is_held_to(
    keys: list[tuple[Value, ...]], groups: list[int]
) -> None:
    assert [key_group(key) for key in keys] == groups


def test_instances_have_the_ranges_that_the_core_is_held_to() -> None:
    ranges = [groups_of(instance, 3, 128) for instance in range(3)]
    assert ranges == [list(range(43)), list(range(43, 86)), list(range(86, 128))]
