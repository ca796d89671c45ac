"""Fixtures that tests of pipelines share."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from pystream.engines.local import job as job_module


@pytest.fixture(scope="module", params=[0, 3], ids=["kept", "restored"])
def also_restored(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run each test of a module twice, with jobs whose operators are restored all the time, too.

    After each round every operator but the sources writes its state to a snapshot, which is split
    by key group into three, put together again, and given to it in place of what it had.
    """
    with pytest.MonkeyPatch.context() as patch:
        if request.param:
            executor = partial(job_module.Executor, restored_parts=request.param)
            patch.setattr(job_module, "Executor", executor)
        yield
