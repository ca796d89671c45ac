"""``pystream transactions``: what its commands do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

import pystream as ps
from pystream.cli.printing import print_json, print_table

if TYPE_CHECKING:
    from pystream.log.transactions.admin import TransactionDescription, TransactionListing

__all__ = ["abort_transaction", "describe_transaction", "list_transactions"]

_SHOWN_PARTITIONS = 8  # in a line; describe shows all


def list_transactions(directory: Path, console: Console, *, as_json: bool) -> None:
    """Print a line for each transaction."""
    with ps.open(directory, read_only=True) as log:
        found = log.transactions()
    if as_json:
        print_json([_summary(its) for its in found])
        return
    print_table(
        console,
        ["transactional id", "transaction", "state", "process", "alive", "age", "partitions"],
        [
            (
                its.transactional_id,
                str(its.transaction_id),
                its.state,
                str(its.process_id),
                "yes" if its.is_alive else "no",
                _age(its.age_us),
                _partitions(its),
            )
            for its in found
        ],
        numbers=("transaction", "process", "age"),
    )


def describe_transaction(
    directory: Path, transaction: str, console: Console, *, as_json: bool
) -> None:
    """Print a transaction, and what it has in each partition."""
    with ps.open(directory, read_only=True) as log:
        its = log.describe_transaction(_named(log, transaction))
    if as_json:
        print_json(_description(its))
        return
    listing = its.listing
    console.print(
        f"[bold cyan]{escape(listing.transactional_id)}[/]: transaction {listing.transaction_id}, "
        f"{listing.state}, process {listing.process_id} "
        f"({'alive' if listing.is_alive else 'dead'}), producer {its.producer_id} epoch "
        f"{its.producer_epoch}, {_age(listing.age_us)} old of at most {_age(its.timeout_us)}",
        soft_wrap=True,
    )
    console.print()
    print_table(
        console,
        ["topic", "partition", "first open", "last stable", "end"],
        [
            (
                place.topic,
                str(place.partition),
                "" if there.first_offset is None else f"{there.first_offset:,}",
                f"{there.last_stable_offset:,}",
                f"{there.log_end_offset:,}",
            )
            for place, there in sorted(its.partitions.items())
        ],
        numbers=("partition", "first open", "last stable", "end"),
    )


def abort_transaction(directory: Path, transaction: str, console: Console) -> None:
    """Abort an open transaction and say so."""
    with ps.open(directory) as log:
        named = _named(log, transaction)
        log.abort_transaction(named)
    console.print(f"aborted {escape(str(named))}", soft_wrap=True)


def _named(log: ps.Log, transaction: str) -> int | str:
    """Return the id if it is one; a transactional id may consist of digits too."""
    if transaction.isdecimal():
        number = int(transaction)
        if any(its.transaction_id == number for its in log.transactions()):
            return number
    return transaction


def _age(microseconds: int) -> str:
    seconds = microseconds // 1_000_000
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    return f"{seconds // 3600:,} h"


def _partitions(its: TransactionListing) -> str:
    shown = [f"{topic}-{partition}" for topic, partition in its.partitions[:_SHOWN_PARTITIONS]]
    more = len(its.partitions) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _summary(its: TransactionListing) -> dict[str, Any]:
    return {
        "transaction_id": its.transaction_id,
        "transactional_id": its.transactional_id,
        "state": its.state,
        "process": its.process_id,
        "is_alive": its.is_alive,
        "age_us": its.age_us,
        "partitions": [list(place) for place in its.partitions],
    }


def _description(its: TransactionDescription) -> dict[str, Any]:
    partitions = [
        {
            "topic": place.topic,
            "partition": place.partition,
            "first_offset": there.first_offset,
            "last_stable_offset": there.last_stable_offset,
            "log_end_offset": there.log_end_offset,
        }
        for place, there in sorted(its.partitions.items())
    ]
    return {
        **_summary(its.listing),
        "producer_id": its.producer_id,
        "producer_epoch": its.producer_epoch,
        "begun_us": its.begun_us,
        "timeout_us": its.timeout_us,
        "partitions": partitions,
    }
