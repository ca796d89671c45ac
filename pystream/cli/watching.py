"""Who watches the jobs that ``pystream run`` starts: a live view, Prometheus, both or nobody."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING

from pystream.errors import ConfigError
from pystream.prometheus import Exposition, serve

if TYPE_CHECKING:
    from rich.console import Console

    from pystream.cli.live import LiveView
    from pystream.engines.local import Job

__all__ = ["watch_with"]


@contextlib.contextmanager
def watch_with(
    live: LiveView | None, port: int | None, console: Console
) -> Iterator[Callable[[Job], AbstractContextManager[None]]]:
    """Yield what ``RunContext`` takes as `watch`; a page of metrics is served during the block.

    Raises
    ------
    ImportError
        If the page is wanted and Prometheus's client library is not installed.
    ConfigError
        If the port is taken.
    """
    with ExitStack() as stack:
        page = None if port is None else stack.enter_context(_serve(port))
        if page is not None:
            console.print(
                f"Metrics at http://127.0.0.1:{page.port}/metrics", highlight=False, soft_wrap=True
            )

        @contextlib.contextmanager
        def watch(job: Job) -> Iterator[None]:
            with ExitStack() as watching:
                if page is not None:
                    page.collector.add(job)
                    watching.callback(page.collector.remove, job)
                if live is not None:
                    watching.enter_context(live.watch(job))
                yield

        yield watch


@contextlib.contextmanager
def _serve(port: int) -> Iterator[Exposition]:
    with ExitStack() as stack:
        try:
            page = stack.enter_context(serve(port=port))
        except OSError as error:
            raise ConfigError(
                f"--prometheus cannot listen on port {port}: {error.strerror or error}. Name "
                "another port, or 0 for one that is free."
            ) from error
        yield page
