"""The mutations of ``ci/mutations`` still fit the sources that they mutate."""

from pathlib import Path

import pytest

from tests.mutations.rules import MUTATIONS, Edit

ROOT = Path(__file__).resolve().parents[2]
EDITS = [(mutation.name, edit) for mutation in MUTATIONS for edit in mutation.edits]


def test_names_are_unique():
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS) >= 12


@pytest.mark.parametrize(("name", "edit"), EDITS, ids=[name for name, _ in EDITS])
def test_text_to_replace_occurs_as_often_as_said(name: str, edit: Edit):
    assert (ROOT / edit.path).read_text().count(edit.old) == edit.times, name
    assert edit.new != edit.old
