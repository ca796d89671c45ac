"""Settings that all tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from pystream import config

# The same examples on every run, whatever the load of the machine. With
# --hypothesis-profile=explore: new ones each time, and how to repeat a failure.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, print_blob=True, max_examples=1000)
settings.load_profile("repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no process is left alone with it at the end."""
    items.sort(key=lambda item: item.path.parent.name != "torture")


@pytest.fixture(autouse=True)
def settings_stay() -> Iterator[None]:
    """Find who changes pystream's settings for all tests behind it: ``monkeypatch`` does not."""
    before = {name: value for name, value in vars(config).items() if name.isupper()}
    yield
    changed = {name for name, value in before.items() if getattr(config, name) != value}
    for name in changed:
        setattr(config, name, before[name])
    assert not changed, f"the test has changed config.{', config.'.join(sorted(changed))}"
