"""Transactions as a program sees them: what counts, when, and what calls out of order say."""

from __future__ import annotations

import numpy as np
import pytest

import pystream as ps
from pystream import config
from pystream.errors import (
    ClientError,
    ConfigError,
    FencedError,
    GroupNotEmptyError,
    InvalidTransactionStateError,
    OffsetOutOfRangeError,
    SchemaError,
    UnknownGroupError,
    UnknownTopicError,
)


@pytest.fixture
def log(tmp_path):
    with ps.open(tmp_path / "data") as log:
        log.create_topic("a", {"n": "int64"}, partitions=2)
        log.create_topic("b", {"n": "int64"})
        yield log


def values(log, topic, isolation_level="read_committed"):
    with log.consumer(
        topic, auto_offset_reset="earliest", isolation_level=isolation_level, timeout="0s"
    ) as consumer:
        return sorted(record["n"] for record in consumer)


def test_committed_records_of_all_partitions_appear_together(log):
    with log.producer(transactional_id="t") as producer:
        producer.begin_transaction()
        for n in range(6):
            producer.send("a", {"n": n}, partition=n % 2)
        producer.send_batch("b", {"n": np.arange(3)})
        producer.flush()
        assert values(log, "a") == []
        assert values(log, "b") == []
        assert values(log, "a", "read_uncommitted") == [0, 1, 2, 3, 4, 5]
        producer.commit_transaction()
        assert values(log, "a") == [0, 1, 2, 3, 4, 5]
        assert values(log, "b") == [0, 1, 2]


def test_aborted_records_never_appear(log):
    with log.producer(transactional_id="t", linger="0s") as producer:
        producer.begin_transaction()
        producer.send("b", {"n": 1}).result()
        producer.abort_transaction()
        with producer.transaction():
            producer.send("b", {"n": 2})
    assert values(log, "b") == [2]
    assert values(log, "b", "read_uncommitted") == [1, 2]


