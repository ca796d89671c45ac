"""The command `pystream produce`: what goes into the topic, and what it says of bad input."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

import pystream as ps
from pystream.cli import input_lines
from pystream.cli.endings import Stop
from pystream.cli.input_lines import BadInputError, Input, line_blocks
from tests.cli.commands import LONG, command, environment, run, words
from tests.log.reading import rows_of

EVERYTHING = {
    "n": "int64 not null",
    "x": "float64",
    "f": "float32",
    "text": "string",
    "ok": "bool",
    "d": "decimal128(10, 2)",
    "at": "timestamp[ns]",
    "zoned": "timestamp[ms, UTC]",
    "day": "date32",
    "took": "duration[ms]",
    "b": "binary",
}
FULL = (
    '{"n": 9007199254740993, "x": -0.1, "f": 0.1, "text": "\\u00e9\\n", "ok": true, "d": "1.50", '
    '"at": "2024-01-31T12:00:00.123456789", "zoned": "2024-01-31T13:00:00.500+01:00", '
    '"day": "2024-01-31", "took": "1.5s", "b": {"base64": "/wA="}}\n'
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    with ps.open(tmp_path / "data") as log:
        log.create_topic("all", EVERYTHING, partitions=2)
        log.create_topic("copy", EVERYTHING, partitions=2)
        log.create_topic("pairs", {"n": "int64 not null", "text": "string"})
        log.create_topic("lines", partitions=2)
        log.create_topic("words", {"word": "string"})
    return tmp_path / "data"


def succeed(*arguments: object, stdin: bytes | str = b"") -> str:
    ran = run("produce", *arguments, stdin=stdin)
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


def refusal(*arguments: object, stdin: bytes | str = b"") -> str:
    ran = run("produce", *arguments, stdin=stdin)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("pystream: ")
    return words(ran.stderr)


def pairs(directory: Path) -> list[tuple[Any, Any]]:
    with ps.open(directory) as log:
        return [(row["n"], row["text"]) for row in rows_of(log, "pairs")]


def consumed(directory: Path, *arguments: object) -> str:
    ran = run("consume", directory, *arguments)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


# -- formats ---------------------------------------------------------------------------------------


def test_json_of_every_type_is_what_consume_writes(directory: Path) -> None:
    rest = '\n{"n": 1, "x": "NaN", "f": "-Infinity", "text": null}\n{"n": 2, "took": 3}'
    assert succeed(directory, "all", stdin=FULL + rest) == "produced 3 records to all\n"
    out = consumed(directory, "all")
    first, second, _ = out.splitlines()
    assert first == FULL.rstrip().replace("\\u00e9", "é").replace(
        "13:00:00.500+01:00", "12:00:00.500Z"
    ).replace('"1.5s"', "1500")
    assert second.startswith('{"n": 1, "x": "NaN", "f": "-Infinity", "text": null, "ok": null')
    succeed(directory, "copy", stdin=out)
    assert consumed(directory, "copy") == out


@pytest.mark.parametrize("form", ["json", "csv", "parquet"])
def test_topic_is_copied_with_partitions_and_times(directory: Path, form: str) -> None:
    with ps.open(directory) as log, log.producer() as producer:
        for n in range(20):
            producer.send("all", {"n": n, "text": ["", None, 'a"b\nc'][n % 3]}, timestamp=n)
    columns = () if form == "json" else ("-c", "n,x,text,zoned,day,d,ok,at")
    target = directory.parent / f"moved.{form}"
    consumed(directory, "all", "--meta", *columns, "-o", target)
    succeed(directory, "copy", target, "--meta")
    for p in (0, 1):
        wanted = consumed(directory, "all", "--meta", "-p", p)
        assert consumed(directory, "copy", "--meta", "-p", p).replace('"copy"', '"all"') == wanted


def test_headers_keys_and_bytes_of_kafka_shaped_topics_are_copied(directory: Path) -> None:
    with ps.open(directory) as log:
        log.create_topic("target", partitions=2)
        with log.producer() as producer:
            producer.send("lines", b"\xff", key="k", headers=[("h", b"\xfe"), ("n", None)])
            producer.send("lines", None, key="k")
    out = consumed(directory, "lines", "--meta")
    succeed(directory, "target", "--meta", stdin=out)
    assert consumed(directory, "target", "--meta").replace('"target"', '"lines"') == out


def test_csv_rows_go_by_their_heading(directory: Path) -> None:
    succeed(directory, "pairs", "--format", "csv", stdin='text,n\n"a\nb",1\n,2\n"",3\n\nNA,4')
    assert pairs(directory) == [(1, "a\nb"), (2, None), (3, ""), (4, "NA")]


def test_csv_of_a_single_column_has_nulls_in_empty_lines(directory: Path) -> None:
    succeed(directory, "words", "--format", "csv", stdin='word\na\n\n""\n')
    with ps.open(directory) as log:
        assert [row["word"] for row in rows_of(log, "words")] == ["a", None, ""]


def test_parquet_from_files_and_a_pipe(directory: Path, tmp_path: Path) -> None:
    file = tmp_path / "p.parquet"
    pyarrow.parquet.write_table(pa.table({"n": [1, 2]}), file)
    assert succeed(directory, "pairs", file, file) == "produced 4 records to pairs\n"
    with file.open("rb") as opened, subprocess.Popen(["cat"], stdin=opened, stdout=-1) as cat:
        piped = subprocess.run(
            command("produce", directory, "pairs", "--format", "parquet"),
            stdin=cat.stdout,
            capture_output=True,
            env=environment(),
            timeout=LONG,
            check=True,
        )
    assert piped.stdout == b"produced 2 records to pairs\n"
    assert [n for n, _ in pairs(directory)] == [1, 2] * 3


def test_raw_lines_are_values_with_keys(directory: Path) -> None:
    succeed(directory, "lines", "--format", "raw", stdin=b"a\0\n\n\xff")
    succeed(directory, "lines", "--format", "raw", "-K", ":", "-p", 1, stdin="k:v:w\n:x\n")
    succeed(directory, "lines", "--format", "raw", "--delimiter", r"\0", stdin=b"x\ny\0z\0")
    succeed(directory, "words", "--format", "raw", stdin="é\n")
    with ps.open(directory) as log:
        found = {
            (record.key, record.value)
            for record in log.consumer("lines", auto_offset_reset="earliest", timeout="0s")
        }
        assert rows_of(log, "words") == [{"word": "é"}]
    assert found == {
        *((None, value) for value in (b"a\0", b"", b"\xff", b"x\ny", b"z")),
        *((b"k", b"v:w"), (b"", b"x")),
    }


def test_delimiters_are_written_as_the_help_says(directory: Path) -> None:
    raw = ("lines", "--format", "raw", "--delimiter")
    succeed(directory, *raw, r"\r\n", stdin=b"a\nb\r\nc\r\n")
    succeed(directory, *raw, r"\t", stdin=b"d\te")
    consumed = run("consume", directory, "lines", "--format", "raw", "--delimiter", r"\r\n")
    assert consumed.stdout == "a\nb\r\nc\r\nd\r\ne\r\n"


@pytest.mark.parametrize("option", ["--delimiter", "--key-separator"])
def test_an_empty_separator_is_refused(directory: Path, option: str) -> None:
    ran = run("produce", directory, "lines", "--format", "raw", option, "", stdin=b"a")
    assert ran.returncode == 1
    assert f"{option} is empty" in ran.stderr


def test_format_goes_by_the_ending_of_each_file(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n\n1\n")
    (tmp_path / "b.jsonl").write_text('{"n": 2}\n')
    succeed(directory, "pairs", tmp_path / "a.csv", tmp_path / "b.jsonl", "-", stdin='{"n": 3}')
    (tmp_path / "A.CSV").write_text("n\n4\n")
    pyarrow.parquet.write_table(pa.table({"n": [5]}), tmp_path / "B.Parquet")
    succeed(directory, "pairs", tmp_path / "A.CSV", tmp_path / "B.Parquet")
    assert [n for n, _ in pairs(directory)] == [1, 2, 3, 4, 5]


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ('{"n": 3', "this is no JSON"),
        ("[3]", "[3] is no object"),
        ("null", "null is no object"),
        (b'{"n": 3, "text": "\xff"}', "not UTF-8"),
        ('{"n": "3"}', "column 'n': expected int64, got str '3'"),
        ('{"n": 1.5}', "column 'n': expected int64"),
        ('{"text": "a"}', "column 'n'"),
        ('{"n": 3, "m": 4}', "no column 'm'"),
        (
            '{"n": 3, "at": "2024-01-31T12:00:00Z"}',
            "column 'at': '2024-01-31T12:00:00Z' has a time",
        ),
        ('{"n": 3, "zoned": "2024-01-31T12:00:00"}', "has no time zone"),
        ('{"n": 3, "zoned": "2024-01-31T12:00:00.0001Z"}', "finer than ms"),
        ('{"n": 3, "day": "today"}', "column 'day': 'today' is no date"),
        ('{"n": 3, "took": "long"}', "column 'took': 'long' is no duration"),
        ('{"n": 3, "d": "one"}', "column 'd': 'one' is no decimal"),
        ('{"n": 3, "b": {"base64": "?"}}', "column 'b': '?' is no base64"),
        ('{"n": 3, "b": {"hex": "00"}}', "column 'b': expected text or"),
    ],
)
def test_bad_json_line_is_named_and_all_before_it_is_produced(
    directory: Path, line: str | bytes, part: str
) -> None:
    raw = line if isinstance(line, bytes) else line.encode()
    good = b'{"n": 1}\n\n{"n": 2}\n'
    message = refusal(directory, "all", stdin=good + raw + b'\n{"n": 5}\n')
    assert "standard input: line 4: " in message
    assert part in message
    assert "2 records were produced, up to line 3, and nothing behind it." in message
    with ps.open(directory) as log:
        assert sorted(row["n"] for row in rows_of(log, "all")) == [1, 2]
    message = refusal(directory, "pairs" if "m" in part else "all", stdin=raw)
    assert "line 1: " in message
    assert message.endswith("Nothing was produced.")


def test_bad_line_far_behind_tells_how_much_was_produced(directory: Path) -> None:
    lines = [f'{{"n": {n}}}' for n in range(1000)]
    lines[700] = '{"n": true}'
    message = refusal(directory, "pairs", stdin="\n".join(lines))
    assert "line 701: " in message
    assert "700 records were produced, up to line 700" in message
    assert [n for n, _ in pairs(directory)] == list(range(700))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "the input is empty"),
        ("n,m\n1,2\n", "a column 'm', which topic 'pairs' does not have; its columns are n, text"),
        ("n,n\n1,2\n", "a column 'n' twice"),
        ("n,text\n1,a\n2\n", "row 3: Expected 2 columns"),
        ('n,text\n1,a\n"x",b\n', "row 3: column 'n': conversion error to int64: invalid value 'x'"),
        ("n,text\n1,a\n,b\n", "row 3: "),
        (b"n,text\n1,\xff\n", "row 2: column 'text': conversion error to string: invalid UTF8"),
        (b"\xff,text\n1,a\n", "the heading is not UTF-8"),
    ],
)
def test_bad_csv_row_is_named(directory: Path, text: str | bytes, part: str) -> None:
    message = refusal(directory, "pairs", "--format", "csv", stdin=text)
    assert part in message
    assert "Nothing was produced." in message or "1 record was produced, up to row 2" in message


def test_bad_parquet_is_named(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "no.parquet").write_text("no Parquet at all")
    assert "no.parquet: this is no Parquet" in refusal(directory, "pairs", tmp_path / "no.parquet")
    pyarrow.parquet.write_table(pa.table({"n": ["a"]}), tmp_path / "text.parquet")
    message = refusal(directory, "pairs", tmp_path / "text.parquet")
    assert "column 'n' expects int64, got string" in message
    pyarrow.parquet.write_table(pa.table({"n": [1, None]}), tmp_path / "null.parquet")
    message = refusal(directory, "pairs", tmp_path / "null.parquet")
    assert "row 2: topic 'pairs': column 'n' is not nullable, this is null. Fill" in message
    assert pairs(directory) == [(1, None)]
    pyarrow.parquet.write_table(
        pa.table({"n": [1, 2], "x": [1, 2**53 + 1]}), tmp_path / "x.parquet"
    )
    message = refusal(directory, "all", tmp_path / "x.parquet")
    assert "row 2: topic 'all': column 'x' expects float64, got int64 with 900719" in message
    assert message.count("row ") == 2  # the other is the last that was produced


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("paris",), "'paris' does not exist"),
        (("pairs", "none.csv"), "pystream: none.csv: No such file or directory."),
        (("pairs", "-p", "7"), "no partition 7"),
        (("pairs", "--format", "table"), "cannot be read"),
        (("pairs", "--format", "raw"), "with a single text"),
        (("words", "--format", "raw", "-K", ":"), "with a single text"),
        (("lines", "--format", "raw", "--meta"), "has no place for --meta"),
        (("pairs", "--meta", "--producer-name", "x"), "Leave one of them out"),
    ],
)
def test_mistakes_are_named(directory: Path, arguments: tuple[str, ...], part: str) -> None:
    assert part in refusal(directory, *arguments, stdin="x")


def test_raw_lines_without_a_key_or_text_are_named(directory: Path) -> None:
    message = refusal(directory, "lines", "--format", "raw", "-K", ":", stdin="a:b\nc\nd:e\n")
    assert "line 2: there is no b':'" in message
    assert "1 record was produced" in message
    assert "line 2: the text is not UTF-8" in refusal(
        directory, "words", "--format", "raw", stdin=b"a\n\xff\nb\n"
    )


def test_meta_that_is_none_is_named(directory: Path) -> None:
    for meta in ('"_timestamp": "now"', '"_headers": {"a": 1}', '"_partition": "1"'):
        message = refusal(directory, "pairs", "--meta", stdin=f'{{"n": 1}}\n{{"n": 2, {meta}}}\n')
        assert "line 2: " in message
    missing = refusal(directory, "pairs", "--meta", stdin='{"n": 1}\n{"n": 2, "_partition": 9}\n')
    assert "line 2: " in missing
    assert len(pairs(directory)) == 4


# -- again, and ending -----------------------------------------------------------------------------


def test_named_producer_sends_mended_input_again_without_duplicates(directory: Path) -> None:
    lines = ['{"n": 0}', '{"n": 1}', '{"n": "?"}', '{"n": 3}']
    arguments = (directory, "pairs", "--producer-name", "loader")
    assert "line 3" in refusal(*arguments, stdin="\n".join(lines))
    lines[2] = '{"n": 2}'
    out = succeed(*arguments, stdin="\n".join(lines))
    assert out == "produced 4 records to pairs, 2 of which it had before\n"
    assert [n for n, _ in pairs(directory)] == [0, 1, 2, 3]


def test_lines_are_sent_as_they_come_and_a_signal_ends_the_wait(directory: Path) -> None:
    producing = subprocess.Popen(
        command("produce", directory, "pairs"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert producing.stdin is not None
    with ps.open(directory) as log, log.consumer("pairs", auto_offset_reset="earliest") as consumer:
        for n in (1, 2):
            producing.stdin.write(b'{"n": %d}\n' % n)
            producing.stdin.flush()
            (records,) = consumer.poll(f"{LONG}s").values()
            assert [record["n"] for record in records] == [n]
    producing.send_signal(signal.SIGTERM)
    out, error = producing.communicate(timeout=LONG)
    assert (producing.returncode, out) == (143, b"")
    assert (
        error
        == b"pystream: stopped. 2 records were produced, up to line 2, and nothing behind it.\n"
    )


class Pieces:
    """A file that gives the pieces it was made of."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)

    def read1(self, size: int) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


def blocks(*pieces: bytes, delimiter: bytes = b"\n", has_quotes: bool = False) -> list[bytes]:
    source = Input("test", Pieces(*pieces), Stop())  # type: ignore[arg-type]
    return list(line_blocks(source, delimiter, has_quotes=has_quotes))


def test_blocks_are_whole_lines_whatever_the_pieces() -> None:
    assert blocks(b"a\nb", b"c\n", b"d") == [b"a\n", b"bc\n", b"d"]
    assert blocks(b'a,"x\n', b'y"\nb', b"\n", has_quotes=True) == [b'a,"x\ny"\n', b"b\n"]
    assert blocks(b"a\r", b"\nb\r\n", delimiter=b"\r\n") == [b"a\r\nb\r\n"]
    assert blocks() == []


def test_line_without_an_end_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_lines, "LINE_MAX", 10)
    with pytest.raises(BadInputError, match="longer than 10 bytes"):
        blocks(b"12345", b"67890", b"1")
