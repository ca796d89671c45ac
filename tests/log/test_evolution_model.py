"""Random schemas that grow while random batches are appended, against a model in plain Python."""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import pystream as ps
from pystream.errors import SchemaError

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int64": st.integers(-(2**63), 2**63 - 1),
    "float64": st.floats(allow_nan=False),
    "string": st.text(max_size=8),
    "bool": st.booleans(),
    "dictionary<string>": st.sampled_from(["red", "green", "blue"]),
}
TYPES = st.sampled_from(sorted(VALUES))
PARTITIONS = 2


class EvolvingTopic(RuleBasedStateMachine):
    """Two opened logs of one directory share a topic; each has a producer of its own."""

    @initialize(types=st.lists(TYPES, min_size=1, max_size=3))
    def create(self, types: list[str]) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.logs = [ps.open(self.directory.name) for _ in range(2)]
        self.columns = {f"c{i}": name for i, name in enumerate(types)}
        self.logs[0].create_topic("t", self.columns, partitions=PARTITIONS, segment_bytes="1MiB")
        self.producers_of = [log.producer(linger="1h") for log in self.logs]
        self.rows: list[list[dict[str, Any]]] = [[] for _ in range(PARTITIONS)]
        self.consumer = self.logs[0].consumer("t", auto_offset_reset="earliest", timeout="0s")
        self.consumed: list[list[dict[str, Any]]] = [[] for _ in range(PARTITIONS)]

    @rule(who=st.integers(0, 1), name=TYPES)
    def evolve(self, who: int, name: str) -> None:
        column = f"c{len(self.columns)}"
        self.logs[who].alter_topic("t", add_columns={column: name})
        self.columns[column] = name

    @rule(who=st.integers(0, 1))
    def refuse(self, who: int) -> None:
        try:
            self.logs[who].alter_topic("t", add_columns={"c0": "int8"})
        except SchemaError:
            return
        raise AssertionError("a column was added twice")

    @rule(who=st.integers(0, 1), partition=st.integers(0, PARTITIONS - 1), data=st.data())
    def send(self, who: int, partition: int, data: st.DataObject) -> None:
        # Any of the columns; those left out are null.
        names = [name for name in self.columns if data.draw(st.booleans(), label=name)]
        row = {n: data.draw(st.none() | VALUES[self.columns[n]]) for n in names}
        self.producers_of[who].send("t", row, partition=partition)
        self.producers_of[who].flush()
        self.rows[partition].append({name: row.get(name) for name in self.columns})

    @rule(who=st.integers(0, 1), partition=st.integers(0, PARTITIONS - 1), data=st.data())
    def send_batch(self, who: int, partition: int, data: st.DataObject) -> None:
        count = data.draw(st.integers(1, 5))
        # A program of an earlier time: it knows the first columns only.
        known = data.draw(st.integers(1, len(self.columns)))
        table = {
            name: data.draw(st.lists(st.none() | VALUES[kind], min_size=count, max_size=count))
            for name, kind in list(self.columns.items())[:known]
        }
        rows = [
            dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)
        ]
        self.producers_of[who].send_batch("t", rows, partition=partition)
        for row in rows:
            self.rows[partition].append({name: row.get(name) for name in self.columns})

    @rule(who=st.integers(0, 1))
    def reopen(self, who: int) -> None:
        if who == 0:
            self._consume()
            positions = {p: self.consumer.position(p) for p in self.consumer.assignment()}
        self.logs[who].close()
        self.logs[who] = ps.open(self.directory.name)
        self.producers_of[who] = self.logs[who].producer(linger="1h")
        if who == 0:
            self.consumer = self.logs[0].consumer("t", auto_offset_reset="earliest", timeout="0s")
            for partition, position in positions.items():
                self.consumer.seek(partition, position)

    def _consume(self) -> None:
        seen: dict[int, int] = {}
        for batch in self.consumer.batches():
            names = list(batch.schema)
            assert names == list(self.columns)[: len(names)]
            assert len(names) >= seen.get(batch.partition, 1)  # columns never go away
            seen[batch.partition] = len(names)
            self.consumed[batch.partition] += batch.to_pylist()

    @invariant()
    def everything_reads_as_the_model(self) -> None:
        for log in self.logs:
            for partition in range(PARTITIONS):
                found: list[dict[str, Any]] = []
                with log.consumer(auto_offset_reset="earliest", timeout="0s") as consumer:
                    consumer.assign([("t", partition)])
                    for batch in consumer.batches():
                        assert batch.schema == self.columns
                        found += batch.to_pylist()
                assert found == self._expected(partition)

    def _expected(self, partition: int) -> list[dict[str, Any]]:
        return [{name: row.get(name) for name in self.columns} for row in self.rows[partition]]

    def teardown(self) -> None:
        if not hasattr(self, "logs"):
            return
        self._consume()
        for partition in range(PARTITIONS):
            expected = self._expected(partition)
            # What was read before a column came lacks it.
            assert [
                {name: row.get(name) for name in self.columns} for row in self.consumed[partition]
            ] == expected
        for log in self.logs:
            log.close()
        self.directory.cleanup()


TestEvolvingTopic = EvolvingTopic.TestCase
TestEvolvingTopic.settings = settings(
    max_examples=8,
    stateful_step_count=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def test_many_columns_one_after_another(log: ps.Log) -> None:
    log.create_topic("wide", {"c0": "int64"})
    with log.producer() as producer:
        for n in range(1, 60):
            producer.send_batch("wide", {f"c{i}": np.array([i]) for i in range(n)})
            log.alter_topic("wide", add_columns={f"c{n}": "int64"})
    with log.consumer("wide", auto_offset_reset="earliest", timeout="0s") as consumer:
        for n, batch in enumerate(consumer.batches(), start=1):
            assert batch.num_columns == 60
            assert list(batch.to_pylist()[0].values()) == [*range(n), *[None] * (60 - n)]
