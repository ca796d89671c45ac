"""How durations and sizes are written."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pystream import config
from pystream.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0s", 0),
        ("1ns", 1),
        ("5us", 5_000),
        ("200ms", 200_000_000),
        ("1.5s", 1_500_000_000),
        ("1m", 60_000_000_000),
        ("24h", 86_400_000_000_000),
        ("1d", 86_400_000_000_000),
        ("1h30m", 5_400_000_000_000),
        (" 1 h 30 m ", 5_400_000_000_000),
        ("-8h", -28_800_000_000_000),
        ("+1s", 1_000_000_000),
        (timedelta(days=-1, microseconds=1), -86_399_999_999_000),
    ],
)
def test_duration(text: Any, nanoseconds: int) -> None:
    assert config.parse_duration_ns(text) == nanoseconds


@pytest.mark.parametrize(
    "text", ["", "5", "s", "5 seconds", "1.5.5s", "--1s", 5, 5.0, None, "0.5ns", b"1s"]
)
def test_what_is_no_duration_is_refused_with_its_setting(text: Any) -> None:
    with pytest.raises(ConfigError, match="linger is"):
        config.parse_duration_ns(text, name="linger")


@given(st.timedeltas())
def test_timedelta_is_exact(value: timedelta) -> None:
    assert config.parse_duration_ns(value) == value // timedelta(microseconds=1) * 1000


def test_microseconds_round_up_and_refuse_negative() -> None:
    assert config.parse_duration_us("1ns") == 1
    assert config.parse_duration_us("5ms") == 5000
    with pytest.raises(ConfigError, match="timeout is -1s, but it must be between zero"):
        config.parse_duration_us("-1s", name="timeout")


@pytest.mark.parametrize(
    ("value", "size"),
    [(1, 1), ("1", 1), ("1B", 1), ("64KiB", 65536), ("2 MiB", 2 << 20), ("1GiB", 1 << 30)],
)
def test_size(value: Any, size: int) -> None:
    assert config.parse_size(value) == size


@pytest.mark.parametrize("value", [0, -1, "", "MiB", "1.5MiB", "1MB", True, 1.0, None, 2**62])
def test_what_is_no_size_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="segment_bytes is"):
        config.parse_size(value, name="segment_bytes")


def test_defaults_can_be_parsed() -> None:
    for name in ("SYNC_INTERVAL", "LOCK_TIMEOUT", "LINGER", "MAX_BLOCK"):
        assert config.parse_duration_us(getattr(config, name)) > 0


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "1", 11])
def test_check_positive_refuses(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"partitions is .*from 1 to 10"):
        config.check_positive(value, name="partitions", maximum=10)


def test_check_choice_names_what_is_accepted() -> None:
    assert config.check_choice("lz4", ("none", "lz4"), name="compression") == "lz4"
    with pytest.raises(ConfigError, match=r'Pass one of "none", "lz4"\.'):
        config.check_choice("zstd", ("none", "lz4"), name="compression")


@config.names_settings
def make(topic: str, *, linger: str = "5ms", batch_size: int = 1) -> tuple[str, str, int]:
    return topic, linger, batch_size


def test_unknown_setting_names_the_nearest_one() -> None:
    with pytest.raises(
        ConfigError, match=r"make\(\) has no setting 'batchsize'. Did you mean batch_"
    ):
        make("t", batchsize=5)  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match=r"'zzz'\. Its settings are topic, linger, batch_size"):
        make("t", zzz=5)  # type: ignore[call-arg]
    assert make("t", linger="1s") == ("t", "1s", 1)
    assert make(topic="t", batch_size=2) == ("t", "5ms", 2)
    with pytest.raises(TypeError):
        make()  # type: ignore[call-arg]


def test_timeout_may_be_none() -> None:
    assert config.parse_timeout_us(None) is None
    assert config.parse_timeout_us("1ms") == 1000
