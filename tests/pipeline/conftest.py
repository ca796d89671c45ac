"""Fixtures that tests of pipelines share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pipeline.restarts import restart_jobs


@pytest.fixture(scope="module", params=[False, True], ids=["kept", "restored"])
def also_restored(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run each test of a module twice, with jobs that go on in a new executor all the time, too."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param:
            restart_jobs(patch)
        yield
