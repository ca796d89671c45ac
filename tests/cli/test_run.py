"""`pystream run`: which job of a program runs, what it prints, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

import pystream as ps

START = """
import sys
import pystream as ps
log = ps.open("data")
log.create_topic("numbers", schema={"n": "int64"}, exist_ok=True)
with log.producer() as producer:
    for n in range(3):
        producer.send("numbers", {"n": n})
env = ps.Environment(log, name="copy")
numbers = env.from_topic("numbers")
"""


@pytest.fixture(autouse=True)
def in_own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def command(*arguments: str) -> list[str]:
    program = "from pystream.cli.main import main; main()"
    return [sys.executable, "-W", "error", "-c", program, "run", *arguments]


def environment() -> dict[str, str]:
    root = str(Path(ps.__file__).parents[1])
    return {**os.environ, "PYTHONPATH": root, "NO_COLOR": "1", "COLUMNS": "100"}


def run(source: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    Path("job.py").write_text(START + source)
    return subprocess.run(
        command("job.py", *arguments),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def copied() -> list[int]:
    with ps.open("data") as log:
        return ps.Environment(log).from_topic("copies").to_arrow()["n"].to_pylist()


def test_an_environment_named_env_is_executed() -> None:
    ran = run('numbers.sink_to_topic("copies")', "--until", "latest")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert copied() == [0, 1, 2]


def test_a_program_that_executes_itself_is_not_run_twice() -> None:
    source = 'numbers.sink_to_topic("copies")\nprint(env.execute().records_in)'
    ran = run(source, "--until", "latest")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "3\n", "")
    assert copied() == [0, 1, 2]


def test_the_program_is_main_and_gets_its_arguments() -> None:
    Path("helper.py").write_text("value = 7")
    source = """
import helper
if __name__ == "__main__":
    print(sys.argv[1:], helper.value, __file__)
    sys.exit(5)
"""
    ran = run(source, "--live", "--", "--size", "10")
    assert (ran.returncode, ran.stdout) == (5, "['--size', '10'] 7 job.py\n")


def test_live_prints_lines_where_there_is_no_terminal() -> None:
    ran = run('numbers.sink_to_topic("copies")', "--until", "latest", "--live")
    assert ran.returncode == 0
    assert ran.stdout == ""
    (line,) = ran.stderr.splitlines()
    assert line.startswith("copy: ")
    assert "3 records in" in line
    assert "0 pending" in line


def test_a_failing_job_names_the_operator_and_shows_the_programs_frames_alone() -> None:
    source = """
def halve(batch):
    raise ValueError("odd [number]")
numbers.map_batches(halve).sink_to_topic("copies")
"""
    ran = run(source, "--until", "latest", "--live")
    assert ran.returncode == 1
    assert "operator 'halve' failed on a batch of 3 rows: ValueError: odd [number]" in ran.stderr
    assert 'File "job.py", line 13, in halve' in ran.stderr
    assert "pystream/engines" not in ran.stderr


def test_tables_and_files_of_a_stream_are_jobs() -> None:
    source = 'print(numbers.to_arrow().num_rows)\nnumbers.to_parquet("numbers.parquet")'
    ran = run(source, "--live")
    assert (ran.returncode, ran.stdout) == (0, "3\n")
    first, second = ran.stderr.splitlines()
    assert "copy: " in first
    assert "3 records in" in first
    assert "3 records in" in second


def test_sinks_are_executed_though_the_program_looked_at_a_table() -> None:
    source = 'numbers.sink_to_topic("copies")\nprint(numbers.to_arrow().num_rows)'
    ran = run(source, "--until", "latest")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "3\n", "")
    assert copied() == [0, 1, 2]


def test_an_environment_without_sinks_is_no_job() -> None:
    ran = run("")
    assert ran.returncode == 2
    assert "started no job and has no Environment named env with a sink" in ran.stderr


BROKEN = """
def halve(batch):
    raise ValueError("odd")
numbers.map_batches(halve).sink_to_topic("copies")
job = env.execute_async()
while job.is_running:
    pass
"""


def test_a_job_beside_the_program_is_watched() -> None:
    source = 'numbers.sink_to_topic("copies")\nprint(env.execute_async().result().records_in)'
    ran = run(source, "--until", "latest", "--live")
    assert (ran.returncode, ran.stdout) == (0, "3\n")
    (line,) = ran.stderr.splitlines()
    assert line.startswith("copy: ")
    assert "3 records in" in line


@pytest.mark.parametrize("end", ["", "sys.exit()", "sys.exit(0)"])
def test_a_failure_that_the_program_did_not_look_at_is_told(end: str) -> None:
    ran = run(BROKEN + end)
    assert ran.returncode == 1
    assert ran.stderr.count("operator 'halve' failed on a batch of 3 rows: ValueError: odd") == 1
    assert 'File "job.py", line 13, in halve' in ran.stderr
    assert "pystream/engines" not in ran.stderr


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("job.result()", 1),
        ("try:\n    job.result()\nexcept ps.errors.OperatorError:\n    sys.exit(0)", 0),
        ("sys.exit(5)", 5),
    ],
)
def test_a_program_that_looks_at_a_failure_has_its_own_status(end: str, status: int) -> None:
    ran = run(BROKEN + end)
    assert ran.returncode == status
    assert ran.stderr.count("ValueError: odd.") == (status != 0)


def test_a_job_that_the_program_leaves_running_is_cancelled_and_named() -> None:
    ran = run('numbers.sink_to_topic("copies")\nenv.execute_async()')
    assert (ran.returncode, ran.stdout) == (0, "")
    assert ran.stderr.startswith("pystream: job 'copy' was left running")


def test_an_error_of_the_program_itself_shows_its_frames_alone() -> None:
    ran = run("def f():\n    return 1 // 0\nf()")
    assert ran.returncode == 1
    assert "ZeroDivisionError" in ran.stderr
    assert 'File "job.py", line 12, in f' in ran.stderr
    assert "pystream" not in ran.stderr


def test_a_program_that_does_not_compile_shows_its_line_alone() -> None:
    ran = run("x = (")
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[0].strip() == 'File "job.py", line 11'
    assert ran.stderr.splitlines()[-1].startswith("SyntaxError: ")
    assert "pystream" not in ran.stderr


def test_a_port_that_is_taken_is_named_with_its_option() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = run("", "--prometheus", str(port))
    assert ran.returncode == 1
    assert f"--prometheus cannot listen on port {port}: Address already in use" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_an_error_while_the_chain_is_built_is_one_line() -> None:
    ran = run('numbers.filter(ps.col("m") > 0)')
    assert ran.returncode == 1
    assert ran.stderr.startswith("pystream: ")
    assert len(ran.stderr.splitlines()) == 1


def test_a_program_without_a_job_says_what_to_do() -> None:
    Path("job.py").write_text("x = 1")
    ran = subprocess.run(
        command("job.py"), env=environment(), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert "started no job and has no Environment named env" in ran.stderr


@pytest.mark.parametrize(
    ("number", "status", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_signal_ends_a_job_that_has_no_end(
    number: signal.Signals, status: int, word: str
) -> None:
    source = """
def tell(batch):
    print("running", flush=True)
    return batch
numbers.map_batches(tell).sink_to_topic("copies")
"""
    Path("job.py").write_text(START + source)
    with subprocess.Popen(
        command("job.py", "--live"),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "running\n"
        program.send_signal(number)
        _, printed = program.communicate(timeout=60)
    assert program.returncode == status
    lines = printed.splitlines()
    assert lines[-1] == f"pystream: {word}; what the sinks appended stays."
    assert lines[-2].startswith("copy: ")
    assert "Traceback" not in printed


def test_metrics_are_served_while_the_program_runs() -> None:
    Path("job.py").write_text(START + 'numbers.sink_to_topic("copies")')
    with subprocess.Popen(
        command("job.py", "--prometheus", "0"),
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stderr is not None
        address = program.stderr.readline().removeprefix("Metrics at ").strip()
        expected = 'records_in_total{job_name="copy",operator_name="sink_to_topic-2"} 3.0'
        pause = threading.Event()
        for _ in range(6_000):
            with urllib.request.urlopen(address, timeout=60) as answer:
                page = answer.read().decode()
            if expected in page:
                break
            pause.wait(0.01)
        program.send_signal(signal.SIGINT)
        program.communicate(timeout=60)
    assert expected in page
    assert program.returncode == 130
