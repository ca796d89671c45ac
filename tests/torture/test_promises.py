"""What the harnesses ask for can be broken: a verify that differs from the reader is noticed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import pystream as ps
from pystream.log.verify import verify_log
from tests.torture.promises import SCHEMA, check_verified, read, text_of, verified


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
