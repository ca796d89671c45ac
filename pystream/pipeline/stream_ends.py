"""The ends of a stream: sinks, tables in memory, and its plan as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pystream.errors import ConfigError, SchemaError
from pystream.pipeline.event_time import ProcessingTime
from pystream.plan import nodes
from pystream.plan.expressions import ColumnNode

if TYPE_CHECKING:
    import os

    import pandas
    import polars
    import pyarrow

    from pystream.pipeline.environment import Environment
    from pystream.pipeline.event_time import Time

__all__ = ["StreamEnds"]


class StreamEnds:
    """What a stream can end in; see :class:`pystream.Stream`."""

    schema: Any
    _env: Environment
    _node: nodes.Node
    _event_time: Time | None

    def sink_to_topic(
        self, topic: str, *, key: str | None = None, partitions: int = 1, acks: str = "interval"
    ) -> None:
        """Append the rows to a topic when the environment executes.

        Parameters
        ----------
        topic : str
            Created with this stream's schema when it does not exist.
        key : str, optional
            Column that chooses the partition. Default: the key of the window before it, when
            that is one column.
        partitions : int, default 1
            Of a topic that is created here.
        acks : str, default "interval"
            Durability of each append: ``"published"``, ``"interval"`` or ``"durable"``; see
            :meth:`pystream.Log.producer`.

        Raises
        ------
        SchemaError
            If the topic exists with another schema, or `key` is unknown.
        ConfigError
            If `key` is no name.
        NotSupportedError
            If a column is a list: topics hold none yet.

        Notes
        -----
        The record timestamp is the row's event time (after a window: ``window_end - 1``), or the
        time of the append where the stream has none. An event time that int64 microseconds do not
        hold gets the nearest record timestamp that they do; its column keeps it.
        """
        if key is not None:
            self._require(key, "sink_to_topic")
        elif isinstance(self._node, nodes.WindowAggregation) and len(self._node.keys) == 1:
            key = self._node.keys[0]
        time = self._event_time
        event_time = time.results if isinstance(time, ProcessingTime) else time
        node = nodes.TopicSink(
            self._node,
            topic,
            key,
            partitions,
            acks,
            timestamp=None if event_time is None else event_time.column,
            timestamp_shift=0 if event_time is None else event_time.shift,
            int64_unit="ms" if event_time is None else event_time.int64_unit,
        )
        self._env._add_sink(node, self.schema)

    def sink_to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write the rows to a Parquet file when the environment executes.

        Parameters
        ----------
        path : path
            Of the file; or a directory, in which ``part-0.parquet`` is written. Directories are
            made. A file that exists is replaced.

        Raises
        ------
        ConfigError
            If another sink writes the same file.
        ImportError
            If pyarrow is not installed (``pystream[arrow]``).

        Notes
        -----
        The file appears, complete and synced, when the job has finished; before that, and when the
        job fails or is cancelled, there is none, or the one from before. A job that follows a topic
        without end is refused with NotSupportedError.
        """
        self._sink_to_file("sink_to_parquet", path, "parquet")

    def sink_to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the rows to a CSV file with a header; as :meth:`sink_to_parquet`.

        Raises
        ------
        NotSupportedError
            If a column is binary.
        """
        self._sink_to_file("sink_to_csv", path, "csv")

    def sink_to_json(self, path: str | os.PathLike[str]) -> None:
        """Write the rows to a file with a JSON object a line; as :meth:`sink_to_parquet`.

        Raises
        ------
        NotSupportedError
            If a column is binary.

        Notes
        -----
        JSON has no NaN and no infinities: a row with one ends the job. Decimals are text.
        """
        self._sink_to_file("sink_to_json", path, "json")

    def to_parquet(self, path: str | os.PathLike[str]) -> str:
        """Run the plan up to here over what is there now and write a Parquet file.

        Parameters
        ----------
        path : path
            As of :meth:`sink_to_parquet`.

        Returns
        -------
        str
            The file.
        """
        node, file = self._file_sink("to_parquet", path, "parquet")
        self._env._write_file(node)
        return file

    def to_arrow(self) -> pyarrow.Table:
        """Run the plan up to here over what is there now and return a pyarrow Table.

        Returns
        -------
        pyarrow.Table
            Needs pyarrow. Windows that are open at the end of the input are fired.
        """
        return self._env._collect(self._node, self.schema).to_arrow()

    def to_pandas(self) -> pandas.DataFrame:
        """Run the plan up to here over what is there now and return a pandas DataFrame.

        Returns
        -------
        pandas.DataFrame
            Needs pandas.
        """
        return self._env._collect(self._node, self.schema).to_pandas()

    def to_polars(self) -> polars.DataFrame:
        """Run the plan up to here over what is there now and return a polars DataFrame.

        Returns
        -------
        polars.DataFrame
            Needs polars.
        """
        frame: polars.DataFrame = self._env._collect(self._node, self.schema).to_polars()
        return frame

    def explain(self, format: str = "text") -> str:
        """Describe the plan up to here.

        Parameters
        ----------
        format : {"text", "mermaid", "dot"}, default "text"
            As of :meth:`Environment.explain`.

        Returns
        -------
        str
            Says ``[native]`` or ``[python]`` of each operator.
        """
        return self._env._explain((self._node,), format)

    def _sink_to_file(self, method: str, path: str | os.PathLike[str], form: str) -> None:
        self._env._add_file_sink(self._file_sink(method, path, form)[0])

    def _file_sink(
        self, method: str, path: str | os.PathLike[str], form: str
    ) -> tuple[nodes.FileSink, str]:
        from pystream.connectors.file_names import output_file  # noqa: PLC0415  seldom needed
        from pystream.connectors.file_sink import FileSink  # noqa: PLC0415

        file = output_file(path, f".{form}")
        sink = FileSink(method, file, form, self.schema)
        return nodes.FileSink(self._node, sink.open, method, sink.path), file

    def _require(self, column: object, method: str) -> None:
        if not isinstance(column, str):
            raise ConfigError(f"{method} got {column!r}, {_how_to_name(column, method)}")
        if column not in self.schema.names:
            raise SchemaError(
                f"{method} names column {column!r}, which the stream does not have. "
                f"Its columns are {', '.join(self.schema.names)}."
            )


def _how_to_name(column: object, method: str) -> str:
    node = getattr(column, "node", None)
    if isinstance(node, ColumnNode):
        return f'which is an expression. Pass "{node.name}", the name of the column.'
    return (
        "which is not the name of a column. Compute it before, as with_columns(part=...), and pass "
        f'"part" to {method}.'
    )
