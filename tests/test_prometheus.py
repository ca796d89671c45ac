"""What Prometheus reads of running jobs: the client's text form, scraped over loopback."""

from __future__ import annotations

import dataclasses
import socket
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

import pystream as ps
from pystream import prometheus

Samples = dict[tuple[str, str | None], float]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ps.Log]:
    with ps.open(tmp_path / "log") as opened:
        opened.create_topic("payments", {"user": "string", "ts": "timestamp[ms]"})
        yield opened


def minutes(log: ps.Log, name: str = "minutes") -> ps.Environment:
    env = ps.Environment(log, name=name)
    strategy = ps.WatermarkStrategy.for_bounded_out_of_orderness("5s", timestamp="ts")
    keyed = env.from_topic("payments", watermark=strategy).key_by("user")
    keyed.window(ps.tumbling("1m")).aggregate(n=ps.count()).sink_to_topic(name)
    return env


def send(log: ps.Log, *times: int) -> None:
    with log.producer() as producer:
        for ts in times:
            producer.send("payments", {"user": "ann", "ts": ts})


def scrape(port: int) -> Samples:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    return {
        (sample.name, sample.labels.get("operator_name")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_counter_of_an_operator_is_exposed(log: ps.Log) -> None:
    counters = {field.name for field in dataclasses.fields(ps.OperatorMetrics)}
    expected = {name.removeprefix("num_") for name in counters if name.startswith("num_")}
    send(log, 0)
    with minutes(log).execute_async(until="latest") as job:
        job.result()
        families = prometheus.JobCollector(job).collect()
    exposed = {family.name.removeprefix("pystream_operator_") for family in families}
    assert expected <= exposed


def test_a_running_job_is_scraped(log: ps.Log) -> None:
    env = minutes(log)
    pause = threading.Event()
    with env.execute_async() as job, prometheus.serve(job, port=0) as page:
        send(log, 0, 70_000, 1_000)
        for _ in range(6_000):
            samples = scrape(page.port)
            if samples.get(("pystream_operator_records_in_total", "sink_to_topic-3")) == 1:
                break
            pause.wait(0.01)
    assert samples["pystream_operator_records_in_total", "from_topic-1"] == 3
    assert samples["pystream_operator_records_out_total", "window-2"] == 1
    assert samples["pystream_operator_late_records_total", "window-2"] == 1
    assert samples["pystream_operator_pending_records", "from_topic-1"] == 0
    assert samples["pystream_operator_watermark_timestamp_seconds", "window-2"] == 64.999
    assert samples["pystream_operator_state_bytes", "window-2"] > 0
    assert samples["pystream_operator_busy_seconds_total", "window-2"] > 0
    assert samples["pystream_job_uptime_seconds", None] > 0
    # What an operator does not have is not there, instead of a number that means nothing.
    assert ("pystream_operator_pending_records", "window-2") not in samples
    with pytest.raises(OSError, match="refused"):
        scrape(page.port)


def test_jobs_are_told_apart_and_come_and_go(log: ps.Log) -> None:
    send(log, 0)
    collector = prometheus.JobCollector()
    registry = CollectorRegistry()
    registry.register(collector)
    with (
        minutes(log, "one").execute_async(until="latest") as one,
        minutes(log, "two").execute_async(until="latest") as two,
    ):
        one.result("1m")
        two.result("1m")
    collector.add(one)
    collector.add(two)
    name = "pystream_operator_records_in_total"

    def value(job: str) -> float | None:
        return registry.get_sample_value(name, {"job_name": job, "operator_name": "window-2"})

    assert (value("one"), value("two")) == (1, 1)
    collector.remove(one)
    assert (value("one"), value("two")) == (None, 1)


def test_a_taken_port_is_an_error(log: ps.Log) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"), prometheus.serve(port=port):
            raise AssertionError("two servers have one port")


def test_without_the_client_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ImportError, match=r"pystream\[prometheus\]"), prometheus.serve(port=0):
        pass
