"""Producers with names against the plain model of a partition, through two opened logs at once."""

from __future__ import annotations

import shutil
import tempfile

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pystream._native import _core
from pystream.errors import FencedError
from tests.oracle.producers import FencedByNewerError, Partition

NUMBERS = _core.Schema([("n", _core.DataType("int64"), False)])
NAMES = {"loader": 4711, "copier": 1 << 61}
REMEMBERED_BATCHES = 64
Position = tuple[int, int, int, int]


def numbers(values: list[int]) -> _core.RecordBatch:
    return _core.RecordBatch.from_numpy(NUMBERS, {"n": np.array(values, np.int64)})


class Writer:
    """A producer of one name and epoch, in one opened log."""

    def __init__(
        self, native: _core.Partition, name: str, epoch: int, position: Position | None
    ) -> None:
        self.name = name
        self.epoch = epoch
        self.first_known_offset = native.ends().log_end_offset if position is None else position[0]
        self.native = _core.TopicWriter(
            [native],
            producer_id=NAMES[name],
            producer_epoch=epoch,
            producer_name=name,
            positions=[position],
            max_batch_rows=4,
        )


class ProducersOfAPartition(RuleBasedStateMachine):
    """Appends new and repeated rows from several producers; the model says what becomes of them."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp(prefix="pystream-producers-")
        self.model = Partition()
        self.epochs = dict.fromkeys(NAMES, -1)
        self.positions: dict[str, Position] = {}
        self.batches: dict[str, list[int]] = {name: [] for name in NAMES}  # base offsets
        self.writers: dict[tuple[int, str], Writer] = {}
        self.logs: list[_core.Log] = []

    def teardown(self) -> None:
        for log in self.logs:
            log.close()
        shutil.rmtree(self.directory)

    def open(self, place: int) -> None:
        self.logs[place : place + 1] = [_core.Log.open(self.directory)]

    def partition(self, place: int) -> _core.Partition:
        return self.logs[place].open_partition(
            topic="numbers",
            topic_id=b"0123456789abcdef",
            partition=0,
            schema=NUMBERS,
            schema_id=1,
            segment_bytes=1 << 14,
        )

    @initialize()
    def open_both(self) -> None:
        for place in range(2):
            self.open(place)

    @rule(place=st.integers(0, 1))
    def reopen(self, place: int) -> None:
        self.logs[place].close()
        for name in NAMES:
            self.writers.pop((place, name), None)
        self.open(place)

    @rule(place=st.integers(0, 1), name=st.sampled_from(sorted(NAMES)))
    def take_name(self, place: int, name: str) -> None:
        self.epochs[name] += 1
        writer = Writer(self.partition(place), name, self.epochs[name], self.positions.get(name))
        self.writers[place, name] = writer
        # As the producer does it: before the first append.
        if name not in self.positions:
            self.positions[name] = writer.native.positions()[0]

    @rule(place=st.integers(0, 1), name=st.sampled_from(sorted(NAMES)))
    def save_position(self, place: int, name: str) -> None:
        if writer := self.writers.get((place, name)):
            self.positions[name] = writer.native.positions()[0]

    @rule(
        place=st.integers(0, 1),
        name=st.sampled_from(sorted(NAMES)),
        back=st.integers(0, 12),
        steps=st.lists(st.sampled_from([1, 1, 1, 2, 50]), min_size=1, max_size=14),
    )
    def append(self, place: int, name: str, back: int, steps: list[int]) -> None:
        writer = self.writers.get((place, name))
        if writer is None:
            return
        first = max(0, self.model.last_sequence(name) + 1 - back)
        sequences = [int(n) for n in first + np.cumsum([0, *steps[1:]])]
        rows = [(sequence, 1000 * sequence + NAMES[name] % 1000) for sequence in sequences]
        arguments = {
            "timestamps": 0,
            "partition": 0,
            "acks": "published",
            "sequences": numbers(sequences).column(0),
        }
        batch = numbers([value for _, value in rows])
        try:
            expected = self.model.append(name, writer.epoch, rows)
        except FencedByNewerError:
            with pytest.raises(FencedError) as caught:
                writer.native.append(batch, **arguments)
            assert caught.value.epoch == writer.epoch
            assert caught.value.current_epoch == self.model.epochs[name]
            return
        result = writer.native.append(batch, **arguments)
        self.batches[name] += [part.base_offset for part in result.appends if not part.is_duplicate]
        self.check(writer, result, expected)

    def check(
        self,
        writer: Writer,
        result: _core.TopicAppendResult,
        expected: list[tuple[int, bool]],
    ) -> None:
        assert result.duplicate_count == sum(was_there for _, was_there in expected)
        first_remembered = self.batches[writer.name][-REMEMBERED_BATCHES:][0]
        known_from = max(first_remembered, writer.first_known_offset)
        for found, (offset, was_there) in zip(result.offsets(), expected, strict=True):
            if was_there and offset < known_from:
                assert found in (offset, -1)
            else:
                assert found == offset

    @rule(place=st.integers(0, 1), count=st.integers(1, 5))
    def append_nameless(self, place: int, count: int) -> None:
        values = [-len(self.model.records) - i for i in range(count)]
        writer = _core.TopicWriter([self.partition(place)])
        writer.append(numbers(values), timestamps=0, acks="published")
        self.model.append_nameless(values)

    @invariant()
    def log_holds_what_the_model_holds(self) -> None:
        if not self.logs:
            return
        reader = self.partition(0).reader(0)
        names = {number: name for name, number in NAMES.items()}
        found = []
        while (batch := reader.next()) is not None:
            name = names.get(batch.producer_id)
            values = batch.column(0).to_numpy()
            for sequence, value in zip(batch.sequences().to_numpy(), values, strict=True):
                found.append((name, int(sequence) if name else -1, int(value)))
        assert found == [(r.producer, r.sequence, r.value) for r in self.model.records]


ProducersOfAPartition.TestCase.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None
)
TestProducersOfAPartition = ProducersOfAPartition.TestCase