def test_an_exception_in_the_block_aborts_it_and_comes_out(log):
    with log.producer(transactional_id="t") as producer:
        with pytest.raises(ZeroDivisionError), producer.transaction():
            producer.send("b", {"n": 1 // 0 if producer.send("b", {"n": 1}) else 0})
        with producer.transaction():
            producer.send("b", {"n": 2})
    assert values(log, "b") == [2]


def test_commit_flushes_what_was_sent_first(log):
    with log.producer(transactional_id="t", linger="1h") as producer:
        producer.begin_transaction()
        delivery = producer.send("b", {"n": 1})
        producer.commit_transaction()
        assert delivery.result().offset == 0


def test_an_abort_fails_the_deliveries_of_what_was_not_appended(log):
    with log.producer(transactional_id="t", linger="1h") as producer:
        producer.begin_transaction()
        delivery = producer.send("b", {"n": 1})
        producer.abort_transaction()
        with pytest.raises(InvalidTransactionStateError):
            delivery.result()
    assert log.topic("b").ends()[0].end == 0


def test_markers_take_offsets_and_positions_step_over_them(log):
    partition = ps.TopicPartition("b", 0)
    with log.producer(transactional_id="t") as producer, log.producer() as plain:
        with producer.transaction():
            producer.send("b", {"n": 1})
        plain.send("b", {"n": 2}).result()
        producer.begin_transaction()
        producer.send("b", {"n": 3}).result()
        producer.abort_transaction()
    with log.consumer("b", auto_offset_reset="earliest") as consumer:
        offsets = [record.offset for record in consumer.poll()[partition]]
        assert offsets == [0, 2]
        assert consumer.poll() == {}
        assert consumer.position(partition) == 5 == consumer.end_offsets([partition])[partition]


def test_the_end_is_the_last_stable_offset_for_who_reads_what_is_committed(log):
    partition = ps.TopicPartition("b", 0)
    with log.producer(transactional_id="t") as producer, log.producer() as plain:
        plain.send("b", {"n": 1}).result()
        producer.begin_transaction()
        producer.send("b", {"n": 2}).result()
        plain.send("b", {"n": 3}).result()
        with (
            log.consumer("b") as consumer,
            log.consumer("b", isolation_level="read_uncommitted") as hasty,
        ):
            assert consumer.end_offsets([partition]) == {partition: 1}
            assert consumer.position(partition) == 1  # "latest"
            assert hasty.end_offsets([partition]) == {partition: 3}
            assert hasty.position(partition) == 3
            consumer.seek_to_beginning()
            assert [r["n"] for r in consumer.poll()[partition]] == [1]
            assert consumer.position(partition) == 1
            producer.commit_transaction()
            assert consumer.end_offsets([partition]) == {partition: 4}
            assert [r["n"] for r in consumer.poll()[partition]] == [2, 3]


def test_an_empty_transaction_writes_nothing(log):
    with log.producer(transactional_id="t") as producer:
        for _ in range(3):
            with producer.transaction():
                pass
    assert [ends.end for ends in log.topic("a").ends()] == [0, 0]
    assert log.transactions() == []


def test_closing_aborts_what_is_open(log):
    producer = log.producer(transactional_id="t")
    producer.begin_transaction()
    producer.send("b", {"n": 1}).result()
    producer.close()
    assert values(log, "b") == []
    assert log.topic("b").ends()[0].end == 2  # the record and the marker


# -- offsets of groups -----------------------------------------------------------------------------


def test_offsets_are_stored_with_the_transaction_and_not_without(log):
    with log.producer() as plain:
        plain.send("b", {"n": 1}).result()
    with (
        log.consumer(
            "b", group_id="g", auto_offset_reset="earliest", enable_auto_commit=False
        ) as consumer,
        log.producer(transactional_id="t") as producer,
    ):
        consumer.poll()
        partition = ps.TopicPartition("b", 0)
        producer.begin_transaction()
        producer.send_offsets_to_transaction({partition: 1}, consumer.consumer_group_metadata())
        assert consumer.committed(partition) is None
        producer.abort_transaction()
        assert consumer.committed(partition) is None
        with producer.transaction():
            producer.send("a", {"n": 9})
            producer.send_offsets_to_transaction({partition: 1}, consumer.consumer_group_metadata())
        assert consumer.committed(partition) == 1


def test_offsets_of_a_group_without_members_go_by_its_name(log):
    log.consumer("b", group_id="g").close()
    with log.producer(transactional_id="t") as producer, producer.transaction():
        producer.send_offsets_to_transaction({("b", 0): 0}, "g")
    assert log.describe_group("g").partitions["b", 0].committed == 0


def test_a_partition_that_is_anothers_by_now_fails_the_commit_and_all_of_it(log):
    with log.producer(transactional_id="t") as producer:
        first = log.consumer("b", group_id="g", auto_offset_reset="earliest")
        group = first.consumer_group_metadata()
        producer.begin_transaction()
        producer.send("a", {"n": 1}, partition=0)
        producer.send_offsets_to_transaction({("b", 0): 0}, group)
        first.close()
        second = log.consumer("b", group_id="g", auto_offset_reset="earliest")
        with pytest.raises(FencedError, match="does not own partition 0"):
            producer.commit_transaction()
        with pytest.raises(FencedError):
            producer.send("a", {"n": 1})
        producer.abort_transaction()
        assert values(log, "a") == []
        second.close()


def test_offsets_of_a_member_that_is_fenced_take_their_records_with_them(log):
    with log.producer(transactional_id="t") as producer:
        first = log.consumer("b", group_id="g", enable_auto_commit=False)
        group = first.consumer_group_metadata()
        first.close()
        second = log.consumer("b", group_id="g", enable_auto_commit=False)
        producer.begin_transaction()
        producer.send("a", {"n": 1}, partition=0)
        with pytest.raises(FencedError, match="does not own partition 0"):
            producer.send_offsets_to_transaction({("b", 0): 0}, group)
        for call in (producer.commit_transaction, lambda: producer.send("a", {"n": 1})):
            with pytest.raises(FencedError, match="does not own partition 0"):
                call()
        producer.abort_transaction()
        with producer.transaction():
            producer.send("a", {"n": 3}, partition=0)
        assert values(log, "a") == [3]
        assert second.committed(ps.TopicPartition("b", 0)) is None
        second.close()


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda p: p.init_transactions(),
        lambda p: p.begin_transaction(),
        lambda p: p.commit_transaction(),
        lambda p: p.abort_transaction(),
        lambda p: p.transaction(),
        lambda p: p.send_offsets_to_transaction({("b", 0): 0}, "g"),
    ],
)
def test_an_ordinary_producer_has_no_transactions(log, call):
    with log.producer() as producer, pytest.raises(ConfigError, match="transactional_id"):
        call(producer)


def test_calls_out_of_order_say_what_is_to_be_done_first(log):
    with log.producer(transactional_id="t") as producer:
        producer.init_transactions()
        for call in (
            lambda: producer.send("b", {"n": 1}),
            lambda: producer.send_batch("b", {"n": [1]}),
            producer.commit_transaction,
            producer.abort_transaction,
            lambda: producer.send_offsets_to_transaction({("b", 0): 0}, "g"),
        ):
            with pytest.raises(InvalidTransactionStateError, match="begin_transaction"):
                call()
        producer.begin_transaction()
        with pytest.raises(InvalidTransactionStateError, match="Commit or abort it first"):
            producer.begin_transaction()
        producer.send("b", {"n": 1})
        producer.commit_transaction()
        with pytest.raises(InvalidTransactionStateError, match="begin_transaction"):
            producer.commit_transaction()
    assert values(log, "b") == [1]


