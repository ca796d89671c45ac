"""The commands ``pystream transactions ...`` and their options."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from pystream.cli.arguments import AsJson, Directory, require_log
from pystream.cli.endings import ending
from pystream.cli.printing import result_console
from pystream.errors import StreamError

__all__ = ["transactions_app"]

transactions_app = typer.Typer(
    help="List, describe and abort transactions that are open.", no_args_is_help=True
)


def complete_transactions(context: typer.Context, incomplete: str) -> list[str]:
    """Return the transactional ids that begin so; nothing where there is no log."""
    import pystream  # noqa: PLC0415  --help stays fast

    directory = context.params.get("directory")
    with contextlib.suppress(StreamError, OSError):
        if directory is not None:
            with pystream.open(directory, read_only=True) as log:
                names = {found.transactional_id for found in log.transactions()}
                return sorted(name for name in names if name.startswith(incomplete))
    return []


Transaction = Annotated[
    str,
    typer.Argument(
        help="Its id, or the transactional id of its producer.",
        autocompletion=complete_transactions,
        show_default=False,
    ),
]


@transactions_app.command("list", epilog="Example: pystream transactions list data --json")
def list_(directory: Directory, as_json: AsJson = False) -> None:
    """List transactions: their state, whether the producer lives, age and partitions."""
    from pystream.cli.transactions import list_transactions  # noqa: PLC0415  --help stays fast

    with ending():
        list_transactions(directory, result_console(), as_json=as_json)


@transactions_app.command(epilog="Example: pystream transactions describe data billing-1")
def describe(directory: Directory, transaction: Transaction, as_json: AsJson = False) -> None:
    """Describe a transaction: what it has in each partition, and how far readers come there."""
    from pystream.cli.transactions import describe_transaction  # noqa: PLC0415  --help stays fast

    with ending():
        describe_transaction(directory, transaction, result_console(), as_json=as_json)


@transactions_app.command(epilog="Example: pystream transactions abort data billing-1")
def abort(directory: Directory, transaction: Transaction) -> None:
    """Abort an open transaction. Its producer learns of it with its next call."""
    from pystream.cli.transactions import abort_transaction  # noqa: PLC0415  --help stays fast

    with ending():
        require_log(directory)
        abort_transaction(directory, transaction, result_console())
