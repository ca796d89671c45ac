"""Settings that all tests share."""

from __future__ import annotations

from hypothesis import settings

# The same examples on every run, whatever the load of the machine. With
# --hypothesis-profile=explore: new ones each time, and how to repeat a failure.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, print_blob=True, max_examples=1000)
settings.load_profile("repeatable")
