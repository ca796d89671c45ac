"""History, then live: two sources that are one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pystream.errors import ConfigError, NotSupportedError, SchemaError
from pystream.plan import nodes

if TYPE_CHECKING:
    from pystream.pipeline.stream import Stream

__all__ = ["HybridSource"]


class HybridSource:
    """First a bounded source to its end, then a topic; for ``Environment.from_source``.

    Parameters
    ----------
    history : Stream
        Straight from ``from_parquet``, ``from_csv``, ``from_json`` or ``from_arrow``, without a
        watermark.
    live : Stream
        Straight from ``from_topic``, without a watermark. Its `start` says where the topic goes on
        from the history.

    Raises
    ------
    ConfigError
        If one of them is no such source, or has a watermark of its own.
    SchemaError
        If the history lacks a column of the topic, or has it with another type.

    Notes
    -----
    There is one watermark, which carries over: when the topic takes over it stands where the
    history left it, for every partition, and never goes back. Records of the topic that lie behind
    it are judged like any others.

    References
    ----------
    Apache Flink, ``HybridSource`` (FLIP-150).

    Examples
    --------
    >>> log = ps.open("hybrid")
    >>> _ = log.create_topic("counts", schema={"n": "int64", "ts": "timestamp[s]"})
    >>> with log.producer() as producer:
    ...     _ = producer.send("counts", {"n": 2, "ts": 70})
    >>> env = ps.Environment(log)
    >>> past = {"n": np.array([1]), "ts": np.array([10], dtype="datetime64[s]")}
    >>> source = ps.HybridSource(env.from_arrow(past), env.from_topic("counts"))
    >>> watermark = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
    >>> env.from_source(source, watermark=watermark).to_arrow()["n"].to_pylist()
    [1, 2]
    >>> log.close()
    """

    def __init__(self, history: Stream, live: Stream) -> None:
        past, topic = getattr(history, "_node", None), getattr(live, "_node", None)
        if not isinstance(past, nodes.BatchSource | nodes.ReaderSource):
            raise ConfigError(
                "the history of a HybridSource is no bounded source. Pass what from_parquet, "
                "from_csv, from_json or from_arrow returned, without further steps."
            )
        if not isinstance(topic, nodes.TopicSource):
            raise ConfigError(
                "the live part of a HybridSource is no topic. Pass what from_topic returned, "
                "without further steps."
            )
        for column in (topic.timestamp_column, topic.append_time_column):
            if column is not None:
                raise NotSupportedError(
                    f"column {column!r} of the live part of a HybridSource is a time of the log, "
                    "which the history does not have. Leave it out.",
                    column=column,
                )
        if past.watermark is not None or topic.watermark is not None:
            raise ConfigError(
                "a part of a HybridSource has a watermark, but there is one for both. Give it to "
                "from_source."
            )
        named = topic.topics[0]
        has = {name: dtype for name, dtype, _ in history.schema.fields}
        for name, dtype, _ in live.schema.fields:
            if name not in has:
                raise SchemaError(
                    f"the history of a HybridSource has no column {name!r}, which topic "
                    f"{named!r} has. Its columns are {', '.join(has)}.",
                    column=name,
                )
            if has[name] != dtype:
                raise SchemaError(
                    f"column {name!r} is {has[name]} in the history, but {dtype} in topic "
                    f"{named!r}. Read the history with its types, by schema=.",
                    column=name,
                )
        more = [name for name in has if name not in live.schema.names]
        if more:
            raise SchemaError(
                f"the history has a column {more[0]!r}, which topic {named!r} does not have. "
                "Read it without, by columns= or schema=.",
                column=more[0],
            )
        self.history = past
        self.live = topic
        self.schema = live.schema

    def __repr__(self) -> str:
        return f"<HybridSource: history, then topic {self.live.topics[0]!r}>"
