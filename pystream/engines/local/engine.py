"""The local engine as the pipeline layer sees it: schemas while a chain is built, then a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from pystream._native import DataType, Graph, Schema
from pystream._native import RecordBatch as NativeBatch
from pystream.engines.local.clock import ManualClock
from pystream.engines.local.compiler import CompiledJob, PythonStage, compile_plan
from pystream.engines.local.expressions import infer, lower
from pystream.engines.local.job import Job
from pystream.engines.local.table import (
    CollectedTable,
    import_table,
    stage_output,
    to_schema,
)
from pystream.engines.local.topics import TopicCatalog
from pystream.engines.local.udf import udf_stage
from pystream.errors import ConfigError, SchemaError
from pystream.log.record_batch import RecordBatch
from pystream.plan import nodes

if TYPE_CHECKING:
    from pystream.log import Log
    from pystream.plan.expressions import ExpressionNode, UdfNode

__all__ = ["LocalEngine"]


class LocalEngine:
    """Checks and runs plans in this process.

    Parameters
    ----------
    log : Log or None
    name : str
        Of the job, for messages.
    parallelism : int
        Threads of a job.
    clock : ManualClock or None
        Of processing time; None: that of the machine.
    """

    def __init__(
        self, log: Log | None, name: str, parallelism: int, clock: ManualClock | None = None
    ) -> None:
        if clock is not None and not isinstance(clock, ManualClock):
            raise ConfigError(f"clock is {clock!r}. Pass a pystream.testing.ManualClock, or None.")
        self._name = name
        self._clock = clock
        self._parallelism = parallelism
        self._topics = None if log is None else TopicCatalog(log)

    # -- while a chain is built ------------------------------------------------------------

    def infer(self, expression: ExpressionNode, schema: Schema) -> DataType:
        """Return the type of an expression over rows of `schema`; raise SchemaError."""
        return infer(expression, schema)

    def project(self, columns: tuple[tuple[str, ExpressionNode], ...], schema: Schema) -> Schema:
        """Return the schema that a projection gives; raise SchemaError."""
        graph = Graph()
        port = graph.add_batch_source("select", [], schema)
        outputs = [(name, lower(value)) for name, value in columns]
        return graph.schema(graph.add_project("select", port, outputs))

    def window_schema(self, node: nodes.WindowAggregation, schema: Schema) -> Schema:
        """Return the schema of a window's results; raise SchemaError."""
        probe = nodes.BatchSource((), schema, None)
        window = dataclasses.replace(node, input=probe, late_tag=None)
        return self._compile((window,), bounded=True).schema_of(window)

    def udf_stage(
        self, udf: UdfNode, operands: tuple[str, ...], result: str, schema: Schema
    ) -> tuple[Callable[[RecordBatch], RecordBatch], Schema]:
        """Return what adds the column `result` to batches of `schema`, and their new schema."""
        return udf_stage(udf, operands, result, schema)

    def schema(self, spelling: object) -> Schema:
        """Return the native schema of what a user wrote."""
        return to_schema(spelling)

    def topic_schema(self, topics: tuple[str, ...], *times: str | None) -> Schema:
        """Return the schema of existing topics, and columns of times behind it.

        Raises
        ------
        SchemaError
            If two topics have different columns, or two columns would have one name.
        """
        topic, *others = topics
        schema = self._require_topics(topic).schema(topic)
        for other in others:
            found = self._require_topics(other).schema(other)
            if found != schema:
                raise SchemaError(
                    f"topics {topic!r} and {other!r} are read as one, but have different columns: "
                    f"[{schema}] and [{found}]. Read each on its own.",
                    topic=other,
                )
        names = [name for name in times if name is not None]
        if not names:
            return schema
        for number, name in enumerate(names):
            if name in schema.names or name in names[:number]:
                raise SchemaError(
                    f"topic {topic!r} would have two columns {name!r}. Choose another name for the "
                    "time that is added.",
                    topic=topic,
                    column=name,
                )
        added = [(name, DataType("timestamp[us]"), False) for name in names]
        return Schema([*schema.fields, *added])

    def partition_count(self, topics: tuple[str, ...]) -> int:
        """Return how many partitions existing topics have together."""
        return sum(len(self._require_topics(topic).partitions(topic)) for topic in topics)

    def import_table(self, table: object) -> tuple[Schema, list[NativeBatch]]:
        """Return schema and batches of a table in memory."""
        return import_table(table)

    def check_sink(self, node: nodes.TopicSink, schema: Schema) -> None:
        """Refuse a sink whose topic exists with another schema, or whose settings are wrong."""
        self._require_topics(node.topic).check_sink(node, schema)

    # -- execution -------------------------------------------------------------------------

    def prepare(
        self, sinks: tuple[nodes.Node, ...], *, bounded: bool, is_perfect: bool = False
    ) -> Job:
        """Return a job over all sinks that has not begun."""
        job = self._compile(sinks, bounded=bounded, is_perfect=is_perfect)
        return Job(job, self._name, self._parallelism, processing_clock=self._clock)

    def table(self, schema: Schema, batches: list[NativeBatch]) -> CollectedTable:
        """Return what a job collected, for the libraries that take tables."""
        return CollectedTable(schema, batches)

    def _compile(
        self, sinks: tuple[nodes.Node, ...], *, bounded: bool, is_perfect: bool = False
    ) -> CompiledJob:
        return compile_plan(
            sinks,
            self._topics,
            bounded=bounded,
            is_perfect=is_perfect,
            make_stage=_python_stage,
        )

    def _require_topics(self, topic: str) -> TopicCatalog:
        if self._topics is None:
            raise ConfigError(
                f"topic {topic!r} is named, but the environment has no log. "
                "Pass one: Environment(log)."
            )
        return self._topics


def _python_stage(node: nodes.MapBatches) -> PythonStage:
    def call(batch: NativeBatch) -> list[NativeBatch]:
        return stage_output(node.function(RecordBatch.from_native(batch)), node.schema, node.name)

    return PythonStage(node.name, call)
