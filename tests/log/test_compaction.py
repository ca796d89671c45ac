"""Topics that keep the last record of each key: what stays, who is refused, and who reads on."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import pystream as ps
from pystream import TopicPartition, config, errors
from pystream.log.retention import apply_retention
from pystream.log.verify import verify_log
from tests.oracle.compaction import CompactedModel, Stored, table

PLACE = TopicPartition("users", 0)
HOUR_US = 3_600 * 10**6
COLUMNS = {"user": "string", "n": "int64", "note": "string"}


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ps.Log]:
    """A log with a compacted topic of small segments."""
    monkeypatch.setattr(config, "SEGMENT_BYTES_MIN", 4096)
    with ps.open(tmp_path / "log") as opened:
        opened.create_topic(
            "users", COLUMNS, key="user", cleanup_policy="compact", segment_bytes=16 * 1024
        )
        yield opened


def seal(log: ps.Log, topic: str = "users") -> None:
    """Let the next record begin a segment."""
    log.topic(topic).native_partition(0).end_segment()


def send(log: ps.Log, *rows: tuple[str, int | None]) -> None:
    with log.producer(acks="published") as producer:
        producer.send_batch("users", [{"user": user, "n": n} for user, n in rows])


def found(log: ps.Log, **settings: str) -> list[tuple[int, str, int | None]]:
    settings = {"auto_offset_reset": "earliest", "timeout": "0s"} | settings
    with log.consumer("users", **settings) as consumer:  # type: ignore[arg-type]
        return [(record.offset, record["user"], record["n"]) for record in consumer]


def test_the_last_record_of_each_key_stays_at_its_offset(log: ps.Log) -> None:
    send(log, ("ann", 1), ("bob", 2), ("ann", 3), ("eve", 4), ("bob", 5))
    seal(log)
    send(log, ("ann", 6))
    (done,) = log.apply_retention("users")
    assert (done.compacted_records, done.removed_records) == (2, 0)
    assert found(log) == [(2, "ann", 3), (3, "eve", 4), (4, "bob", 5), (5, "ann", 6)]
    assert log.topic("users").ends() == [ps.PartitionEnds(0, 6)]
    seal(log)
    send(log, ("x", 0))
    log.apply_retention()
    assert found(log) == [(3, "eve", 4), (4, "bob", 5), (5, "ann", 6), (6, "x", 0)]
    log.close()
    assert verify_log(log.directory).is_clean


def test_a_row_of_nulls_deletes_its_key_and_goes_itself_later(log: ps.Log) -> None:
    send(log, ("ann", 1), ("bob", 2))
    send(log, ("ann", None))
    seal(log)
    send(log, ("x", 0))
    now = time.time_ns() // 1000
    apply_retention(log, now_us=now)
    assert found(log) == [(1, "bob", 2), (2, "ann", None), (3, "x", 0)]
    apply_retention(log, now_us=now + 24 * HOUR_US - 1)
    assert len(found(log)) == 3
    apply_retention(log, now_us=now + 24 * HOUR_US)
    assert found(log) == [(1, "bob", 2), (3, "x", 0)]


def test_a_row_with_any_value_deletes_nothing(log: ps.Log) -> None:
    with log.producer() as producer:
        producer.send("users", {"user": "ann", "note": "left"})
    seal(log)
    send(log, ("x", 0))
    now = time.time_ns() // 1000
    apply_retention(log, now_us=now)
    apply_retention(log, now_us=now + 48 * HOUR_US)
    assert found(log) == [(0, "ann", None), (1, "x", 0)]


def test_without_a_schema_a_record_without_a_value_deletes(log: ps.Log) -> None:
    log.create_topic("plain", cleanup_policy="compact", delete_retention="1h")
    with log.producer() as producer:
        for key, value in [(b"a", b"1"), (b"b", b"2"), (b"a", None), (b"", b"3"), (b"", b"4")]:
            producer.send("plain", value, key=key, headers=[("h", key)])
    seal(log, "plain")
    with log.producer() as producer:
        producer.send("plain", b"x", key=b"x")
    now = time.time_ns() // 1000
    apply_retention(log, "plain", now_us=now)
    apply_retention(log, "plain", now_us=now + HOUR_US)
    with log.consumer("plain", auto_offset_reset="earliest", timeout="0s") as consumer:
        read = [(its.offset, its.key, its.value, its.headers) for its in consumer]
    assert read == [
        (1, b"b", b"2", [("h", b"b")]),
        (4, b"", b"4", [("h", b"")]),
        (5, b"x", b"x", []),
    ]


def test_a_record_without_a_key_is_refused_and_nothing_is_stored(log: ps.Log) -> None:
    log.create_topic("plain", cleanup_policy="compact")
    with log.producer() as producer:
        with pytest.raises(errors.SchemaError, match=r"'plain' is compacted.* no key"):
            producer.send("plain", b"value")
        with pytest.raises(errors.SchemaError, match=r"'users' is compacted.* no key"):
            producer.send("users", {"n": 1})
        with pytest.raises(errors.SchemaError, match="row 1 has no key: column 'user' is null"):
            producer.send_batch("users", {"user": ["ann", None], "n": [1, 2], "note": ["", ""]})
        with pytest.raises(errors.SchemaError, match="row 0 has no key"):
            producer.send_batch("users", [{"n": 1}])
    assert log.topic("plain").ends() == log.topic("users").ends() == [ps.PartitionEnds(0, 0)]


def test_a_producer_notices_that_its_topic_is_compacted_from_now_on(log: ps.Log) -> None:
    log.create_topic("plain")
    with log.producer() as producer:
        producer.send("plain", b"before").result()
        log.alter_topic("plain", cleanup_policy="compact")
        with pytest.raises(errors.SchemaError, match="is compacted"):
            producer.send_batch("plain", {"key": [None], "value": [b"after"]})


def test_settings_that_cannot_be_are_refused(log: ps.Log) -> None:
    for settings, message in [
        ({"cleanup_policy": "keep"}, 'Pass one of "delete", "compact", "compact,delete"'),
        ({"cleanup_policy": "compact"}, "has no key"),
        ({"min_cleanable_ratio": 1.5}, "min_cleanable_ratio is 1.5"),
        ({"delete_retention": "-1s"}, "delete_retention is -1s"),
        ({"min_compaction_lag": 5}, "min_compaction_lag is 5"),
    ]:
        with pytest.raises(errors.ConfigError, match=message):
            log.create_topic("other", {"n": "int64"}, **settings)  # type: ignore[arg-type]
    log.create_topic("keyless", {"n": "int64"})
    with pytest.raises(errors.ConfigError, match="'keyless' has no key"):
        log.alter_topic("keyless", cleanup_policy="compact,delete")
    topic = log.alter_topic("users", min_compaction_lag="1h", delete_retention="2d")
    assert (topic.cleanup_policy, topic.min_cleanable_ratio) == ("compact", 0.5)
    assert (topic.min_compaction_lag.seconds, topic.delete_retention.days) == (3600, 2)


def test_young_records_stay_for_the_lag(log: ps.Log) -> None:
    log.alter_topic("users", min_compaction_lag="1h")
    send(log, ("ann", 1), ("ann", 2))
    seal(log)
    send(log, ("x", 0))
    now = time.time_ns() // 1000
    assert apply_retention(log, now_us=now)[0].compacted_records == 0
    assert apply_retention(log, now_us=now + 2 * HOUR_US)[0].compacted_records == 1


def test_old_records_go_too_where_the_policy_says_both(log: ps.Log) -> None:
    send(log, ("ann", 1), ("ann", 2), ("bob", 3))
    seal(log)
    send(log, ("x", 0))
    now = time.time_ns() // 1000
    log.alter_topic("users", retention="1d")
    assert apply_retention(log, now_us=now + 48 * HOUR_US)[0].removed_records == 0
    assert len(found(log)) == 3
    log.alter_topic("users", cleanup_policy="compact,delete")
    assert apply_retention(log, now_us=now + 48 * HOUR_US)[0].removed_records == 4
    assert found(log) == []


def test_a_batch_with_gaps_knows_its_offsets(log: ps.Log) -> None:
    send(log, ("a", 0), ("b", 1), ("c", 2), ("b", 3), ("d", 4), ("a", 5))
    seal(log)
    send(log, ("x", 0))
    log.apply_retention()
    with log.consumer("users", auto_offset_reset="earliest", timeout="0s") as consumer:
        batch = next(iter(consumer.batches()))
        assert (batch.base_offset, batch.next_offset, len(batch)) == (2, 6, 4)
        assert batch.offsets.tolist() == [2, 3, 4, 5]
    seal(log)
    send(log, ("c", 9), ("d", 9))
    seal(log)
    send(log, ("y", 0))
    log.apply_retention()
    with log.consumer("users", auto_offset_reset="earliest", timeout="0s") as consumer:
        batch = next(iter(consumer.batches()))
        assert (batch.base_offset, batch.next_offset, len(batch)) == (3, 6, 2)
        assert batch.has_gaps
        assert batch.offsets.tolist() == [3, 5]
        part = batch.slice(1, 1)
        assert (part.base_offset, part.next_offset, part.offsets.tolist()) == (5, 6, [5])
        assert batch.slice(2, 0).base_offset == batch.slice(2, 0).next_offset == 6
        assert "offsets 3 to 5" in repr(batch)
        consumer.seek(PLACE, 4)
        assert [its.offset for its in consumer.poll()[PLACE]] == [5, 6, 7, 8, 9]
        consumer.seek(PLACE, 0)
        assert [its.offset for its in consumer.poll(max_records=1)[PLACE]] == [3]
        assert consumer.position(PLACE) == 5
        consumer.seek(PLACE, 0)
        one_by_one = iter(consumer)
        assert (next(one_by_one).offset, consumer.position(PLACE)) == (3, 4)
        assert (next(one_by_one).offset, consumer.position(PLACE)) == (5, 6)
        assert consumer.offsets_for_times({PLACE: 0})[PLACE].offset == 3


def test_pipelines_go_over_gaps(log: ps.Log) -> None:
    send(log, ("a", 0), ("b", 1), ("c", 2), ("b", 3), ("d", 4))
    seal(log)
    send(log, ("x", 9))
    log.apply_retention()
    seal(log)
    send(log, ("c", 10), ("y", 11))
    seal(log)
    send(log, ("z", 12))
    log.apply_retention()
    kept = [0, 3, 4, 9, 10, 11, 12]
    for start, wanted in [("earliest", kept), ([2], kept[1:]), ([4], kept[2:])]:
        env = ps.Environment(log)
        rows = env.from_topic("users", start=start, bounded=True).to_pandas()
        assert rows["n"].tolist() == wanted


def test_a_follower_goes_on_while_segments_are_replaced(log: ps.Log) -> None:
    sent: list[tuple[str, int | None]] = []
    with log.consumer("users", auto_offset_reset="earliest", timeout="0s") as consumer:
        read: list[tuple[str | None, int | None]] = []
        for step in range(30):
            rows = [(f"user {n % 9}", None if n % 5 == 0 else n) for n in range(step, step + 12)]
            sent += rows
            send(log, *rows)
            seal(log)
            if step % 3 == 0:
                log.apply_retention()
            read += [(its["user"], its["n"]) for its in consumer]
    assert table(read) == table(sent)
    assert table((user, n) for _, user, n in found(log)) == table(sent)


def test_damage_stops_compaction_and_is_named(log: ps.Log) -> None:
    for n in range(3):
        send(log, ("ann", n))
        seal(log)
    send(log, ("x", 0))
    path = sorted(Path(log.directory).glob("topics/*/0/*.seg"))[1]
    log.close()
    data = bytearray(path.read_bytes())
    data[8192 + 40] ^= 1
    path.write_bytes(data)
    with (
        ps.open(log.directory) as opened,
        pytest.raises(errors.CorruptRecordError, match="users-0 cannot be compacted"),
    ):
        opened.apply_retention()


def test_a_killed_compaction_is_a_note_and_its_file_goes_with_the_next(log: ps.Log) -> None:
    send(log, ("ann", 1), ("ann", 2))
    seal(log)
    send(log, ("x", 0))
    left = next(Path(log.directory).glob("topics/*/0")) / "compaction.new"
    left.write_bytes(b"half of a segment")
    report = verify_log(log.directory)
    assert report.is_clean
    assert [its.kind for its in report.findings] == ["unfinished-compaction"]
    log.apply_retention()
    assert not left.exists()


class Pair:
    """A topic and its model."""

    def __init__(self, log: ps.Log, choose: random.Random) -> None:
        self.log = log
        self.choose = choose
        self.model = CompactedModel([])
        self.partition = log.topic("users").native_partition(0)
        self.producer = log.producer(transactional_id="p", linger="0s")
        self.plain = log.producer(acks="published")
        self.transaction: int | None = None
        self.transactions = 0
        self.now = time.time_ns() // 1000

    def step(self) -> None:
        getattr(self, self.choose.choice(["append", "append", "begin", "end", "seal", "compact"]))()

    def append(self) -> None:
        choose = self.choose
        is_inside = self.transaction is not None and choose.random() < 0.5
        keys = [f"user {choose.randrange(8)}" for _ in range(choose.randint(1, 5))]
        values = [None if choose.random() < 0.2 else choose.randrange(1000) for _ in keys]
        end = self.partition.ends().log_end_offset
        producer = self.producer if is_inside else self.plain
        rows = [{"user": key, "n": n} for key, n in zip(keys, values, strict=True)]
        producer.send_batch("users", rows)
        self.model.records += [
            Stored(end + i, key, n, self.transaction if is_inside else None)
            for i, (key, n) in enumerate(zip(keys, values, strict=True))
        ]

    def begin(self) -> None:
        if self.transaction is None:
            self.producer.begin_transaction()
            self.transaction = self.transactions = self.transactions + 1

    def end(self) -> None:
        if self.transaction is None:
            return
        is_commit = self.choose.random() < 0.6
        if is_commit:
            self.producer.commit_transaction()
        else:
            self.producer.abort_transaction()
        self.model.is_committed[self.transaction] = is_commit
        self.transaction = None

    def seal(self) -> None:
        self.partition.end_segment()

    def compact(self) -> None:
        self.now += self.choose.randrange(20) * HOUR_US
        stable = self.partition.last_stable_offset()
        horizon = 0
        for segment in self.partition.segment_facts():
            if segment.is_active or segment.end_offset > stable:
                break
            horizon = segment.end_offset
        apply_retention(self.log, now_us=self.now)
        self.model.compact(horizon, now=self.now, delete_retention=24 * HOUR_US)
        wanted = [(its.offset, its.key, its.value) for its in self.model.visible(stable)]
        assert found(self.log) == wanted


@pytest.mark.parametrize("seed", range(6))
def test_random_lives_are_what_the_model_says(log: ps.Log, seed: int) -> None:
    pair = Pair(log, random.Random(seed))
    for _ in range(60):
        pair.step()
    pair.end()
    pair.seal()
    pair.append()
    pair.compact()
    pair.producer.close()
    pair.plain.close()
    log.close()
    assert verify_log(log.directory).is_clean


def test_keys_of_several_columns_and_numbers_are_whole_keys(log: ps.Log) -> None:
    log.create_topic(
        "pairs", {"a": "float64", "b": "string", "n": "int64"}, ["a", "b"], cleanup_policy="compact"
    )
    with log.producer() as producer:
        producer.send_batch(
            "pairs",
            [
                {"a": 0.0, "b": "x", "n": 1},
                {"a": -0.0, "b": "x", "n": 2},
                {"a": None, "b": "x", "n": 3},
                {"a": 0.0, "b": None, "n": 4},
                {"a": None, "b": "x", "n": 5},
                {"a": np.nan, "b": "", "n": 6},
                {"a": np.nan, "b": "", "n": 7},
            ],
        )
    seal(log, "pairs")
    with log.producer() as producer:
        producer.send("pairs", {"a": 1.0, "b": "x", "n": 0})
    log.apply_retention("pairs")
    with log.consumer("pairs", auto_offset_reset="earliest", timeout="0s") as consumer:
        assert [record["n"] for record in consumer] == [2, 4, 5, 7, 0]
