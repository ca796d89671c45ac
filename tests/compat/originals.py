"""The libraries themselves; importing one of them warns."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import confluent_kafka
    import confluent_kafka.admin
    import confluent_kafka.aio
    import confluent_kafka.error
    import confluent_kafka.serialization
    import kafka
    import kafka.admin
    import kafka.errors

__all__ = ["confluent_kafka", "kafka"]
