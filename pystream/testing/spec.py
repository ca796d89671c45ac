"""What a conformance case asks for: its window, watermark and trigger, checked when they are read.

The format has a place for all kinds of windows and triggers, also for those that no engine runs
yet, or that are refused; running such a case raises an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from pystream.errors import ConfigError

__all__ = ["FORMAT_VERSION", "Spec", "TriggerSpec", "WindowSpec"]

FORMAT_VERSION: Final = 1

# Settings of each kind: those that it needs, and those that it may have.
_WINDOWS: Final[Mapping[str, tuple[set[str], set[str]]]] = {
    "tumbling": ({"size_ms"}, {"offset_ms"}),
    "hopping": ({"size_ms", "slide_ms"}, {"offset_ms"}),
    "cumulate": ({"size_ms", "step_ms"}, {"offset_ms"}),
    "session": ({"gap_ms"}, set()),
    "count": ({"size"}, {"slide"}),
    "global": (set(), set()),
}
_TRIGGERS: Final[Mapping[str, tuple[set[str], set[str]]]] = {
    "on_close": (set(), set()),
    "on_update": (set(), set()),
    "count": ({"every"}, set()),
    "time": ({"every_ms"}, set()),
}
_ACCUMULATIONS: Final = ("accumulating", "discarding")
_TIMELESS: Final = ("count", "global")


@dataclass(frozen=True)
class WindowSpec:
    """A window by its kind; the other settings are those that the kind has.

    Attributes
    ----------
    kind : {"tumbling", "hopping", "cumulate", "session", "count", "global"}
    size_ms, slide_ms, step_ms, gap_ms : int or None
        Durations in milliseconds: of tumbling (size), hopping (size, slide), cumulate (size,
        step) and session (gap).
    offset_ms : int, default 0
        Of tumbling, hopping and cumulate; shorter than their distance, may be negative.
    size, slide : int or None
        Of count windows, in records.

    Raises
    ------
    ConfigError
        If a setting is missing, wrong, or not one of the kind.

    Examples
    --------
    >>> WindowSpec("hopping", size_ms=10, slide_ms=4).distance_ms
    4
    >>> WindowSpec("tumbling", gap_ms=10)
    Traceback (most recent call last):
    pystream.errors.ConfigError: window of kind "tumbling" has no gap_ms. Its settings are ...
    """

    kind: str
    size_ms: int | None = None
    slide_ms: int | None = None
    step_ms: int | None = None
    gap_ms: int | None = None
    offset_ms: int = 0
    size: int | None = None
    slide: int | None = None

    def __post_init__(self) -> None:
        given = _given(self)
        _check_settings("window", self.kind, given, _WINDOWS)
        for name in given.keys() - {"offset_ms"}:
            _whole(f"window.{name}", given[name], minimum=1)
        _whole("window.offset_ms", self.offset_ms)
        if self.slide is not None and self.size is not None and self.slide > self.size:
            raise ConfigError(
                f"window.slide is {self.slide}, larger than window.size {self.size}. Use at most "
                "that."
            )
        if self.step_ms is not None and self.size_ms is not None and self.size_ms % self.step_ms:
            raise ConfigError(
                f"window.step_ms is {self.step_ms}, which does not divide window.size_ms "
                f"{self.size_ms}. Use a step that does."
            )
        distance = self.distance_ms
        if distance is not None and abs(self.offset_ms) >= distance:
            raise ConfigError(
                f"window.offset_ms is {self.offset_ms}, but windows repeat every {distance} ms. "
                "Use an offset shorter than that, in either direction."
            )

    @property
    def distance_ms(self) -> int | None:
        """Milliseconds from one window's start to the next one's; None where there is no such."""
        return self.size_ms if self.slide_ms is None else self.slide_ms

    @property
    def has_time(self) -> bool:
        """Whether the window has a start and an end in event time."""
        return self.kind not in _TIMELESS


@dataclass(frozen=True)
class TriggerSpec:
    """When windows fire.

    Attributes
    ----------
    kind : {"on_close", "on_update", "count", "time"}
        When the watermark passes the end (a count window: when it is full; a global window: at
        the end of input); after every record; after so many records of the key in the window;
        whenever the watermark passes a multiple of a duration. The last two also fire when the
        window closes.
    every : int or None
        Records, of ``"count"``.
    every_ms : int or None
        Milliseconds of event time, of ``"time"``.
    """

    kind: str = "on_close"
    every: int | None = None
    every_ms: int | None = None

    def __post_init__(self) -> None:
        given = _given(self)
        _check_settings("trigger", self.kind, given, _TRIGGERS)
        for name, value in given.items():
            _whole(f"trigger.{name}", value, minimum=1)


@dataclass(frozen=True)
class Spec:
    """All that a case asks for.

    Attributes
    ----------
    window : WindowSpec
    watermark_delay_ms : int, default 0
        Bound of the out-of-orderness.
    allowed_lateness_ms : int, default 0
    trigger : TriggerSpec
    accumulation : {"accumulating", "discarding"}, default "accumulating"
        Whether a window that fires again shows all of its rows, or those since it fired.
    partitions : int, default 1
        That the source reads; one without rows holds the watermark back.
    end_of_input : bool, default True
        Whether the input ends, which fires what is open, or the job is stopped, which does not.
    description : str
        For readers.

    Raises
    ------
    ConfigError
        If a setting is wrong.
    """

    window: WindowSpec
    watermark_delay_ms: int = 0
    allowed_lateness_ms: int = 0
    trigger: TriggerSpec = field(default_factory=TriggerSpec)
    accumulation: str = "accumulating"
    partitions: int = 1
    end_of_input: bool = True
    description: str = ""

    def __post_init__(self) -> None:
        _whole("watermark_delay_ms", self.watermark_delay_ms, minimum=0)
        _whole("allowed_lateness_ms", self.allowed_lateness_ms, minimum=0)
        _whole("partitions", self.partitions, minimum=1)
        if self.accumulation not in _ACCUMULATIONS:
            raise ConfigError(_not_one_of("accumulation", self.accumulation, _ACCUMULATIONS))
        if not isinstance(self.end_of_input, bool):
            raise ConfigError(f"end_of_input is {self.end_of_input!r}. Write true or false.")
        if not isinstance(self.description, str):
            raise ConfigError(f"description is {self.description!r}. Write a string.")
        if self.allowed_lateness_ms and not self.window.has_time:
            raise ConfigError(
                f"allowed_lateness_ms is {self.allowed_lateness_ms}, but a window of kind "
                f'"{self.window.kind}" knows no lateness. Leave it out.'
            )

    @classmethod
    def from_json(cls, text: str) -> Spec:
        """Return what the text of a ``.spec.json`` says.

        Raises
        ------
        ConfigError
            If it is no JSON object, a setting is unknown, twice there, missing or wrong.

        Examples
        --------
        >>> text = '{"format_version": 1, "window": {"kind": "tumbling", "size_ms": 10}}'
        >>> Spec.from_json(text).window.size_ms
        10
        """
        try:
            settings = json.loads(text, object_pairs_hook=_each_once)
        except json.JSONDecodeError as error:
            raise ConfigError(
                f"line {error.lineno}: {error.msg}. Write one JSON object."
            ) from error
        settings = dict(_object("the spec", settings))
        version = settings.pop("format_version", None)
        if version != FORMAT_VERSION or isinstance(version, bool):
            raise ConfigError(
                f"format_version is {version!r}, but only {FORMAT_VERSION} can be read. "
                f"Write {FORMAT_VERSION}, or use the pystream that wrote the case."
            )
        names = [each.name for each in fields(cls)]
        for name in settings:
            if name not in names:
                raise ConfigError(_unknown("the spec", name, ["format_version", *names]))
        if "window" not in settings:
            raise ConfigError("the spec has no window. Write one, with its kind.")
        settings["window"] = WindowSpec(**_part("window", settings["window"], WindowSpec))
        if "trigger" in settings:
            settings["trigger"] = TriggerSpec(**_part("trigger", settings["trigger"], TriggerSpec))
        return cls(**settings)

    def to_json(self) -> str:
        """Return the text of a ``.spec.json``; settings that have their default are left out."""
        settings: dict[str, Any] = {"format_version": FORMAT_VERSION}
        if self.description:
            settings["description"] = self.description
        settings["window"] = {"kind": self.window.kind, **_given(self.window)}
        for name in ("watermark_delay_ms", "allowed_lateness_ms", "accumulation", "partitions"):
            if getattr(self, name) != getattr(Spec, name):
                settings[name] = getattr(self, name)
        if self.trigger != TriggerSpec():
            settings["trigger"] = {"kind": self.trigger.kind, **_given(self.trigger)}
        if not self.end_of_input:
            settings["end_of_input"] = False
        return json.dumps(settings, indent=2, ensure_ascii=False) + "\n"


def _given(spec: WindowSpec | TriggerSpec) -> dict[str, Any]:
    """Return the settings that differ from their defaults, without the kind."""
    return {
        each.name: getattr(spec, each.name)
        for each in fields(spec)
        if each.name != "kind" and getattr(spec, each.name) != each.default
    }


def _check_settings(
    what: str,
    kind: object,
    given: Mapping[str, Any],
    kinds: Mapping[str, tuple[set[str], set[str]]],
) -> None:
    if not isinstance(kind, str) or kind not in kinds:
        raise ConfigError(_not_one_of(f"{what}.kind", kind, kinds))
    needed, optional = kinds[kind]
    for name in given:
        if name not in needed | optional:
            raise ConfigError(_unknown(f'{what} of kind "{kind}"', name, needed | optional))
    for name in sorted(needed - given.keys()):
        raise ConfigError(f'{what} of kind "{kind}" has no {name}. Write one.')


def _part(what: str, value: object, kind: type[WindowSpec] | type[TriggerSpec]) -> dict[str, Any]:
    """Return the settings of a part, whose values its class checks."""
    settings = _object(what, value)
    names = [each.name for each in fields(kind)]
    for name, setting in settings.items():
        if name not in names:
            raise ConfigError(_unknown(what, name, names))
        if setting is None:  # which would be taken for a setting that is left out
            raise ConfigError(f"{what}.{name} is null. Leave it out.")
    if "kind" not in settings:
        raise ConfigError(f"{what} has no kind. Write one.")
    return settings


def _object(what: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{what} is {value!r}. Write a JSON object.")
    return value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f'"{name}" is given twice. Write it once.')
    return dict(pairs)


def _whole(name: str, value: object, minimum: int | None = None) -> None:
    low = -(2**62) if minimum is None else minimum
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value < 2**62:
        accepted = "" if minimum is None else f" from {minimum}"
        raise ConfigError(f"{name} is {value!r}. Write a whole number{accepted}.")


def _not_one_of(name: str, value: object, choices: Any) -> str:
    accepted = ", ".join(f'"{choice}"' for choice in choices)
    return f"{name} is {value!r}. Write one of {accepted}."


def _unknown(what: str, name: str, known: Any) -> str:
    settings = ", ".join(sorted(known)) or "none"
    return f"{what} has no {name}. Its settings are {settings}."
