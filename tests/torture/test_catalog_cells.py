"""Rows of the catalog with random cells, and that the harness notices what goes wrong with them."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from pystream.log.catalog.rows import DamagedRow
from tests.oracle import catalog_rows as oracle
from tests.torture import catalog_cells
from tests.torture.catalog_cells import Kind, Wrong, check, damaged, go_through, kinds_in
from tests.torture.catalog_log import build

SEEDS = range(1, 4)
PARTS = ("topics", "group_members", "transactions")


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> list[Kind]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pystream.config.SEGMENT_BYTES_MIN", 4096)
        directory, _ = build(tmp_path_factory.mktemp("log"))
        return kinds_in(directory / "catalog.db")


@pytest.mark.filterwarnings("ignore:Possible nested set", "ignore:Flags not")
@pytest.mark.parametrize("seed", SEEDS)
def test_a_row_is_refused_where_it_is_damaged_and_only_there(
    kinds: list[Kind], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pystream.config.SEGMENT_BYTES_MIN", 4096)
    go_through(kinds, seed)


def test_there_are_sound_rows_of_every_table_and_they_are_read(
    kinds: list[Kind], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pystream.config.SEGMENT_BYTES_MIN", 4096)
    assert {kind.name for kind in kinds} == {"topics", *oracle.IS_SOUND}
    for kind in kinds:
        assert kind.rows, kind.name
        for row in kind.rows:
            assert kind.is_sound(dict(zip(kind.columns, row, strict=True))), row
            check(kind, row)


@pytest.mark.parametrize("name", PARTS)
def test_many_rows_stay_sound_and_many_do_not(
    kinds: list[Kind], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pystream.config.SEGMENT_BYTES_MIN", 4096)
    (kind,) = (it for it in kinds if it.name == name)
    choose, others = random.Random(1), kind.others()
    rows = [damaged(kind, others, choose) for _ in range(2000)]
    says = Counter(kind.is_sound(dict(zip(kind.columns, row, strict=True))) for row in rows)
    assert says[True] > 100
    assert says[False] > 100
    changed = {
        at for row in rows for at in range(len(row)) if all(row[at] != r[at] for r in kind.rows)
    }
    assert changed == set(range(len(kind.columns)))


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("defect", ["accepts all", "refuses some", "another error", "forgets"])
def test_a_reader_that_is_wrong_is_noticed(kinds: list[Kind], name: str, defect: str) -> None:
    (kind,) = (it for it in kinds if it.name == name)
    row = kind.rows[0]
    is_sound = defect != "accepts all"

    def read(found: object) -> object:
        if defect == "refuses some":
            raise DamagedRow(name, "1", "it is not liked")
        if defect == "another error":
            raise KeyError(name)
        return found if defect == "accepts all" or found is row else None

    wrong = kind._replace(
        read=read,
        written=lambda found: found if defect == "accepts all" else (),
        is_sound=lambda _: is_sound,
        rows=[row],
    )
    expected = KeyError if defect == "another error" else Wrong
    with pytest.raises(expected):
        check(wrong, row)
    if defect == "another error":
        with pytest.raises(Wrong, match=rf"(?s)seed 7, a row of {name}: .*KeyError"):
            go_through([wrong], 7, 1)


@pytest.mark.parametrize("says", [[], [DamagedRow("topics", "1", "it is not liked")]])
def test_a_verify_that_is_wrong_is_noticed(
    kinds: list[Kind], says: list[DamagedRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pystream.config.SEGMENT_BYTES_MIN", 4096)
    monkeypatch.setattr(catalog_cells, "topic_damages", lambda row: says)
    (kind,) = (it for it in kinds if it.name == "topics")
    cells = dict(zip(kind.columns, kind.rows[0], strict=True))
    newer = cells | {"configs": '{"newer": 1}'}
    damaged_too = newer | {"key_columns": "{}"}
    rows = [cells, newer] if says else [cells | {"configs": None}, damaged_too]
    for row in rows:
        with pytest.raises(Wrong, match="verify says"):
            check(kind, tuple(row.values()))


def test_settings_of_a_newer_pystream_are_no_damage(
    kinds: list[Kind], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pystream.config.SEGMENT_BYTES_MIN", 4096)
    (kind,) = (it for it in kinds if it.name == "topics")
    row = (*kind.rows[0][:6], '{"newer": 1}', *kind.rows[0][7:])
    check(kind, row)

    def refuse(_row: object) -> None:
        raise DamagedRow("topics", "1", "it is not liked")

    with pytest.raises(Wrong, match="it is refused"):
        check(kind._replace(read=refuse), row)
