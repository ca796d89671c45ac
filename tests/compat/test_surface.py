"""Whatever the two libraries offer is here with the same parameters, or is listed as absent."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import pystream.compat.confluent_kafka
import pystream.compat.confluent_kafka.admin
import pystream.compat.confluent_kafka.aio
import pystream.compat.confluent_kafka.error
import pystream.compat.confluent_kafka.serialization
import pystream.compat.kafka
import pystream.compat.kafka.admin
import pystream.compat.kafka.errors
from pystream.compat import absent
from pystream.compat.confluent_kafka import settings as confluent_settings
from pystream.compat.kafka import settings as kafka_settings
from tests.compat.originals import confluent_kafka, kafka

DOC = Path(__file__).resolve().parents[2] / "docs" / "from-kafka.md"

# Of a dict's or tuple's own, or of an enumeration's.
PLAIN = set(dir(tuple)) | set(dir(int)) | set(dir(str)) | set(dir(Exception)) | set(dir(Enum))


def own_names(kind: type) -> list[str]:
    return [name for name in dir(kind) if not name.startswith("_") and name not in PLAIN]


def parameters(call: Any) -> list[inspect.Parameter] | None:
    try:
        found = list(inspect.signature(call).parameters.values())
    except (TypeError, ValueError):
        return parameters_of_stub(call)
    return [each for each in found if each.name != "self"]


def parameters_of_stub(call: Any) -> list[inspect.Parameter] | None:
    """Return the parameters of a method in C: they stand in the library's stub."""
    stub = (Path(confluent_kafka.__file__).parent / "cimpl.pyi").read_text()
    name = getattr(call, "__qualname__", "")
    kind, _, method = name.partition(".")
    body = re.search(rf"^class {kind}\b.*?(?=^class |\Z)", stub, re.MULTILINE | re.DOTALL)
    if body is None or not method:
        return None
    found = re.search(rf"(?<!\w)def {method}\((.*?)\) ->", body.group(0), re.DOTALL)
    if found is None or "@overload" in body.group(0).split(f"def {method}(")[0][-20:]:
        return None
    names = re.findall(r"(\w+)\s*:[^=,]*(?:\[[^\]]*\])?[^=,]*(=)?", re.sub(r"#.*", "", found[1]))
    return [
        inspect.Parameter(
            name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=None if default else inspect.Parameter.empty,
        )
        for name, default in names
        if name != "self"
    ]


def misfits(theirs: Any, ours: Any, name: str) -> Iterator[str]:
    """Yield what could not be called here as it is there."""
    wanted, offered = parameters(theirs), parameters(ours)
    if wanted is None or offered is None:
        return
    names = {each.name: at for at, each in enumerate(offered)}
    takes_any = any(each.kind is each.VAR_KEYWORD for each in offered)
    for at, each in enumerate(wanted):
        if each.kind in (each.VAR_KEYWORD, each.VAR_POSITIONAL):
            continue
        if each.name not in names:
            if not (takes_any or each.kind is each.POSITIONAL_ONLY):
                yield f"{name}() has no parameter {each.name}"
        elif each.kind is each.POSITIONAL_OR_KEYWORD and names[each.name] != at:
            yield f"{name}(): parameter {each.name} stands elsewhere"
        elif each.default is not each.empty and offered[names[each.name]].default is each.empty:
            yield f"{name}(): parameter {each.name} has no default"


def differences(theirs: type, ours: type, name: str, missing: dict[str, str]) -> Iterator[str]:
    if not issubclass(theirs, Exception | Enum):
        yield from misfits(theirs.__init__, ours.__init__, name)
    for member in own_names(theirs):
        path = f"{name}.{member}"
        if path in missing:
            if hasattr(ours, member):
                yield f"{path} is listed as absent and is here"
        elif not hasattr(ours, member):
            value = inspect.getattr_static(theirs, member)
            if not inspect.isgetsetdescriptor(value) and not inspect.ismemberdescriptor(value):
                yield f"{path} is missing"
        elif callable(getattr(theirs, member)):
            yield from misfits(getattr(theirs, member), getattr(ours, member), path)


def compared(
    theirs: ModuleType, ours: ModuleType, names: list[str], prefix: str, missing: dict[str, str]
) -> list[str]:
    found = []
    for name in names:
        path = f"{prefix}{name}"
        if path in missing:
            if hasattr(ours, name):
                found.append(f"{path} is listed as absent and is here")
        elif not hasattr(ours, name):
            found.append(f"{path} is missing")
        elif isinstance(getattr(theirs, name), type):
            found += differences(getattr(theirs, name), getattr(ours, name), path, missing)
    return found


