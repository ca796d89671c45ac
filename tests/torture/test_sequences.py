"""Random sequences of operations give what a plain model gives; so does a soak of processes."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pytest

import pystream as ps
from tests.log import transaction_sequences
from tests.torture import models, operations, sequences, soak
from tests.torture.operations import Operation, Pair
from tests.torture.sequences import run_sequences

SEQUENCES = 2_000
PARTS = 4


@pytest.mark.parametrize("part", range(PARTS))
def test_a_log_and_its_model_agree_after_every_operation(part: int) -> None:
    count = SEQUENCES // PARTS
    outcome = run_sequences(1 + part * count, count)
    assert outcome.failure is None, f"{outcome.repeat}\n{outcome.failure}"
    assert outcome.cases == count


def test_a_difference_is_told_and_its_sequence_shortened(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ends = ps.Topic.ends
    directories = (tmp_path / str(number) for number in itertools.count())

    def wrong_ends(topic: ps.Topic) -> list[object]:
        return [type(end)(end.start, min(end.end, 300)) for end in ends(topic)]

    def go(operations: list[Operation]) -> str | None:
        pair = Pair(next(directories))
        pair.open()
        try:
            for operation in operations:
                pair.do(operation)
        except AssertionError as error:
            return str(error)
        finally:
            pair.close()
        return None

    monkeypatch.setattr(ps.Topic, "ends", wrong_ends)
    monkeypatch.setattr(operations, "SMALL_SEGMENT_BYTES", 1 << 20)
    appends = [Operation("append", count=150) for _ in range(4)]
    steps = [Operation("create", count=1), Operation("names"), *appends, Operation("ends")]
    assert go(steps) == "found (0, 300), expected (0, 600)"
    short = sequences.shorten(steps, go)
    assert [operation.verb for operation in short] == ["create", *["append"] * 3, "ends"]


def test_of_sequences_that_go_together_the_wrong_one_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends = ps.Topic.ends

    def wrong_ends(topic: ps.Topic) -> list[object]:
        return [type(end)(end.start, min(end.end, 300)) for end in ends(topic)]

    monkeypatch.setattr(ps.Topic, "ends", wrong_ends)
    monkeypatch.setattr(operations, "SMALL_SEGMENT_BYTES", 1 << 20)
    appends = [Operation("append", count=150) for _ in range(3)]
    good = [Operation("create", count=1), *appends[:2], Operation("ends")]
    bad = [Operation("create", count=1), *appends, Operation("ends")]
    wrong = sequences.go_through_together([good, bad, good])
    assert list(wrong) == [1]
    assert "found (0, 300), expected (0, 450)" in wrong[1]


@pytest.mark.parametrize("kind", ["groups", "transactions", "flows"])
def test_groups_and_transactions_and_their_models_agree(kind: str) -> None:
    outcome = models.run_process(kind, 1000, 3.0)
    assert outcome.failure is None, f"{outcome.repeat}\n{outcome.failure}"
    assert outcome.cases > 0


def test_a_transaction_that_is_shown_too_early_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = ps.Log.consumer

    def hasty(log: ps.Log, *topics: str, **settings: Any) -> ps.Consumer:
        return consumer(log, *topics, **{**settings, "isolation_level": "read_uncommitted"})

    monkeypatch.setattr(ps.Log, "consumer", hasty)
    with pytest.raises(AssertionError):
        transaction_sequences.go_through(0)


def test_sequences_do_everything() -> None:
    drawn = [o.verb for seed in range(50) for o in operations.draw(random.Random(seed))]
    assert set(drawn) == set(operations.WEIGHTS)


def test_eight_processes_that_are_killed_at_random_agree() -> None:
    outcome = soak.run(1, 4)
    assert outcome.failure is None, f"{outcome.repeat}\n{outcome.failure}"


def test_a_follower_notices_what_is_lost_and_what_is_repeated(tmp_path: Path) -> None:
    with ps.open(tmp_path / "log") as log, log.producer() as producer:
        log.create_topic("events", soak.SCHEMA)
        for number in (5, 6, 8, 8):
            producer.send_batch("events", {"life": [1], "number": [number]})
        with log.consumer("events", auto_offset_reset="earliest") as consumer:
            batches = list(consumer.batches(timeout="0s"))
    follower = soak.Follower()
    follower.take(batches[0])
    follower.take(batches[1])
    with pytest.raises(AssertionError, match="8 came, 7 was next"):
        follower.take(batches[2])
    follower.next[1, 0] = 8
    follower.take(batches[2])
    with pytest.raises(AssertionError, match="8 came, 9 was next"):
        follower.take(batches[3])
