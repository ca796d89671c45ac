"""kafka-python's names for administration, on a log."""

from pystream.compat.kafka.admin.client import KafkaAdminClient
from pystream.compat.kafka.admin.requests import (
    AlterConfigOp,
    ConfigFilterType,
    ConfigResource,
    ConfigResourceType,
    ConfigSourceType,
    ConfigType,
    GroupState,
    GroupType,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    OffsetTimestamp,
)

__all__ = [
    "AlterConfigOp",
    "ConfigFilterType",
    "ConfigResource",
    "ConfigResourceType",
    "ConfigSourceType",
    "ConfigType",
    "GroupState",
    "GroupType",
    "KafkaAdminClient",
    "NewPartitions",
    "NewTopic",
    "OffsetSpec",
    "OffsetTimestamp",
]
