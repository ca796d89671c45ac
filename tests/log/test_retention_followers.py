"""The program that has readers follow a topic of which segments are removed, on a small scale."""

from __future__ import annotations

from pathlib import Path

from bench import retention

MIB = 1 << 20


def test_readers_that_follow_read_nothing_wrong(tmp_path: Path) -> None:
    said = retention.run(str(tmp_path / "log"), 48 * MIB, 8 * MIB, MIB, readers=4)
    assert [its.get("error") for its in said] == [None] * 6
    roles = {its["who"]: its for its in said}
    assert roles["writer"]["bytes"] == 48 * MIB
    assert roles["retention"]["segments"] >= 30
    for number in range(4):
        its = roles[f"reader {number}"]
        assert its["bytes"] + its["deleted_before"] * retention.ROW_BYTES == 48 * MIB
