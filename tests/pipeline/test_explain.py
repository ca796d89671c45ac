"""The plan as text and as a graph: every operator, where it runs, and where late rows go."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import pystream as ps
from pystream import col


@pytest.fixture
def env(tmp_path: Path) -> Iterator[ps.Environment]:
    with ps.open(tmp_path / "log") as log:
        log.create_topic("payments", {"user": "string", "amount": "float64", "ts": "timestamp[ms]"})
        env = ps.Environment(log)
        strategy = ps.WatermarkStrategy.for_bounded_out_of_orderness("5s", timestamp="ts")
        late = ps.OutputTag("late")
        source = env.from_topic("payments", watermark=strategy)
        positive = source.filter((col("amount") > 0) & (col("user") != 'say "hi"; #1 <b>'))
        totals = (
            positive.key_by("user")
            .window(ps.tumbling("1m"))
            .side_output_late_data(late)
            .aggregate(n=ps.count())
        )
        totals.map_batches(lambda batch: batch).sink_to_topic("totals")
        totals.side_output(late).sink_to_topic("late-payments")
        yield env


def test_text_shows_the_whole_job(env: ps.Environment) -> None:
    text = env.explain()
    assert text.splitlines()[0] == (
        "5: sink_to_topic('totals', key=None, acks='interval')  [native]"
    )
    assert "4: map_batches(<lambda>)  [python]" in text
    assert "late rows to 'late'" in text
    assert "watermark ts - 5000 ticks" in text


def test_mermaid_has_a_box_per_operator_and_a_dotted_arrow_for_late_rows(
    env: ps.Environment,
) -> None:
    lines = [line.strip() for line in env.explain("mermaid").splitlines()]
    assert lines[0] == "flowchart LR"
    boxes = [line for line in lines if re.match(r"n\d+[(\[]", line)]
    assert len(boxes) == 6
    assert sum(line.endswith(":::python") for line in boxes) == 1
    assert [line for line in lines if "-->" in line] == [
        "n1 --> n2",
        "n2 --> n3",
        "n3 --> n4",
        "n4 --> n5",
    ]
    assert [line for line in lines if "late .->" in line] == ["n3 -. late .-> n7"]
    assert "watermark ts - 5000<br/>ticks" in boxes[0] or "5000 ticks" in boxes[0]


def test_labels_cannot_break_out_of_their_box(env: ps.Environment) -> None:
    """A quote, a semicolon or markup in a literal stays text."""
    lines = env.explain("mermaid").splitlines()
    (box,) = [line for line in lines if line.strip().startswith("n2[")]
    label = box.partition('["')[2].rpartition('"]')[0]
    assert not set('"`&') & set(label)
    assert "<b>" not in label
    assert re.findall(r"<[^>]*>", label) == ["<br/>"] * label.count("<br/>")
    dot = env.explain("dot")
    assert 'say \\"hi' in dot or 'say \\\\\\"hi' in dot


def test_dot_has_the_same_boxes_and_arrows(env: ps.Environment) -> None:
    dot = env.explain("dot")
    assert dot.startswith("digraph pipeline {")
    assert dot.endswith("}")
    assert len(re.findall(r"^    n\d+ \[label=", dot, re.MULTILINE)) == 6
    assert re.findall(r"(n\d+ -> n\d+)", dot) == [
        "n1 -> n2",
        "n2 -> n3",
        "n3 -> n4",
        "n4 -> n5",
        "n3 -> n7",
    ]
    assert 'n3 -> n7 [label="late", style=dashed];' in dot


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_reads_it(env: ps.Environment) -> None:
    ran = subprocess.run(
        ["dot", "-Tsvg"], input=env.explain("dot"), capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_late_rows_that_a_stream_ends_in_have_a_box(env: ps.Environment) -> None:
    late = ps.OutputTag("late")
    strategy = ps.WatermarkStrategy.for_monotonous_timestamps(timestamp="ts")
    windows = env.from_topic("payments", watermark=strategy).window_all(ps.tumbling("1m"))
    rows = windows.side_output_late_data(late).aggregate(n=ps.count()).side_output(late)
    assert "n2 -. late .-> n3" in rows.explain("mermaid")
    assert 'n3["late rows<br/>[native]"]' in rows.explain("mermaid")


def test_unknown_format_is_refused(env: ps.Environment) -> None:
    with pytest.raises(ps.errors.ConfigError, match=r"format is 'svg'.*mermaid"):
        env.explain("svg")
