"""What a damaged cell of the catalog may hold instead."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

_TEXTS = (
    *("", "x", "../../outside", "/etc/passwd", "\x00", "0", "-1", "null", "[]", "{}", '"key"'),
    *("[1]", '["key"]', '{"a": 1}', '{"topics": 1, "pattern": 2}', '["' + "x" * 300 + '"]'),
    *('{"topics": [], "pattern": "("}', '{"retention_us": -1}', '{"segment_bytes": "1MiB"}'),
    *('{"retention_us": 0}', '{"compression": "zip"}', '{"retention_us": 1e400}', "[" * 5000),
    *("x" * 249, "x" * 250, ".", "..", "name\n", "naïve", "open", "committed", "range"),
)
_NUMBERS = (0, 1, -1, 2, 3, 255, 2**31 - 1, 2**31, 2**32, 2**53, 2**62, 2**63 - 1, -(2**63))
_IN_JSON = (
    *(None, True, False, 0, 1, -1, 2**31, 2**40, 2**40 + 1, 2**62, 2**63 - 1, 2**63, -(2**63)),
    *(0.0, 0.5, 1.0, 1.5, -0.5, 1e300, float("inf"), float("nan")),
    *("", "x", "key", "user", "n", "a b", "caf\udce9", "lz4", "none", "compact", "delete"),
    *(
        "compact,delete",
        "append_time",
        "(",
        "[a",
        "a{2,1}",
        "a{99999999999}",
        "(?P<a>b)",
        "(?<=a*)",
    ),
    *([], {}, ["key"], [["n"]], {"n": 1}),
)
_KEYS = (
    *("compression", "segment_bytes", "timestamp_type", "retention_us", "retention_bytes"),
    *("cleanup_policy", "delete_retention_us", "min_compaction_lag_us", "min_cleanable_ratio"),
    *("topics", "pattern", "newer", ""),
)


def another(value: Any, others: Sequence[Any], choose: random.Random) -> Any:
    """Return a value for a cell that held another; `others` are those of the column."""
    return _KINDS[int(choose.random() * len(_KINDS))](value, others, choose)


def _null(_value: Any, _others: Sequence[Any], _choose: random.Random) -> Any:
    return None


def _of_another_type(value: Any, _others: Sequence[Any], choose: random.Random) -> Any:
    return choose.choice((str(value), 0.5, b"\xff\xfe", str(value).encode()))


def _number(_value: Any, _others: Sequence[Any], choose: random.Random) -> Any:
    return choose.choice(_NUMBERS)


def _beside(_value: Any, _others: Sequence[Any], choose: random.Random) -> Any:
    """Return a neighbour of a limit."""
    beside = choose.choice(_NUMBERS) + choose.choice((-1, 1))
    return max(-(2**63), min(beside, 2**63 - 1))


def _text(_value: Any, _others: Sequence[Any], choose: random.Random) -> Any:
    return choose.choice(_TEXTS)


def _blob(value: Any, _others: Sequence[Any], choose: random.Random) -> Any:
    blob = value if isinstance(value, bytes) else b"\x01" * 16
    return choose.choice((b"", blob[:-1], blob[: len(blob) // 2], blob + b"\x00"))


def _of_another_row(_value: Any, others: Sequence[Any], choose: random.Random) -> Any:
    at = int(choose.random() * (len(others) + 2))
    if at < len(others):
        return others[at]
    return choose.randbytes(16) if at == len(others) else choose.getrandbits(62)


def _one_bit_off(value: Any, _others: Sequence[Any], choose: random.Random) -> Any:
    if isinstance(value, int):
        return value ^ (1 << choose.randrange(63))
    if isinstance(value, bytes | str) and value:
        data = bytearray(value if isinstance(value, bytes) else value.encode())
        data[choose.randrange(len(data))] ^= 1 << choose.randrange(8)
        return bytes(data) if isinstance(value, bytes) else data.decode("latin-1")
    return None


def _json(value: Any, others: Sequence[Any], choose: random.Random) -> Any:
    """Return JSON with another value somewhere; for what is none, something else."""
    try:
        node = json.loads(value)
    except (ValueError, TypeError, RecursionError):
        node = None
    if not isinstance(node, list | dict):
        return another(value, others, choose)
    for _ in range(choose.choice((1, 1, 2))):
        _change(node, choose)
    return json.dumps(node)


def _change(node: Any, choose: random.Random) -> None:
    """Change a list or an object of JSON, or one in it."""
    keys = list(range(len(node))) if isinstance(node, list) else list(node)
    if keys and choose.random() < 0.2:
        del node[choose.choice(keys)]
        return
    if keys and choose.random() < 0.7:
        key = choose.choice(keys)
        if isinstance(node[key], list | dict):
            _change(node[key], choose)
            return
        node[key] = deepcopy(choose.choice(_IN_JSON))
    elif isinstance(node, list):
        node.insert(choose.randrange(len(node) + 1), deepcopy(choose.choice(_IN_JSON)))
    else:
        node[choose.choice(_KEYS)] = deepcopy(choose.choice(_IN_JSON))


_Kind = Callable[[Any, Sequence[Any], random.Random], Any]
_KINDS: tuple[_Kind, ...] = (
    *(_null, _of_another_type, _number, _beside, _text, _blob, _of_another_row, _one_bit_off),
    *(_json, _json),
)