def test_a_name_and_a_transactional_id_exclude_each_other(log):
    with pytest.raises(ConfigError, match="not both"):
        log.producer(producer_name="x", transactional_id="x")
    with pytest.raises(ConfigError, match="transactional_id is ''"):
        log.producer(transactional_id="")
    with log.producer(transactional_id="t") as producer, producer.transaction():
        with pytest.raises(ConfigError, match="sequence_id"):
            producer.send("b", {"n": 1}, sequence_id=4)
        with pytest.raises(ConfigError, match="needs a producer with a name"):
            producer.last_sequence_id("b")


@pytest.mark.parametrize(
    ("offsets", "group", "error"),
    [
        ({("b", 0): 0}, "nobody", UnknownGroupError),
        ({("nothing", 0): 0}, "g", UnknownTopicError),
        ({("b", 0): 7}, "g", OffsetOutOfRangeError),
        ({("b", 0): 0}, "g", GroupNotEmptyError),
    ],
)
def test_offsets_that_cannot_be_let_the_transaction_end_in_an_abort_only(
    log, offsets, group, error
):
    with log.producer(transactional_id="t") as producer, log.consumer("b", group_id="g"):
        producer.begin_transaction()
        producer.send("b", {"n": 1})
        with pytest.raises(error) as refused:
            producer.send_offsets_to_transaction(offsets, group)
        for call in (
            producer.commit_transaction,
            lambda: producer.send("b", {"n": 2}),
            lambda: producer.send_batch("b", {"n": [2]}),
            lambda: producer.send_offsets_to_transaction(offsets, group),
        ):
            with pytest.raises(InvalidTransactionStateError, match="only be aborted") as raised:
                call()
            assert str(refused.value) in str(raised.value)
        producer.abort_transaction()
        with producer.transaction():
            producer.send("b", {"n": 3})
    assert values(log, "b") == [3]


def test_a_wrong_argument_of_offsets_leaves_the_transaction_as_it_was(log):
    log.consumer("b", group_id="g").close()
    with log.producer(transactional_id="t") as producer, producer.transaction():
        producer.send("b", {"n": 1})
        with pytest.raises(ConfigError, match="consumer_group_metadata"):
            producer.send_offsets_to_transaction({("b", 0): 0}, 5)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="whole number"):
            producer.send_offsets_to_transaction({("b", 0): "0"}, "g")  # type: ignore[dict-item]
    assert values(log, "b") == [1]


def test_a_record_that_send_refuses_leaves_the_transaction_as_it_was(log):
    with log.producer(transactional_id="t") as producer, producer.transaction():
        producer.send("b", {"n": 1})
        with pytest.raises(SchemaError):
            producer.send("b", {"n": "one"})
        with pytest.raises(SchemaError):
            producer.send_batch("b", {"n": ["one"]})
    assert values(log, "b") == [1]


@pytest.mark.parametrize(
    "send",
    [
        lambda producer: producer.send("b", {"n": 7}).result(),
        lambda producer: producer.send_batch("b", {"n": [7]}),
    ],
)
def test_a_transaction_writes_to_so_many_partitions_and_no_more(log, monkeypatch, send):
    monkeypatch.setattr(config, "TRANSACTION_PARTITIONS_MAX", 2)
    with log.producer(transactional_id="t", linger="0s") as producer:
        with producer.transaction():  # as many as may be
            for number in (0, 1, 0):
                producer.send("a", {"n": number}, partition=number).result()
        producer.begin_transaction()
        producer.send("a", {"n": 5}, partition=0).result()
        producer.send_batch("a", {"n": [6]}, partition=1)
        with pytest.raises(ClientError, match="at most 2 partitions"):
            send(producer)
        with pytest.raises(InvalidTransactionStateError, match="at most 2 partitions"):
            producer.commit_transaction()
        producer.abort_transaction()
        with producer.transaction():
            producer.send("b", {"n": 8})
    assert (values(log, "a"), values(log, "b")) == ([0, 0, 1], [8])