def test_everything_of_confluent_kafka_is_here_or_listed() -> None:
    names = [*confluent_kafka.__all__, "ThrottleEvent"]
    found = compared(
        confluent_kafka,
        pystream.compat.confluent_kafka,
        names,
        "",
        absent.CONFLUENT_KAFKA,
    )
    assert found == []


@pytest.mark.parametrize("part", ["admin", "aio", "serialization", "error"])
def test_everything_of_its_submodules_is_here_or_listed(part: str) -> None:
    theirs = getattr(confluent_kafka, part)
    ours = getattr(pystream.compat.confluent_kafka, part)
    names = [
        name
        for name, value in vars(theirs).items()
        if not name.startswith("_")
        and (isinstance(value, type | int))
        and str(getattr(value, "__module__", "confluent_kafka")).split(".")[0]
        in ("confluent_kafka", "cimpl")
        and name not in ("Message", "HeadersType")
    ]
    assert len(names) > 3
    prefix = "" if part == "error" else f"{part}."
    assert compared(theirs, ours, names, prefix, absent.CONFLUENT_KAFKA) == []


def test_everything_of_kafka_python_is_here_or_listed() -> None:
    found = compared(kafka, pystream.compat.kafka, kafka.__all__, "", absent.KAFKA)
    assert found == []
    names = [*kafka.admin.__all__, "NewTopic", "NewPartitions", "ConfigFilterType"]
    names.remove("KafkaAdminClient")
    found = compared(kafka.admin, pystream.compat.kafka.admin, names, "admin.", absent.KAFKA)
    assert found == []


def test_every_error_of_kafka_python_is_here_with_its_number_and_bases() -> None:
    count = 0
    for name, theirs in vars(kafka.errors).items():
        if isinstance(theirs, type) and issubclass(theirs, Exception):
            ours = getattr(pystream.compat.kafka.errors, name)
            assert getattr(ours, "errno", None) == getattr(theirs, "errno", None), name
            assert (ours.retriable, ours.invalid_metadata) == (
                theirs.retriable,
                theirs.invalid_metadata,
            ), name
            assert [b.__name__ for b in ours.__mro__ if b.__name__ != "object"] == [
                b.__name__ for b in theirs.__mro__ if b.__name__ != "object"
            ], name
            count += 1
    assert count > 140


def test_every_code_of_confluent_kafka_has_its_number() -> None:
    theirs = {
        name: value
        for name in dir(confluent_kafka.KafkaError)
        if isinstance(value := getattr(confluent_kafka.KafkaError, name), int)
        and name.lstrip("_").isupper()
    }
    ours = {name: getattr(pystream.compat.confluent_kafka.KafkaError, name) for name in theirs}
    assert ours == theirs
    assert len(theirs) > 180


@pytest.mark.parametrize(
    ("client", "known"),
    [
        (kafka.KafkaProducer, kafka_settings.PRODUCER),
        (kafka.KafkaConsumer, kafka_settings.CONSUMER),
        (kafka.KafkaAdminClient, kafka_settings.ADMIN),
    ],
)
def test_every_setting_of_kafka_python_is_translated_or_ignored(
    client: Any, known: frozenset[str]
) -> None:
    unknown = {
        name
        for name in client.DEFAULT_CONFIG
        if name not in known | kafka_settings.IGNORED and not name.startswith(("ssl_", "sasl_"))
    }
    assert unknown == set()


def test_every_ignored_property_is_one_of_librdkafka() -> None:
    ours = {
        *("log.directory", "auto.create.topics.enable", "num.partitions"),
        *("error_cb", "stats_cb", "throttle_cb", "oauth_cb", "logger", "on_commit", "on_delivery"),
        *("default.topic.config", "delivery.report.only.error"),
    }
    for name in sorted(confluent_settings.IGNORED | confluent_settings.TRANSLATED - ours):
        if name in ours:
            continue
        said = ""
        try:
            confluent_kafka.Producer({name: "\x01", "log_level": 0}).close()
        except confluent_kafka.KafkaException as error:
            said = str(error)
        assert "No such configuration property" not in said, name


@pytest.mark.parametrize("name", ["CONFLUENT_KAFKA", "KAFKA"])
def test_page_lists_what_is_absent_with_the_reason(name: str) -> None:
    text = DOC.read_text()
    for path, reason in getattr(absent, name).items():
        row = rf"^\| .*`{re.escape(path)}`.*\| {re.escape(reason)} \|$"
        assert re.search(row, text, re.MULTILINE), path


@pytest.mark.parametrize("listed", ["confluent", "kafka"])
def test_page_lists_every_setting(listed: str) -> None:
    text = DOC.read_text()
    if listed == "confluent":
        names = confluent_settings.TRANSLATED | confluent_settings.IGNORED
    else:
        names = kafka_settings.PRODUCER | kafka_settings.CONSUMER | kafka_settings.IGNORED
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []
