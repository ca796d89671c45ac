"""Ten thousand topics, and more partitions in use than the process may have open files."""

from __future__ import annotations

import errno
import itertools
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest

import pystream as ps
import pystream.log.consumer  # no module can be imported at the limit of open files
from pystream import errors
from pystream.log.kernel_lock import KernelLock
from pystream.log.os_errors import is_at_file_limit
from pystream.log.topic_file import topic_directories
from pystream.log.verify import verify_log
from tests.log.reading import rows_of

MANY = 10_000


@pytest.fixture(scope="module")
def many() -> Iterator[Path]:
    """Return the directory of a log with ten thousand topics; in memory, where there is a tmpfs."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory:
        with ps.open(directory) as log:
            log.create_topics((f"t{n:05}" for n in range(MANY)), {"n": "int64"})
        yield Path(directory)


def seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def test_ten_thousand_topics_are_opened_listed_and_found_in_no_time(many: Path) -> None:
    assert seconds(lambda: ps.open(many).close()) < 2
    with ps.open(many) as log:
        assert len(log.topics()) == MANY
        assert seconds(log.topics) < 2
        assert seconds(lambda: [log.topic(f"t{n:05}") for n in range(1000)]) < 5
        assert seconds(lambda: log.create_topic("another")) < 5
        assert seconds(lambda: log.delete_topic("another")) < 5
        with log.producer() as producer:
            assert producer.send("t09999", {"n": 1}).result().offset == 0
        assert rows_of(log, "t09999") == [{"n": 1}]


def test_unknown_topic_among_many_names_the_nearest(many: Path) -> None:
    with ps.open(many) as log, pytest.raises(errors.UnknownTopicError) as caught:
        log.topic("t0999")
    message = str(caught.value)
    assert "t09999" in message or "t00999" in message
    assert "10,000 topics" in message
    assert len(message) < 500


def test_topics_are_created_together_in_one_commit(log: ps.Log) -> None:
    log.create_topic("b", {"n": "int64"})
    before = log.catalog.change_mark()
    names = ["c", "b", "a"]
    with mock.patch.object(KernelLock, "acquire", autospec=True) as taken:
        topics = log.create_topics(names, {"n": "int64"}, partitions=1, exist_ok=True)
        assert taken.call_count == 1
        log.create_topics(names, {"n": "int64"}, exist_ok=True)
        assert taken.call_count == 1
    assert [topic.name for topic in topics] == names
    assert log.topics() == ["a", "b", "c"]
    assert log.catalog.change_mark() == before  # nothing that a client knew has changed
    with log.producer() as producer:
        for topic in topics:
            producer.send(topic.name, {"n": 7})
    assert [rows_of(log, name) for name in names] == [[{"n": 7}]] * 3
    assert verify_log(log.directory).problems == []


def test_topics_that_cannot_all_be_created_are_none(log: ps.Log) -> None:
    log.create_topic("b", {"n": "int64"})
    with pytest.raises(errors.TopicExistsError, match="topic 'b' exists already") as caught:
        log.create_topics(["a", "b"], {"n": "int64"})
    assert caught.value.topic == "b"
    with pytest.raises(errors.TopicExistsError, match="'b' exists already with another schema"):
        log.create_topics(["a", "b"], {"n": "float64"}, exist_ok=True)
    with pytest.raises(errors.ConfigError, match="'a' twice"):
        log.create_topics(["a", "c", "a"])
    with pytest.raises(errors.ConfigError, match="up' is not legal"):
        log.create_topics(["a", "../up"])
    with pytest.raises(errors.ConfigError, match="names is the string 'abc'"):
        log.create_topics("abc")
    assert log.topics() == ["b"]
    assert log.create_topics([]) == []


def test_error_of_one_topic_file_creates_no_topic(
    log: ps.Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.fdatasync, []

    def failing(fd: int) -> None:
        calls.append(fd)
        if len(calls) == 50:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(fd)

    names = [f"t{n}" for n in range(100)]
    monkeypatch.setattr(os, "fdatasync", failing)
    with pytest.raises(errors.StorageError, match="cannot be recorded"):
        log.create_topics(names)
    assert log.topics() == []
    assert len(log.create_topics(names)) == 100
    assert log.topics() == sorted(names)
    problems = verify_log(log.directory).problems
    assert problems == []
    assert len(list(topic_directories(log.directory))) >= 100


@pytest.fixture
def few_files() -> Iterator[Callable[[], None]]:
    """Let this process open 40 files more, until the returned function is called."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = {int(name) for name in os.listdir("/proc/self/fd")}
    free = (number for number in itertools.count() if number not in used)
    limit = next(itertools.islice(free, 40, None))

    def lift() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limits[1]))
    yield lift
    lift()


def assert_names_the_limit(error: errors.StorageError) -> None:
    assert error.errno == errno.EMFILE
    assert "Too many open files" in str(error)
    assert "(RLIMIT_NOFILE)" in str(error)
    assert "ulimit -n" in str(error)


def test_more_partitions_than_open_files_is_an_error_that_names_the_limit(
    log: ps.Log, few_files: Callable[[], None]
) -> None:
    """What was acknowledged is there, what failed is not, and all goes on with a higher limit."""
    names = [f"t{n:02}" for n in range(60)]
    failed = []
    with log.producer() as producer:
        log.create_topics(names, {"n": "int64"})
        for n, name in enumerate(names):
            try:
                producer.send(name, {"n": n}).result("30s")
            except errors.StorageError as error:
                assert_names_the_limit(error)
                failed.append(name)
        assert 0 < len(failed) < len(names)
        with pytest.raises(errors.StorageError) as caught:
            log.consumer(*names)
        assert_names_the_limit(caught.value)
        few_files()
        for name in failed:
            producer.send(name, {"n": names.index(name)}).result("30s")
    assert [rows_of(log, name) for name in names] == [[{"n": n}] for n in range(len(names))]
    assert verify_log(log.directory).problems == []


def test_catalog_and_locks_at_the_limit_of_open_files_say_so(
    tmp_path: Path, few_files: Callable[[], None]
) -> None:
    with ps.open(tmp_path / "log") as log:
        taken: list[int] = []
        while not is_at_file_limit():
            taken.append(os.open(os.devnull, os.O_RDONLY))
        try:
            for use in (lambda: log.create_topic("t"), lambda: ps.open(tmp_path / "other")):
                with pytest.raises(errors.StorageError) as caught:
                    use()
                assert_names_the_limit(caught.value)
            # SQLite does not say why it cannot open a file.
            log.catalog.close()
            while not is_at_file_limit():
                taken.append(os.open(os.devnull, os.O_RDONLY))
            with pytest.raises(errors.StorageError) as caught:
                log.topics()
            assert_names_the_limit(caught.value)
        finally:
            for fd in taken:
                os.close(fd)
        few_files()
        log.create_topic("t")
