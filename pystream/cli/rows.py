"""Rows to be written: columns of a batch, what is known of each record, and a condition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pystream import RecordBatch
from pystream._native import Array, DataType, Schema, decode_headers, select_true
from pystream._native import RecordBatch as NativeBatch
from pystream.cli.json_text import headers_text
from pystream.cli.where import parse_condition
from pystream.engines.local.expressions import lower
from pystream.errors import ConfigError, SchemaError

if TYPE_CHECKING:
    from pystream import Topic
    from pystream._native import BoundExpression

__all__ = ["META", "Picker", "Rows"]

# What --meta adds before the columns.
META = Schema(
    [
        ("_topic", DataType("string"), False),
        ("_partition", DataType("int32"), False),
        ("_offset", DataType("int64"), False),
        ("_timestamp", DataType("timestamp[us, UTC]"), False),
        ("_headers", DataType("string"), True),
    ]
)


@dataclass(frozen=True)
class Rows:
    """Rows of one batch that were picked.

    Attributes
    ----------
    batch : native RecordBatch
        Their columns.
    places : array of int32 or None
        Which rows of the stored batch they are; None: all.
    """

    batch: NativeBatch
    places: npt.NDArray[np.int32] | None

    def __len__(self) -> int:
        return len(self.batch)

    def first(self, count: int) -> Rows:
        """Return the first `count` rows."""
        places = None if self.places is None else self.places[:count]
        return Rows(self.batch.slice(0, count), places)

    def place(self, row: int) -> int:
        """Return which row of the stored batch a row is."""
        return row if self.places is None else int(self.places[row])


class Picker:
    """Picks columns and rows of the batches of a topic.

    Parameters
    ----------
    topic : Topic
    columns : list of str or None
        None: all.
    with_meta : bool
        Put the columns of `META` before them.
    where : list of str
        Conditions, all of which must hold. They may be about the columns of `META`.

    Raises
    ------
    SchemaError
        If a column does not exist.
    ConfigError
        If a condition is wrong, or the topic has a column that is named as one of `META`.
    """

    def __init__(
        self, topic: Topic, columns: list[str] | None, *, with_meta: bool, where: list[str]
    ) -> None:
        self._topic = topic
        self._with_meta = with_meta
        self._columns = columns
        self._where = where
        for name in columns or []:
            if name not in topic.schema.names:
                raise SchemaError(
                    f"topic {topic.name!r} has no column {name!r}; its columns are "
                    f"{', '.join(topic.schema.names)}. Check --columns.",
                    topic=topic.name,
                    column=name,
                )
        clash = [name for name in topic.schema.names if name in META.names]
        if clash and (with_meta or where):
            raise ConfigError(
                f"topic {topic.name!r} has a column {clash[0]!r}, which is also a name of --meta. "
                "Leave --meta and --where out."
            )
        self._bound_to: Schema | None = None
        self._conditions: list[tuple[list[str], BoundExpression]] = []
        self._bind(topic.schema)

    @property
    def schema(self) -> Schema:
        """Of the rows, while the topic has the columns that it has now."""
        fields = {field[0]: field for field in self._topic.schema.fields}
        names = list(fields) if self._columns is None else self._columns
        meta = META.fields if self._with_meta else []
        return Schema([*meta, *(fields[name] for name in names)])

    def pick(self, batch: RecordBatch) -> Rows | None:
        """Return what is to be written of a batch; None when that is nothing."""
        picked = _Columns(batch)
        places = None
        if self._where:
            places = self._places(picked, batch)
            if len(places) == 0:
                return None
            if len(places) == len(batch):
                places = None
        names = batch.column_names if self._columns is None else self._columns
        rows = picked.batch([*(META.names if self._with_meta else []), *names])
        return Rows(rows if places is None else rows.take(places), places)

    def _places(self, picked: _Columns, batch: RecordBatch) -> npt.NDArray[np.int32]:
        self._bind(batch._schema)
        places: npt.NDArray[np.int32] | None = None
        for names, condition in self._conditions:
            found = select_true(condition.evaluate(picked.batch(names)))
            places = found if places is None else np.intersect1d(places, found, True)
        assert places is not None
        return places

    def _bind(self, schema: Schema) -> None:
        """Parse the conditions for the columns that a batch has: topics can get more."""
        if self._bound_to is schema or not self._where:
            return
        everything = Schema([*schema.fields, *META.fields])
        fields = {field[0]: field for field in everything.fields}
        self._conditions = []
        for text in self._where:
            condition = parse_condition(text, everything)
            names = sorted(condition.columns)
            bound = lower(condition.expression.node).bind(Schema([fields[name] for name in names]))
            self._conditions.append((names, bound))
        self._bound_to = schema


class _Columns:
    """The columns of a batch by name, those of `META` made when they are asked for."""

    def __init__(self, batch: RecordBatch) -> None:
        self._batch = batch
        self._made: dict[str, Array] = {}

    def batch(self, names: list[str]) -> NativeBatch:
        fields = {field[0]: field for field in [*self._batch._schema.fields, *META.fields]}
        columns = [self._column(name) for name in names]
        return NativeBatch(Schema([fields[name] for name in names]), columns)

    def _column(self, name: str) -> Array:
        index = self._batch._schema.index_of(name)
        if index >= 0:
            return self._batch.native_column(index)
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> Array:
        batch, count = self._batch, len(self._batch)
        values: npt.NDArray[np.generic] | npt.NDArray[np.object_]
        if name == "_partition":
            values = np.full(count, batch.partition, np.int32)
        elif name == "_offset":
            values = batch.offsets
        elif name == "_timestamp":
            values = batch.timestamps
        elif name == "_topic":
            values = np.full(count, batch.topic, object)
        else:
            headers = batch.native_headers()
            encoded = [None] * count if headers is None else headers.to_pylist()
            texts = [headers_text(decode_headers(one)) if one else None for one in encoded]
            values = np.array(texts, object)
        (field,) = (field for field in META.fields if field[0] == name)
        return NativeBatch.from_numpy(Schema([field]), {name: values}).column(0)