def test_a_newer_producer_of_the_id_fences_and_aborts(log):
    old = log.producer(transactional_id="t")
    old.begin_transaction()
    old.send("b", {"n": 1}).result()
    new = log.producer(transactional_id="t")
    assert values(log, "b") == []
    with pytest.raises(FencedError, match="has taken the transactional_id"):
        old.commit_transaction()
    with pytest.raises(FencedError):
        old.send("b", {"n": 2})
    with new.transaction():
        new.send("b", {"n": 3})
    with pytest.raises(FencedError):
        old.abort_transaction()
    with pytest.raises(FencedError), old.transaction():
        old.send("b", {"n": 4})
    old.close()
    new.close()
    assert values(log, "b") == [3]


def test_a_fenced_producer_appends_nothing(log):
    old = log.producer(transactional_id="t")
    old.begin_transaction()
    old.send("b", {"n": 1}).result()
    new = log.producer(transactional_id="t")
    end = log.topic("b").ends()[0].end
    delivery = old.send("b", {"n": 2})
    with pytest.raises(FencedError):
        delivery.result()
    with pytest.raises(FencedError):
        old.send_batch("b", {"n": [2]})
    assert log.topic("b").ends()[0].end == end
    old.close()
    new.close()


def test_a_topic_that_is_deleted_meanwhile_fails_the_transaction(log):
    with log.producer(transactional_id="t") as producer:
        producer.begin_transaction()
        producer.send("a", {"n": 1}, partition=0).result()
        producer.send("b", {"n": 1}).result()
        log.delete_topic("b")
        producer.send("a", {"n": 2}, partition=0)
        producer.commit_transaction()
    assert values(log, "a") == [1, 2]


@pytest.mark.parametrize("other", [None, "h"])
def test_a_group_that_is_deleted_meanwhile_fails_the_commit_and_says_so(log, other):
    with log.consumer("b", group_id="g") as consumer:
        group = consumer.consumer_group_metadata()
    with log.producer(transactional_id="t") as producer:
        producer.begin_transaction()
        producer.send("b", {"n": 1})
        producer.send_offsets_to_transaction({("b", 0): 0}, "g")
        log.delete_group("g")
        if other is not None:  # it gets the number that the group had
            log.consumer("b", group_id=other, enable_auto_commit=False).close()
        with pytest.raises(UnknownGroupError, match=r"'g' was deleted .* Abort the") as raised:
            producer.commit_transaction()
        assert raised.value.group_id == "g"
        with pytest.raises(InvalidTransactionStateError, match=r"'g' was deleted .* only be abort"):
            producer.commit_transaction()
        producer.abort_transaction()
        producer.begin_transaction()
        with pytest.raises(UnknownGroupError, match=r"'g' was deleted .* Abort the"):
            producer.send_offsets_to_transaction({("b", 0): 0}, group)
        producer.abort_transaction()
    assert values(log, "b") == []
    assert log.groups() == ([] if other is None else [other])
    for left in log.groups():
        assert not log.describe_group(left).partitions


def test_a_group_that_was_made_anew_gets_the_offsets_of_its_name(log):
    log.consumer("b", group_id="g").close()
    with log.producer(transactional_id="t") as producer, producer.transaction():
        producer.send("b", {"n": 1})
        producer.flush()
        producer.send_offsets_to_transaction({("b", 0): 1}, "g")
        log.delete_group("g")
        log.consumer("b", group_id="g", enable_auto_commit=False).close()
    assert log.describe_group("g").partitions[ps.TopicPartition("b", 0)].committed == 1


# -- cut short -------------------------------------------------------------------------------------


def test_commit_that_close_came_before_does_not_pretend(log, monkeypatch):
    producer = log.producer(transactional_id="t")
    producer.begin_transaction()
    producer.send("b", {"n": 1})
    drain = producer._sender.drain

    def drain_and_close(timeout_us):
        drain(timeout_us)
        producer.close()

    monkeypatch.setattr(producer._sender, "drain", drain_and_close)
    with pytest.raises(InvalidTransactionStateError, match="another thread had ended"):
        producer.commit_transaction()
    assert values(log, "b") == []


def test_ctrl_c_while_the_end_waits_for_a_table_leaves_the_transaction_as_it_was(log, monkeypatch):
    class Interrupted:
        def __enter__(self):
            raise KeyboardInterrupt

        def __exit__(self, *error):
            raise AssertionError

    with log.producer(transactional_id="t") as producer:
        producer.begin_transaction()
        producer.send("b", {"n": 1})
        with monkeypatch.context() as patch:
            patch.setattr(producer, "_tables", Interrupted())
            with pytest.raises(KeyboardInterrupt):
                producer.commit_transaction()
        producer.send("b", {"n": 2})
        producer.commit_transaction()
    assert values(log, "b") == [1, 2]
