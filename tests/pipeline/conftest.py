"""Fixtures that tests of pipelines share."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from pystream.engines.local import job as job_module


@pytest.fixture(scope="module", params=[0, 1], ids=["kept", "restored"])
def also_restored(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run each test of a module twice, with jobs whose operators are restored all the time, too.

    Rounds are as small as batches. After each, every operator but the sources writes its state to a
    snapshot, which is given to it in place of what it had.
    """
    with pytest.MonkeyPatch.context() as patch:
        if request.param:
            executor = partial(job_module.Executor, restored_parts=request.param, round_rows=1)
            patch.setattr(job_module, "Executor", executor)
        yield
