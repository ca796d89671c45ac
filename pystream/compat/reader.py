"""What both libraries' consumers have in common: subscribing late, offsets, cheap commits."""

from __future__ import annotations

import contextlib
import time
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pystream.compat.wanted_topics import WantedTopics
from pystream.errors import (
    ClosedError,
    OffsetOutOfRangeError,
    StreamError,
    TopicExistsError,
    UnknownTopicError,
)
from pystream.types import TopicPartition

if TYPE_CHECKING:
    from pystream._native import Record
    from pystream.log import Log
    from pystream.log.consumer import Consumer

__all__ = ["COMMIT_SECONDS", "Reader", "create_topic"]

LOOK_SECONDS = 0.05  # between two looks for topics that do not exist yet
COMMIT_SECONDS = 0.05  # commits that nobody waits for are stored together, so far apart at most

Offsets = dict[TopicPartition, int]
CommitCallback = Callable[[Offsets, StreamError | None], None]


def create_topic(log: Log, name: str, partitions: int) -> None:
    """Create a topic of Kafka's shape, unless somebody else just did."""
    with contextlib.suppress(TopicExistsError):
        log.create_topic(name, partitions=partitions)


class Reader:
    """A consumer of a log that behaves where Kafka's clients agree.

    Subscribing waits for the first call that asks for records, so that callbacks run within such a
    call; topics may come later. A position may be set to an offset that is not there: the reset
    policy decides. Commits that nobody waits for are stored together.

    Parameters
    ----------
    log : Log
    reset : {"earliest", "latest", "none"}
    partitions : int or None
        Of topics that it creates because they were subscribed to; None: it creates none.
    on_assign, on_revoke, on_lost : method
        Called with the partitions.
    on_nowhere : method
        Called with partitions that have no offset to begin at, when `reset` is "none".
    settings : mapping
        Of the log's consumer.

    Notes
    -----
    One thread at a time.
    """

    def __init__(
        self,
        log: Log,
        *,
        reset: str,
        partitions: int | None,
        on_assign: Callable[[list[TopicPartition]], None],
        on_revoke: Callable[[list[TopicPartition]], None],
        on_lost: Callable[[list[TopicPartition]], None],
        on_nowhere: Callable[[list[TopicPartition]], None],
        settings: Mapping[str, Any],
    ) -> None:
        self.log = log
        self.group_id: str | None = settings.get("group_id")
        self._reset = reset
        self._partitions = partitions
        # Weakly, all the way: a client that is dropped leaves its group at once.
        self._callbacks = (_weakly(on_assign), _weakly(on_revoke), _weakly(on_lost))
        self._on_nowhere = _weakly(on_nowhere)
        # With "none" nowhere() finds partitions without an offset, and lets them be set later.
        policy = "earliest" if reset == "none" else reset
        self.consumer: Consumer = log.consumer(auto_offset_reset=policy, **settings)
        self.wanted: WantedTopics | None = None
        self.missing: frozenset[str] = frozenset()  # wanted by name, and not there
        self.begun: Offsets = {}  # positions before anything was read
        self._is_open_ended = False  # more topics may have to be subscribed to
        self._subscribed: tuple[tuple[str, ...], str | None] = ((), None)
        self._look_at = 0.0
        self._records: Iterator[Record] | None = None
        # The same while there is nothing to do but to read, for callers that are in a hurry.
        self.plain: Iterator[Record] | None = None
        self.wait: float | None = None  # that the consumer has, in seconds
        self._late: dict[TopicPartition, int] = {}
        self._late_callbacks: list[tuple[Offsets, CommitCallback]] = []
        self._commit_at = 0.0
        self.nowhere: set[TopicPartition] = set()  # without a place to begin at, so paused
        self._is_closing = self.is_closed = False

    # -- records ---------------------------------------------------------------------------------

    def next(self, wait: float | None) -> Record | None:
        """Return the next record, or None when none came within so many seconds."""
        self.settle()
        if self._is_open_ended or self._late_callbacks:
            return self._next_in_steps(wait)
        self.plain = self._at(wait)
        return next(self.plain, None)

    def ready(self, wait: float | None) -> Iterator[Record]:
        """Return the records from here on; each is waited for as long."""
        self.settle()
        return self._at(wait)

    def forget_iteration(self) -> None:
        """Say that records are read in another way now: what iterates begins anew."""
        self._moved()

    def settle(self) -> None:
        """Do what is due: subscribe, look for topics that did not exist, store late commits."""
        if self.is_closed:
            raise ClosedError("the consumer is closed. Make another.")
        if self.wanted is not None and self._is_open_ended:
            now = time.monotonic()
            if now >= self._look_at:
                self._look_at = now + LOOK_SECONDS
                self._subscribe(self.wanted)
        if self._late_callbacks and time.monotonic() >= self._commit_at:
            self.store_late()

    def steps(self, wait: float | None) -> Iterator[float | None]:
        """Cut a wait so that what is due meanwhile can be done; one step where nothing is."""
        deadline = None if wait is None else time.monotonic() + wait
        if not (self._is_open_ended or self._late_callbacks):
            yield wait
            return
        while True:
            left = LOOK_SECONDS
            if deadline is not None:
                left = min(left, max(deadline - time.monotonic(), 0.0))
            yield left
            if deadline is not None and time.monotonic() >= deadline:
                return
            self.settle()

    def _next_in_steps(self, wait: float | None) -> Record | None:
        for step in self.steps(wait):
            record = next(self._at(step), None)
            if record is not None:
                return record
        return None

    def _at(self, wait: float | None) -> Iterator[Record]:
        if self._records is None:
            self._records = iter(self.consumer)
        if wait != self.wait:
            self.consumer.timeout = None if wait is None else timedelta(seconds=wait)
            self.wait = wait
        return self._records

    # -- what is read ----------------------------------------------------------------------------

    def subscribe(self, wanted: WantedTopics) -> None:
        """Read these from the next call on that asks for records."""
        self.store_late()
        self.wanted = wanted
        self._is_open_ended = True
        self._subscribed = ((), None)
        self._look_at = 0.0
        self._moved()

    def unsubscribe(self) -> None:
        """Read nothing any more."""
        self.store_late()
        self.wanted = None
        self._is_open_ended = False
        self.missing = frozenset()
        self._moved()
        self.consumer.unsubscribe()
        self.begun = {}
        self.nowhere = set()

    def assign(
        self, places: Mapping[TopicPartition, int | None], *, kept: Collection[TopicPartition] = ()
    ) -> None:
        """Read exactly these partitions, from an offset or from the committed one.

        Also those that are `kept`: assigned already, they go on where they are.
        """
        self.store_late()
        self.wanted = None
        self._is_open_ended = False
        self.missing = frozenset()
        self._moved()
        self.consumer.assign([*kept, *places])
        self.consumer.resume(*self.nowhere & places.keys())
        self.nowhere.intersection_update(kept)
        self._begin(places)

    def start(self, places: Mapping[TopicPartition, int | None]) -> None:
        """Set where assigned partitions begin; None leaves them where they are."""
        for name, offset in places.items():
            if offset is not None:
                self.seek(name, offset)
                self.begun[name] = self.consumer.position(name)

    def seek(self, name: TopicPartition, offset: int) -> None:
        """Go to an offset; where none is, the reset policy decides.

        Raises
        ------
        OffsetOutOfRangeError
            If the policy is "none".
        """
        self._moved()
        try:
            self.consumer.seek(name, offset)
        except OffsetOutOfRangeError:
            if self._reset == "none":
                raise
            if self._reset == "earliest":
                self.consumer.seek_to_beginning(name)
            else:
                self.consumer.seek_to_end(name)
        self._found(name)

    def go_to(self, name: TopicPartition, *, is_end: bool) -> None:
        """Go to one of a partition's ends."""
        self._moved()
        if is_end:
            self.consumer.seek_to_end(name)
        else:
            self.consumer.seek_to_beginning(name)
        self._found(name)

    def pause(self, names: Iterable[TopicPartition]) -> None:
        """Read nothing from these."""
        self._moved()
        self.consumer.pause(*names)

    def resume(self, names: Iterable[TopicPartition]) -> None:
        """Go on with these."""
        self._moved()
        self.consumer.resume(*names)

    def consumed(self) -> Offsets:
        """Return the positions of partitions that something was read from."""
        found = {name: self.consumer.position(name) for name in self.consumer.assignment()}
        return {name: at for name, at in found.items() if self.begun.get(name) != at}

    def member_id(self) -> str | None:
        """Return what the group calls the consumer; None before it joined."""
        return self.consumer.member_id

    # -- committing ------------------------------------------------------------------------------

    def commit(self, offsets: Offsets) -> None:
        """Store offsets, after those that nobody waits for."""
        self.store_late()
        self.consumer.commit(offsets)

    def commit_late(self, offsets: Offsets, callback: CommitCallback) -> None:
        """Store offsets soon; the callback hears what became of them."""
        if not self._late_callbacks:
            self._commit_at = time.monotonic() + COMMIT_SECONDS
        self.plain = None
        self._late.update(offsets)
        self._late_callbacks.append((offsets, callback))

    def late_seconds(self) -> float | None:
        """Return in how many seconds offsets are stored that nobody waits for; None: no such."""
        return self._commit_at - time.monotonic() if self._late_callbacks else None

    def store_late(self) -> None:
        """Store the offsets that nobody waited for."""
        if not self._late_callbacks:
            return
        offsets, self._late = self._late, {}
        callbacks, self._late_callbacks = self._late_callbacks, []
        failed: StreamError | None = None
        try:
            self.consumer.commit(offsets)
        except StreamError as error:
            failed = error
        with contextlib.ExitStack() as told:  # all of them, also when one raises
            for asked, callback in reversed(callbacks):
                told.callback(callback, asked, failed)

    # -- life ------------------------------------------------------------------------------------

    def close(self, *, is_processed: bool = True) -> None:
        """Leave the group; `is_processed` says whether what was read last may be committed."""
        if self._is_closing:
            return
        self._is_closing = True  # on_revoke may still commit
        try:
            self.store_late()
            if is_processed:
                self.consumer.close()
            else:
                self.consumer.__exit__(StreamError, StreamError(), None)
        finally:
            self.is_closed = True
            self._moved()
            self.consumer.close()

    # -- helpers ---------------------------------------------------------------------------------

    def _found(self, name: TopicPartition) -> None:
        if name in self.nowhere:
            self.nowhere.discard(name)
            self.consumer.resume(name)

    def _moved(self) -> None:
        self._records = self.plain = None

    def _subscribe(self, wanted: WantedTopics) -> None:
        known = self.log.topics()
        absent = [name for name in wanted.names if name not in known]
        if absent and self._partitions is not None:
            for name in absent:
                create_topic(self.log, name, self._partitions)
            known = self.log.topics()
        names = [name for name in wanted.names if name in known]
        matching = wanted.matching(known)
        pattern = wanted.pattern if matching else None
        if self.group_id is None:
            names += [name for name in matching if name not in names]
            pattern = None
        self.plain = None
        self.missing = frozenset(wanted.names) - frozenset(known)
        is_looking = wanted.pattern is not None and pattern is None
        self._is_open_ended = bool(self.missing) or is_looking
        if (tuple(names), pattern) == self._subscribed or not (names or pattern):
            return
        self._subscribed = (tuple(names), pattern)
        self._moved()
        self._join(names, pattern)

    def _join(self, names: list[str], pattern: str | None) -> None:
        try:
            assigned, revoked, lost = (
                _weakly(method) for method in (self._assigned, self._revoked, self._lost)
            )
            self.consumer.subscribe(
                names,
                pattern=pattern,
                on_assign=lambda _, partitions: assigned(partitions),
                on_revoke=lambda _, partitions: revoked(partitions),
                on_lost=lambda _, partitions: lost(partitions),
            )
        except UnknownTopicError:  # deleted meanwhile: look again
            self._is_open_ended = True
            self._subscribed = ((), None)
            return
        except BaseException:
            self._subscribed = ((), None)
            self._is_open_ended = True
            raise
        if self.group_id is None:
            self._begin(dict.fromkeys(self.consumer.assignment()))

    def _assigned(self, partitions: list[TopicPartition]) -> None:
        self._begin(dict.fromkeys(partitions))
        self._callbacks[0](partitions)

    def _revoked(self, partitions: list[TopicPartition]) -> None:
        self._given_up(partitions, self._callbacks[1])

    def _lost(self, partitions: list[TopicPartition]) -> None:
        self._given_up(partitions, self._callbacks[2])

    def _given_up(
        self, partitions: list[TopicPartition], tell: Callable[[list[TopicPartition]], None]
    ) -> None:
        self.store_late()
        try:
            tell(partitions)
        finally:
            self.store_late()
            for name in partitions:
                self.begun.pop(name, None)
                self.nowhere.discard(name)

    def _begin(self, places: Mapping[TopicPartition, int | None]) -> None:
        """Note where new partitions begin, those without a place to begin at apart."""
        for name in places:
            self.begun[name] = self.consumer.position(name)
        self.start(places)
        if self._reset == "none":
            nowhere = [name for name in places if places[name] is None and self._is_nowhere(name)]
            if nowhere:
                self.nowhere.update(nowhere)
                self.consumer.pause(*nowhere)
                self._on_nowhere(nowhere)

    def _is_nowhere(self, name: TopicPartition) -> bool:
        if self.group_id is None:
            return True
        committed = self.consumer.committed(name)
        return committed is None or committed != self.consumer.position(name)


def _weakly(
    method: Callable[[list[TopicPartition]], None],
) -> Callable[[list[TopicPartition]], None]:
    """Return a function that calls a method as long as its object lives, and keeps it not."""
    reference = weakref.WeakMethod(method)

    def call(partitions: list[TopicPartition]) -> None:
        found = reference()
        if found is not None:
            found(partitions)

    return call
