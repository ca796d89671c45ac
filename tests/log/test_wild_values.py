"""Whatever is passed to whatever parameter, only errors of pystream come of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import pystream as ps
from pystream.errors import StreamError
from tests.log.wild_values import PLACE, VALUES

NEXT = object()  # the sequence id behind the last one
# None waits for ever, and what can be called is called.
NOT_WILD = {
    ("batches", "timeout"): {"None"},
    **{("subscribe", name): {"function", "type"} for name in ("on_assign", "on_revoke", "on_lost")},
}


class Call(NamedTuple):
    """A method, and what is right for its parameters; each is replaced in turn."""

    make: Callable[..., object]
    right: dict[str, Any]


class Client(NamedTuple):
    """What methods are called on."""

    log: ps.Log
    producer: ps.Producer
    payer: ps.Producer
    consumer: ps.Consumer
    place: Path


TOPIC = {
    "schema": {"n": "int64", "user": "string"},
    "key": "user",
    "partitions": 1,
    "exist_ok": True,
    "compression": "lz4",
    "segment_bytes": "1MiB",
    "timestamp_type": "create_time",
    "retention": "1d",
    "retention_bytes": "1GiB",
    "cleanup_policy": "delete",
    "delete_retention": "1d",
    "min_compaction_lag": "1s",
    "min_cleanable_ratio": 0.5,
    "replication_factor": 1,
}


def _consume(its: Client, **settings: Any) -> None:
    topics = settings.pop("topics")
    with its.log.consumer(*topics if isinstance(topics, tuple) else (topics,), **settings) as c:
        c.poll()


def _subscribe(its: Client, **settings: Any) -> None:
    with its.log.consumer(group_id="others") as consumer:
        consumer.subscribe(**settings)
        consumer.poll()


def _in_transaction(its: Client, **settings: Any) -> None:
    its.payer.begin_transaction()
    try:
        its.payer.send_offsets_to_transaction(**settings)
    finally:
        its.payer.abort_transaction()


def _ends_of_transaction(its: Client, name: str, **settings: Any) -> None:
    its.payer.begin_transaction()
    try:
        getattr(its.payer, name)(**settings)
    finally:
        with contextlib.suppress(StreamError):
            its.payer.abort_transaction()


def _numbered(its: Client, sequence_id: Any, topic: Any = "lines") -> None:
    with its.log.producer(producer_name="loader") as producer:
        last = producer.last_sequence_id(topic)
        if sequence_id is NEXT:
            sequence_id = last + 1
        producer.send("lines", b"x", sequence_id=sequence_id).result(timeout="10s")


CALLS: dict[str, Call] = {
    "create_topic": Call(lambda its, **k: its.log.create_topic(**k), {"name": "new"} | TOPIC),
    "create_topics": Call(lambda its, **k: its.log.create_topics(**k), {"names": ["new"]} | TOPIC),
    "alter_topic": Call(
        lambda its, **k: its.log.alter_topic(**k),
        {"name": "clicks"}
        | {k: v for k, v in TOPIC.items() if k not in ("exist_ok", "replication_factor")},
    ),
    "alter_topic by columns": Call(
        lambda its, **k: its.log.alter_topic("clicks", **k), {"add_columns": {"z": "int64"}}
    ),
    "delete_topic": Call(lambda its, **k: its.log.delete_topic(**k), {"name": "spare"}),
    "topic": Call(lambda its, **k: its.log.topic(**k), {"name": "clicks"}),
    "delete_records": Call(lambda its, **k: its.log.delete_records(**k), {"offsets": {PLACE: 0}}),
    "delete_records to": Call(lambda its, at: its.log.delete_records({PLACE: at}), {"at": 0}),
    "apply_retention": Call(lambda its, **k: its.log.apply_retention(**k), {"topics": "clicks"}),
    "backup": Call(
        lambda its, directory: its.log.backup(
            its.place / directory if isinstance(directory, str) else directory
        ),
        {"directory": "x"},
    ),
    "describe_group": Call(lambda its, **k: its.log.describe_group(**k), {"group_id": "g"}),
    "delete_group": Call(lambda its, **k: its.log.delete_group(**k), {"group_id": "spare"}),
    "reset_offsets to": Call(
        lambda its, **k: its.log.reset_offsets(**k),
        {"group_id": "away", "to": "earliest", "topics": "clicks"},
    ),
    "reset_offsets by": Call(
        lambda its, **k: its.log.reset_offsets(**k), {"group_id": "away", "shift_by": 1}
    ),
    "reset_offsets at": Call(
        lambda its, **k: its.log.reset_offsets(**k), {"group_id": "away", "offsets": {PLACE: 0}}
    ),
    "describe_transaction": Call(
        lambda its, **k: its.log.describe_transaction(**k), {"transaction": "payer"}
    ),
    "abort_transaction from outside": Call(
        lambda its, **k: its.log.abort_transaction(**k), {"transaction": "payer"}
    ),
    "producer": Call(
        lambda its, **k: its.log.producer(**k).close(),
        {
            "producer_name": "p",
            "acks": "interval",
            "batch_size": "16KiB",
            "linger": "1ms",
            "compression": "lz4",
            "buffer_memory": "1MiB",
            "max_block": "1s",
            "max_record_bytes": "1MiB",
        },
    ),
    "producer of transactions": Call(
        lambda its, **k: its.log.producer(**k).close(),
        {"transactional_id": "t", "transaction_timeout": "1m"},
    ),
    "consumer": Call(
        _consume,
        {
            "topics": "clicks",
            "group_id": "g2",
            "group_instance_id": "one",
            "partition_assignment_strategy": "range",
            "enable_auto_commit": False,
            "auto_commit_interval": "1s",
            "session_timeout": "0s",
            "max_poll_interval": "1m",
            "auto_offset_reset": "earliest",
            "isolation_level": "read_committed",
            "timeout": "0s",
            "max_poll_records": 5,
            "on_corruption": "raise",
        },
    ),
    "send": Call(
        lambda its, **k: its.producer.send(**k).result(),
        {
            "topic": "clicks",
            "value": {"n": 1, "user": "ann"},
            "partition": 0,
            "timestamp": 1,
        },
    ),
    "send a column": Call(
        lambda its, n: its.producer.send("clicks", {"n": n, "user": "ann"}).result(), {"n": 1}
    ),
    "send a text column": Call(
        lambda its, user: its.producer.send("clicks", {"n": 1, "user": user}).result(),
        {"user": "ann"},
    ),
    "send bytes": Call(
        lambda its, **k: its.producer.send("lines", **k).result(),
        {"value": b"v", "key": b"k", "headers": [("a", b"b")], "partition": 0, "timestamp": 1},
    ),
    "send a header": Call(
        lambda its, name, value: its.producer.send("lines", headers=[(name, value)]).result(),
        {"name": "a", "value": b"b"},
    ),
    "send_batch": Call(
        lambda its, **k: its.producer.send_batch(**k),
        {
            "topic": "clicks",
            "table": {"n": [1], "user": ["ann"]},
            "partition": 0,
            "timestamp": 1,
        },
    ),
    "send_batch of columns": Call(
        lambda its, n, user: its.producer.send_batch("clicks", {"n": n, "user": user}),
        {"n": [1], "user": ["ann"]},
    ),
    "send_batch of rows": Call(
        lambda its, row: its.producer.send_batch("clicks", [row]), {"row": {"n": 1, "user": "ann"}}
    ),
    "sequence_id": Call(_numbered, {"sequence_id": NEXT}),
    "last_sequence_id": Call(
        lambda its, **k: _numbered(its, sequence_id=NEXT, **k), {"topic": "lines"}
    ),
    "flush": Call(lambda its, **k: its.producer.flush(**k), {"timeout": "1s"}),
    "commit_transaction": Call(
        lambda its, **k: _ends_of_transaction(its, "commit_transaction", **k), {"timeout": "1s"}
    ),
    "abort_transaction": Call(
        lambda its, **k: _ends_of_transaction(its, "abort_transaction", **k), {"timeout": "1s"}
    ),
    "send_offsets_to_transaction": Call(_in_transaction, {"offsets": {PLACE: 1}, "group": "away"}),
    "send_offsets_to_transaction at": Call(
        lambda its, at: _in_transaction(its, offsets={PLACE: at}, group="away"), {"at": 1}
    ),
    "subscribe": Call(
        _subscribe,
        {"topics": "clicks", "on_assign": print, "on_revoke": print, "on_lost": print},
    ),
    "subscribe by pattern": Call(_subscribe, {"pattern": "cli.*"}),
    "assign": Call(lambda its, **k: its.consumer.assign(**k), {"partitions": [PLACE]}),
    "assign one": Call(
        lambda its, partition: its.consumer.assign([partition]), {"partition": PLACE}
    ),
    "assign a number": Call(
        lambda its, number: its.consumer.assign([("clicks", number)]), {"number": 0}
    ),
    "batches": Call(
        lambda its, **k: list(its.consumer.batches(**k)), {"timeout": "0s", "max_records": 5}
    ),
    "poll": Call(lambda its, **k: its.consumer.poll(**k), {"timeout": "0s", "max_records": 5}),
    "beginning_offsets": Call(
        lambda its, **k: its.consumer.beginning_offsets(**k), {"partitions": [PLACE]}
    ),
    "end_offsets": Call(lambda its, **k: its.consumer.end_offsets(**k), {"partitions": [PLACE]}),
    "commit": Call(lambda its, **k: its.consumer.commit(**k), {"offsets": {PLACE: 1}}),
    "commit at": Call(lambda its, at: its.consumer.commit({PLACE: at}), {"at": 1}),
    "committed": Call(lambda its, **k: its.consumer.committed(**k), {"partition": PLACE}),
    "offsets_for_times": Call(
        lambda its, **k: its.consumer.offsets_for_times(**k), {"times": {PLACE: 1}, "column": "n"}
    ),
    "offsets_for_times at": Call(
        lambda its, at: its.consumer.offsets_for_times({PLACE: at}), {"at": 1}
    ),
    "pause": Call(lambda its, partition: its.consumer.pause(partition), {"partition": PLACE}),
    "resume": Call(lambda its, partition: its.consumer.resume(partition), {"partition": PLACE}),
    "position": Call(lambda its, **k: its.consumer.position(**k), {"partition": PLACE}),
    "seek": Call(lambda its, **k: its.consumer.seek(**k), {"partition": PLACE, "offset": 0}),
    "seek_to_beginning": Call(
        lambda its, partition: its.consumer.seek_to_beginning(partition), {"partition": PLACE}
    ),
    "seek_to_end": Call(
        lambda its, partition: its.consumer.seek_to_end(partition), {"partition": PLACE}
    ),
    "seek_to_timestamp": Call(
        lambda its, time, partition, column: its.consumer.seek_to_timestamp(
            time, partition, column=column
        ),
        {"time": 1, "partition": PLACE, "column": "n"},
    ),
    "timeout": Call(lambda its, value: setattr(its.consumer, "timeout", value), {"value": "1s"}),
    "open": Call(
        lambda its, directory, **k: ps.open(
            its.place / directory if isinstance(directory, str) else directory, **k
        ).close(),
        {"directory": "x", "read_only": False, "lock_timeout": "1s"},
    ),
}


@pytest.fixture
def its(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.chdir(tmp_path)  # where a log or a backup lands whose name is a wild one
    with ps.open(tmp_path / "log") as log:
        log.create_topic("clicks", {"n": "int64", "user": "string"}, key="user", partitions=1)
        log.create_topic("lines")
        log.create_topic("spare")
        with (
            log.producer() as producer,
            log.producer(transactional_id="payer") as payer,
            log.consumer(group_id="g", auto_offset_reset="earliest") as consumer,
        ):
            producer.send_batch("clicks", {"n": [1, 2, 3], "user": ["a", "b", "c"]})
            consumer.assign([PLACE])
            with log.consumer(group_id="away") as away:
                away.assign([PLACE])
                away.commit({PLACE: 1})
            yield Client(log, producer, payer, consumer, tmp_path)


@pytest.mark.parametrize("name", CALLS)
def test_only_errors_of_pystream_come_of_wild_values(its: Client, name: str) -> None:
    call, right = CALLS[name]
    wrong = []
    for parameter in right:
        for shown, value in VALUES.items():
            if shown in NOT_WILD.get((name, parameter), ()):
                continue
            try:
                call(its, **right | {parameter: value})
            except StreamError as error:
                if not str(error).strip():
                    wrong.append(f"{parameter}={shown}: an error without a message")
            except Exception as error:
                wrong.append(f"{parameter}={shown}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", CALLS)
def test_what_is_right_is_right(its: Client, name: str) -> None:
    call, right = CALLS[name]
    with contextlib.suppress(ps.errors.UnknownTransactionError, ps.errors.UnknownGroupError):
        call(its, **right)
