"""Transactions as a log's files have them: markers against each other, and against the catalog."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from pystream.log.catalog.transactions import ABORTED, COMMITTED, OPEN
from pystream.log.findings import Finding

if TYPE_CHECKING:
    from pystream._native import PartitionVerifier
    from pystream.log.catalog.check import CatalogContent

__all__ = ["TransactionFindings"]

_REPORT = "Please report this, with the file."


class _Open(NamedTuple):
    transaction: int
    topic: str
    partition: int
    path: str
    first_offset: int


@dataclass
class TransactionFindings:
    """Collects what partitions say of transactions, and compares it at the end."""

    _decided: dict[int, tuple[bool, str, int]] = field(default_factory=dict)
    _open: list[_Open] = field(default_factory=list)
    _torn: list[Finding] = field(default_factory=list)

    def add(self, topic: str, partition: int, path: str, verifier: PartitionVerifier) -> None:
        """Take note of what a partition says."""
        for transaction, is_commit in verifier.decided_transactions:
            before = self._decided.setdefault(transaction, (is_commit, topic, partition))
            if before[0] != is_commit:
                self._torn.append(
                    Finding(
                        "transaction-torn",
                        f"transaction {transaction} is {_word(is_commit)} in {topic}-{partition}, "
                        f"and {_word(before[0])} in {before[1]}-{before[2]}",
                        _REPORT,
                        path,
                        topic=topic,
                        partition=partition,
                    )
                )
        self._open += [
            _Open(transaction, topic, partition, path, offset)
            for transaction, offset in verifier.open_transactions
        ]

    def findings(self, catalog: CatalogContent) -> list[Finding]:
        """Return what is wrong, and, as notes, what the next reader or writer completes."""
        found = list(self._torn)
        for transaction, state in catalog.transactions.items():
            said = self._decided.get(transaction)
            if said is None or state == OPEN or said[0] == (state == COMMITTED):
                continue  # one that was open when the catalog was read may be decided by now
            found.append(
                Finding(
                    "transaction-torn",
                    f"transaction {transaction} is {_word(said[0])} in {said[1]}-{said[2]}, and "
                    f"{state} in the catalog",
                    _REPORT,
                    catalog.path,
                    topic=said[1],
                    partition=said[2],
                )
            )
        for left in self._open:
            state = catalog.transactions.get(left.transaction, ABORTED)
            if state == OPEN:
                continue
            found.append(
                Finding(
                    "transaction-unfinished",
                    f"transaction {left.transaction} is {state}, and has no marker yet in "
                    f"{left.topic}-{left.partition}: who reads or writes there next completes it",
                    "",
                    left.path,
                    topic=left.topic,
                    partition=left.partition,
                    offset=left.first_offset,
                    is_note=True,
                )
            )
        return found


def _word(is_commit: bool) -> str:
    return COMMITTED if is_commit else ABORTED
