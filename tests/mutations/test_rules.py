"""The mutations of ``ci/mutations`` still fit the sources that they mutate."""

from pathlib import Path

import pytest

from tests.mutations.groups import GROUPS
from tests.mutations.mutation import Edit

ROOT = Path(__file__).resolve().parents[2]
MUTATIONS = [mutation for group in GROUPS.values() for mutation in group.mutations]
EDITS = [(mutation.name, edit) for mutation in MUTATIONS for edit in mutation.edits]


def test_names_are_unique():
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)


@pytest.mark.parametrize("group", GROUPS)
def test_groups_break_many_rules_and_name_tests_that_are_there(group: str):
    assert len(GROUPS[group].mutations) >= 12
    assert all((ROOT / name).exists() for name in GROUPS[group].python_tests)


@pytest.mark.parametrize(("name", "edit"), EDITS, ids=[name for name, _ in EDITS])
def test_text_to_replace_occurs_as_often_as_said(name: str, edit: Edit):
    assert (ROOT / edit.path).read_text().count(edit.old) == edit.times, name
    assert edit.new != edit.old
