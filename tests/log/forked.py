"""Roles in processes that fork from one of their own, for tests that kill them."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from collections.abc import Callable

import pystream as ps

__all__ = ["start", "warm_up"]


def warm_up() -> None:
    """Load here what each forked process would otherwise load for itself, and end all threads."""
    with tempfile.TemporaryDirectory(prefix="torture-") as directory, ps.open(directory) as log:
        log.create_topic("t", {"n": "int64"}, key="n")
        with log.producer(producer_name="p") as producer:
            producer.send("t", {"n": 1}, sequence_id=1)
            producer.send_batch("t", {"n": [2]}, sequence_id=2)
        with log.consumer("t", group_id="g", auto_offset_reset="earliest") as consumer:
            next(iter(consumer.batches(timeout="0s")))
            consumer.commit()
            with log.producer(transactional_id="t") as producer, producer.transaction():
                producer.send_batch("t", {"n": [3]})
                offsets = {ps.TopicPartition("t", 0): 1}
                producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata())
    gc.collect()
    gc.freeze()


def start(role: Callable[[], None]) -> int:
    """Run `role` in a forked process."""
    child = os.fork()
    if child:
        return child
    try:
        role()
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)
