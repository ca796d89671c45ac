"""What a row of the catalog may hold, cell by cell. Slow and obvious.

Written from ``docs/formats/catalog.md`` and from what a user may set. Values are those that SQLite
gives. `None` for a topic says that its schema's bytes are not known here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

Row = Mapping[str, Any]

LARGEST = 2**63 - 1
COUNT = TIME = 2**62
ID = 2**62 - 1
SMALL = 2**31 - 1
PARTITIONS = 10_000
SEQUENCE = 2**62 - 1
LETTERS = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
MEBIBYTE = 1 << 20
LARGEST_SEGMENT = 2**62 - 1  # more than can be set


def number(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def number_or_null(value: Any, least: int, most: int) -> bool:
    return value is None or number(value, least, most)


def text(value: Any, least: int = 0, most: int = 2**31) -> bool:
    return isinstance(value, str) and least <= len(value) <= most


def id_of_topic(value: Any) -> bool:
    return isinstance(value, bytes) and len(value) == 16


def name_of_topic(value: Any) -> bool:
    return text(value, 1, 249) and set(value) <= LETTERS and value not in (".", "..")


def partition(value: Any) -> bool:
    return number(value, 0, PARTITIONS - 1)


def parsed(written: str) -> Any:
    """Return what JSON says; an Ellipsis, which no JSON says, for what is none."""
    try:
        return json.loads(written)
    except (ValueError, RecursionError):
        return ...


def is_position(row: Row) -> bool:
    return (
        number(row["producer_id"], 0, ID)
        and id_of_topic(row["topic_id"])
        and partition(row["partition"])
        and number(row["next_offset"], -1, LARGEST)
        and number(row["incarnation"], 0, 2**32 - 1)
        and number(row["last_sequence"], -1, SEQUENCE)
        and number(row["complete_sequence"], -1, SEQUENCE)
    )


def is_group(row: Row) -> bool:
    return (
        number(row["id"], 1, COUNT)
        and text(row["name"], 1)
        and number(row["epoch"], 0, COUNT)
        and number(row["version"], 0, COUNT)
        and text(row["topics_hash"])
    )


def is_group_partition(row: Row) -> bool:
    return (
        number(row["group_id"], 1, COUNT)
        and id_of_topic(row["topic_id"])
        and partition(row["partition"])
        and number_or_null(row["target"], 1, COUNT)
        and number_or_null(row["owner"], 1, COUNT)
        and number(row["owner_epoch"], 0, COUNT)
    )


def is_group_offset(row: Row) -> bool:
    return (
        number(row["group_id"], 1, COUNT)
        and id_of_topic(row["topic_id"])
        and partition(row["partition"])
        and number(row["next_offset"], 0, LARGEST)
        and number(row["committed_us"], -TIME, TIME)
    )


def is_member(row: Row) -> bool:
    are_cells_sound = (
        number(row["number"], 1, COUNT)
        and number(row["group_id"], 1, COUNT)
        and text(row["member_id"], 1)
        and (row["instance_id"] is None or text(row["instance_id"], 1))
        and number(row["slot"], -1, SMALL)
        and number(row["epoch"], 0, COUNT)
        and text(row["subscription"])
        and row["assignor"] in ("range", "sticky", "uniform")
        and number(row["session_timeout_us"], 0, TIME)
        and number_or_null(row["max_poll_us"], 0, TIME)
        and number_or_null(row["away_us"], 0, TIME)
        and number(row["process_id"], 0, SMALL)
    )
    if not are_cells_sound:
        return False
    is_away = row["slot"] == -1
    if is_away and (row["away_us"] is None or row["instance_id"] is None):
        return False
    if not is_away and row["away_us"] is not None:
        return False
    return is_subscription(row["subscription"])


def is_subscription(written: str) -> bool:
    wanted = parsed(written)
    if not isinstance(wanted, dict) or sorted(wanted) != ["pattern", "topics"]:
        return False
    if not isinstance(wanted["topics"], list):
        return False
    if not all(name_of_topic(name) for name in wanted["topics"]):
        return False
    if wanted["pattern"] is None:
        return True
    return isinstance(wanted["pattern"], str) and is_pattern(wanted["pattern"])


def is_pattern(written: str) -> bool:
    try:
        re.compile(written)
    except (re.error, RecursionError, OverflowError):
        return False
    return True


def is_producer(row: Row) -> bool:
    return (
        number(row["id"], 0, ID)
        and text(row["name"], 1, 249)
        and number(row["epoch"], 0, SMALL)
        and number(row["opened_us"], -TIME, TIME)
    )


def is_transaction(row: Row) -> bool:
    return (
        number(row["id"], 0, ID)
        and text(row["transactional_id"], 1, 249)
        and number(row["producer_id"], 0, ID)
        and number(row["producer_epoch"], 0, SMALL - 1)
        and row["state"] in ("open", "committed", "aborted")
        and number(row["slot"], 0, SMALL)
        and number(row["process_id"], 0, SMALL)
        and number(row["timeout_us"], 0, TIME)
        and number(row["begun_us"], -TIME, TIME)
        and number(row["begun_monotonic_us"], 0, TIME)
        and number_or_null(row["decided_us"], -TIME, TIME)
    )


def is_transaction_partition(row: Row) -> bool:
    return (
        number(row["transaction_id"], 0, ID)
        and id_of_topic(row["topic_id"])
        and partition(row["partition"])
    )


def is_topic_schema(row: Row) -> bool:
    return (
        id_of_topic(row["topic_id"])
        and number(row["version"], 1, SMALL)
        and number(row["schema_id"], 1, SMALL)
        and number(row["since_us"], -TIME, TIME)
    )


def is_meta(row: Row) -> bool:
    return text(row["name"], 1) and number(row["value"], 0, COUNT)


def is_topic(
    row: Row,
    columns_of: Mapping[bytes, list[str]],
    kafka_shaped: bytes,
    least_segment: int = MEBIBYTE,
) -> bool | None:
    """Return whether a topic is sound, with the bytes of its schema and whether they are its own.

    Parameters
    ----------
    columns_of : mapping of bytes to list of str
        Of the schemas that are known.
    kafka_shaped : bytes
        The schema of topics without columns of their own.
    least_segment : int
        Smaller where tests want many segments.
    """
    are_cells_sound = (
        id_of_topic(row["id"])
        and name_of_topic(row["name"])
        and number(row["partitions"], 1, PARTITIONS)
        and number(row["schema_id"], 1, SMALL)
        and number(row["is_typed"], 0, 1)
        and text(row["key_columns"])
        and text(row["configs"])
    )
    if not are_cells_sound or row["blob"] is None or not row["is_own"]:
        return False
    if row["blob"] not in columns_of:
        return None
    keys = parsed(row["key_columns"])
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        return False
    if any(key not in columns_of[row["blob"]] for key in keys) or len(keys) != len(set(keys)):
        return False
    if row["is_typed"] == 0 and (keys != ["key"] or row["blob"] != kafka_shaped):
        return False
    settings = parsed(row["configs"])
    if not are_settings(settings) or settings.get("segment_bytes", MEBIBYTE) < least_segment:
        return False
    return settings.get("cleanup_policy", "delete") == "delete" or keys != []


def has_unknown_settings(written: Any) -> bool:
    """Return whether a newer pystream wrote the settings."""
    settings = parsed(written) if isinstance(written, str) else None
    return isinstance(settings, dict) and bool(set(settings) - set(SETTINGS))


SETTINGS = {
    "compression": lambda its: its in ("none", "lz4"),
    "segment_bytes": lambda its: number(its, 1, LARGEST_SEGMENT),
    "timestamp_type": lambda its: its in ("create_time", "append_time"),
    "retention_us": lambda its: number_or_null(its, 1, LARGEST),
    "retention_bytes": lambda its: number_or_null(its, 0, LARGEST),
    "cleanup_policy": lambda its: its in ("delete", "compact", "compact,delete"),
    "delete_retention_us": lambda its: number(its, 0, LARGEST),
    "min_compaction_lag_us": lambda its: number(its, 0, LARGEST),
    "min_cleanable_ratio": lambda its: type(its) in (int, float) and 0 <= its <= 1,
}


def are_settings(settings: Any) -> bool:
    if not isinstance(settings, dict):
        return False
    for name, value in settings.items():
        if name not in SETTINGS or not SETTINGS[name](value):
            return False
    most = settings.get("retention_bytes")
    return most is None or most >= settings.get("segment_bytes", 256 * MEBIBYTE)


IS_SOUND = {
    "topic_schemas": is_topic_schema,
    "groups": is_group,
    "group_members": is_member,
    "group_partitions": is_group_partition,
    "group_offsets": is_group_offset,
    "producers": is_producer,
    "producer_positions": is_position,
    "producer_floors": is_position,
    "transactions": is_transaction,
    "transaction_partitions": is_transaction_partition,
    "meta": is_meta,
}
