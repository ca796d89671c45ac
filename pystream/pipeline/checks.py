"""What is refused before a job runs, because it could not end well."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import index

from pystream import config
from pystream.errors import ConfigError, NotSupportedError
from pystream.plan import nodes

__all__ = ["check_end", "check_options", "check_start", "check_topics"]


def check_topics(topic: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names of the topics that a source reads."""
    is_one = isinstance(topic, str) or not isinstance(topic, Iterable)
    topics: tuple[str, ...] = (topic,) if is_one else tuple(topic)  # type: ignore[assignment]
    for name in topics:
        if not isinstance(name, str):
            raise ConfigError(
                f"from_topic({topic!r}) got no names of topics. Pass one, or a list of them."
            )
    if not topics:
        raise ConfigError("from_topic() got no topic. Name at least one.")
    if len(set(topics)) != len(topics):
        raise ConfigError(f"from_topic({list(topics)!r}) names a topic twice. Name each once.")
    return topics


def check_start(
    start: str | Sequence[int], topics: tuple[str, ...], partitions: int
) -> str | tuple[int, ...]:
    """Return where the reading of topics begins, as the plan has it."""
    if isinstance(start, str):
        if start not in ("earliest", "latest"):
            raise ConfigError(f'start is {start!r}. Pass "earliest", "latest" or offsets.')
        return start
    names = ", ".join(map(repr, topics))
    try:
        offsets = tuple(index(offset) for offset in start)
    except TypeError:
        raise ConfigError(
            f'start is {start!r}. Pass "earliest", "latest" or a list of offsets, whole numbers, '
            f"one for each of the {partitions} partitions of topic {names}. To "
            "begin at a time, read from the earliest and filter."
        ) from None
    if len(offsets) != partitions:
        raise ConfigError(
            f"start has {len(offsets)} offsets, but topic {names} has {partitions} partitions. "
            "Pass one for each."
        )
    return offsets


def check_options(until: str | None, mode: str, runner: str) -> None:
    """Refuse what execute() does not take."""
    if runner != "local":
        raise NotSupportedError(
            f'runner {runner!r} does not exist yet. Leave it out, or pass runner="local".'
        )
    config.check_choice(mode, ("replay", "perfect"), name="mode")
    if until not in (None, "latest"):
        raise ConfigError(f'until is {until!r}. Pass "latest" or leave it out.')


def check_end(mode: str, sinks: tuple[nodes.Node, ...]) -> None:
    """Refuse what waits for an end of the input, where there is none."""
    _check_files_end(sinks)
    _check_mode(mode, sinks)


def _check_mode(mode: str, sinks: tuple[nodes.Node, ...]) -> None:
    """Refuse windows that wait for the end of an input that has none."""
    topics = nodes.unbounded_sources(sinks) if mode == "perfect" else []
    if topics:
        raise ConfigError(
            f'mode is "perfect", in which windows fire at the end of the input, but topic '
            f'{topics[0]!r} is followed without end. Pass until="latest", or bounded=True to '
            'from_topic(), or mode="replay".'
        )


def _check_files_end(sinks: tuple[nodes.Node, ...]) -> None:
    """Refuse files of a job without end: they would never be complete."""
    for sink in sinks:
        topics = nodes.unbounded_sources((sink,)) if isinstance(sink, nodes.FileSink) else []
        if topics:
            raise NotSupportedError(
                f"a file cannot hold the results of a job without end: {topics[0]!r} is followed. "
                'Pass until="latest" to execute(), or bounded=True to from_topic(), or end the '
                "stream in sink_to_topic()."
            )
