"""Truncation and parts of times, time zones by zoneinfo, formats by strftime and strptime.

Python's dates reach from 1 to 9999; the Gregorian calendar repeats every 400 years, and what a zone
does from 2100 on too.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from pystream.plan.expressions import ExpressionNode, LiteralNode
from tests.oracle.expression_values import DAY, Failure, Value, civil, in_range, is_time, tick

EPOCH = datetime(1970, 1, 1)
CYCLE = 146_097 * 86_400


def reachable(seconds: int) -> tuple[int, int]:
    """Return whole cycles, and a second that Python's dates reach and is the same without them."""
    if seconds < -60 * 10**9:  # before the year 69 no clock was ever turned
        cycles = seconds // CYCLE + 4
        return cycles, seconds - cycles * CYCLE
    if seconds > 12 * 10**9:
        cycles = (seconds - 5 * 10**9) // CYCLE
        return cycles, seconds - cycles * CYCLE
    return 0, seconds


def offset_at(seconds: int, zone: str) -> int:
    _, near = reachable(seconds)
    instant = (EPOCH + timedelta(seconds=near)).replace(tzinfo=UTC)
    return whole_seconds(instant.astimezone(ZoneInfo(zone)).utcoffset())


def whole_seconds(offset: timedelta | None) -> int:
    assert offset is not None
    return offset // timedelta(seconds=1)


def instants_of(local: int, zone: str) -> tuple[list[int], int]:
    """Return when a clock shows `local`, and when one would that was not turned in a gap."""
    _, near = reachable(local)
    shown = (EPOCH + timedelta(seconds=near)).replace(tzinfo=ZoneInfo(zone))
    offsets = [whole_seconds(shown.replace(fold=fold).utcoffset()) for fold in (0, 1)]
    instants = sorted({local - offset for offset in offsets})
    return [i for i in instants if i + offset_at(i, zone) == local], local - offsets[0]


def at_zone(value: Value, zone: str) -> Value:
    kind = value.type.split(",")[0].rstrip("]") + "]"
    if value.value is None:
        return Value(kind, None)
    per_second = 10**9 // tick(kind)
    offset = offset_at(value.value // per_second, zone)
    return Value(kind, in_range(value.value + offset * per_second, kind))


def from_zone(value: Value, zone: str, ambiguous: str, nonexistent: str) -> Value:
    kind = f"{value.type[:-1]}, {zone}]"
    if value.value is None:
        return Value(kind, None)
    seconds, rest = divmod(value.value, 10**9 // tick(value.type))
    instants, shifted = instants_of(seconds, zone)
    choice = {0: nonexistent, 1: "earliest", 2: ambiguous}[len(instants)]
    if choice == "null":
        return Value(kind, None)
    if choice == "error":
        raise Failure(f"a clock of {zone} shows {value.value} {len(instants)} times")
    instant = shifted if choice == "shift" else instants[0 if choice == "earliest" else -1]
    return Value(kind, in_range(instant * (10**9 // tick(value.type)) + rest, value.type))


def truncated_in_zone(value: Value, local: Value, zone: str) -> Value:
    """Return the instant of `local`, which is what clocks show at `value`, rounded down."""
    if value.value is None or local.value is None:
        return value
    per_second = 10**9 // tick(value.type)
    seconds, rest = divmod(local.value, per_second)
    instants, shifted = instants_of(seconds, zone)
    offset = offset_at(value.value // per_second, zone)
    same = [instant for instant in instants if seconds - instant == offset]
    instant = (same or instants or [shifted])[0]
    return Value(value.type, in_range(instant * per_second + rest, value.type))


def formatted(value: Value, format: str) -> Value:
    if value.value is None:
        return Value("string", None)
    nanos = value.value * tick(value.type)
    days, of_day = divmod(nanos, DAY)
    year, day = civil(days)
    moment = datetime(day.year, day.month, day.day) + timedelta(microseconds=of_day // 1000)
    years = {"Y": year, "G": year + moment.isocalendar().year - day.year}
    result, characters = "", iter(format)
    for character in characters:
        directive = next(characters) if character == "%" else ""
        if directive in years:
            result += f"{years[directive]:0{5 if years[directive] < 0 else 4}}"
        elif directive:
            result += moment.strftime(f"%{directive}")
        else:
            result += character
    return Value("string", result)


def parsed_time(text: str, format: str, kind: str) -> int:
    try:
        moment = datetime.strptime(text, format)
    except ValueError:
        raise Failure(f"{text!r} is not {format}") from None
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return in_range((moment - EPOCH) // timedelta(microseconds=1) * 1000 // tick(kind), kind)


def truncate(value: Value, step: ExpressionNode) -> Value:
    assert isinstance(step, LiteralNode)
    if isinstance(step.value, str):
        return calendar_truncate(value, step.value)
    assert isinstance(step.value, int)
    kind = value.type
    if not is_time(kind):
        kind = "uint64" if kind == "uint64" else "int64"
    every = step.value if step.type is None else step.value // tick(kind)
    if value.value is None:
        return Value(kind, None)
    return Value(kind, in_range(value.value - value.value % every, kind))


def calendar_truncate(value: Value, unit: str) -> Value:
    if value.value is None:
        return value
    days = value.value * tick(value.type) // DAY
    _, day = civil(days)
    first = {
        "week": day - timedelta(days=day.weekday()),
        "month": day.replace(day=1),
        "quarter": day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1),
        "year": day.replace(month=1, day=1),
    }
    nanos = (days - (day - first[unit]).days) * DAY
    return Value(value.type, in_range(nanos // tick(value.type), value.type))


def extract(value: Value, part: str) -> Value:
    if value.value is None:
        return Value("int64", None)
    nanos = value.value * tick(value.type)
    days, of_day = divmod(nanos, DAY)
    year, day = civil(days)
    of_second = of_day % 10**9
    iso = day.isocalendar()
    parts = {
        "year": year,
        "quarter": (day.month + 2) // 3,
        "month": day.month,
        "day": day.day,
        "day_of_week": day.isoweekday(),
        "day_of_year": day.timetuple().tm_yday,
        "week": iso.week,
        "iso_year": year + iso.year - day.year,
        "hour": of_day // (3600 * 10**9),
        "minute": of_day // (60 * 10**9) % 60,
        "second": of_day // 10**9 % 60,
        "millisecond": of_second // 10**6,
        "microsecond": of_second // 10**3,
        "nanosecond": of_second,
        "epoch": nanos // 10**9,
    }
    return Value("int64", parts[part])
