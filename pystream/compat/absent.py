"""What the two libraries have and a log cannot: by name, each with the reason."""

from __future__ import annotations

from typing import Any, ClassVar

from pystream.errors import NotSupportedError

__all__ = ["CONFLUENT_KAFKA", "KAFKA", "AbsentError", "NotHere"]

_SECURITY = "a log has no users: the file system's permissions say who may open it"
_REPLICAS = "a log has one copy of each partition"
_SHARE = "share groups are not built"
_REGISTRY = "nobody serves schemas: a topic with columns has its own"
_BROKERS = "there are no brokers"
_DEFAULTS = "docs/from-kafka.md lists the settings"

CONFLUENT_KAFKA = {
    "AcknowledgeType": _SHARE,
    "ConcurrentModificationException": _SHARE,
    "DeserializingShareConsumer": _SHARE,
    "IllegalStateException": _SHARE,
    "Messages": _SHARE,
    "ShareConsumer": _SHARE,
    "kafkatest": "programs for testing a cluster",
    "libversion": "there is no librdkafka",
    "ElectionType": _REPLICAS,
    "admin.AclBinding": _SECURITY,
    "admin.AclBindingFilter": _SECURITY,
    "admin.AclOperation": _SECURITY,
    "admin.AclPermissionType": _SECURITY,
    "admin.ResourcePatternType": _SECURITY,
    "admin.ScramCredentialInfo": _SECURITY,
    "admin.ScramMechanism": _SECURITY,
    "admin.UserScramCredentialAlteration": _SECURITY,
    "admin.UserScramCredentialDeletion": _SECURITY,
    "admin.UserScramCredentialUpsertion": _SECURITY,
    "admin.UserScramCredentialsDescription": _SECURITY,
    "admin.AdminClient.alter_user_scram_credentials": _SECURITY,
    "admin.AdminClient.create_acls": _SECURITY,
    "admin.AdminClient.delete_acls": _SECURITY,
    "admin.AdminClient.describe_acls": _SECURITY,
    "admin.AdminClient.describe_user_scram_credentials": _SECURITY,
    "admin.AdminClient.elect_leaders": _REPLICAS,
    "aio.AsyncDeserializingConsumer": "use AIOConsumer, and deserialize yourself",
    "aio.AsyncSerializingProducer": "use AIOProducer, and serialize yourself",
    "schema_registry": _REGISTRY,
    "avro": _REGISTRY,
    "serialization.SerializerBuilder": _REGISTRY,
    "serialization.DeserializerBuilder": _REGISTRY,
}
"""Of confluent-kafka: classes, functions, submodules and methods that are not here."""

KAFKA = {
    "KafkaAdminClient.DEFAULT_CONFIG": _DEFAULTS,
    "KafkaConsumer.DEFAULT_CONFIG": _DEFAULTS,
    "KafkaConsumer.DEFAULT_SESSION_TIMEOUT_MS_PRE_KIP_735": _DEFAULTS,
    "KafkaProducer.DEFAULT_CONFIG": _DEFAULTS,
    "KafkaProducer.DEPRECATED_CONFIGS": _DEFAULTS,
    "KafkaAdminClient.abort_transaction": "a log ends the transactions of the dead by itself",
    "KafkaAdminClient.alter_partition_reassignments": _REPLICAS,
    "KafkaAdminClient.alter_replica_log_dirs": _REPLICAS,
    "KafkaAdminClient.alter_user_scram_credentials": _SECURITY,
    "KafkaAdminClient.api_versions": _BROKERS,
    "KafkaAdminClient.create_acls": _SECURITY,
    "KafkaAdminClient.delete_acls": _SECURITY,
    "KafkaAdminClient.delete_group_offsets": "offsets go with their group or their topic",
    "KafkaAdminClient.describe_acls": _SECURITY,
    "KafkaAdminClient.describe_features": _BROKERS,
    "KafkaAdminClient.describe_log_dirs": _BROKERS,
    "KafkaAdminClient.describe_metadata_quorum": _BROKERS,
    "KafkaAdminClient.describe_producers": "not built",
    "KafkaAdminClient.describe_transactions": "not built",
    "KafkaAdminClient.describe_user_scram_credentials": _SECURITY,
    "KafkaAdminClient.elect_leaders": _REPLICAS,
    "KafkaAdminClient.find_hanging_transactions": "a log has none: the dead's are ended at once",
    "KafkaAdminClient.get_broker_version_data": _BROKERS,
    "KafkaAdminClient.list_partition_reassignments": _REPLICAS,
    "KafkaAdminClient.list_transactions": "not built",
    "KafkaAdminClient.remove_group_members": "members leave when they are closed or die",
    "KafkaAdminClient.update_features": _BROKERS,
    "admin.ACL": _SECURITY,
    "admin.ACLFilter": _SECURITY,
    "admin.ACLOperation": _SECURITY,
    "admin.ACLPermissionType": _SECURITY,
    "admin.ACLResourcePatternType": _SECURITY,
    "admin.ResourceType": _SECURITY,
    "admin.ResourcePattern": _SECURITY,
    "admin.ResourcePatternFilter": _SECURITY,
    "admin.UpdateFeatureType": _BROKERS,
    "admin.MemberToRemove": "members leave when they are closed or die",
    "admin.AbortTransactionSpec": "a log ends the transactions of the dead by itself",
    "admin.PartitionProducerState": "not built",
    "admin.ProducerState": "not built",
    "admin.TransactionDescription": "not built",
    "admin.TransactionListing": "not built",
    "admin.TransactionState": "not built",
    "admin.ScramMechanism": _SECURITY,
    "admin.UserScramCredentialDeletion": _SECURITY,
    "admin.UserScramCredentialUpsertion": _SECURITY,
}
"""Of kafka-python."""


class AbsentError(NotSupportedError, AttributeError):
    """A method of the library that is not here; the message says why."""


class NotHere:
    """Says why a method is not here, instead of only that it is not."""

    _absent: ClassVar[dict[str, str]]
    _place = ""

    def __getattr__(self, name: str) -> Any:
        reason = self._absent.get(f"{self._place}{type(self).__name__}.{name}")
        if reason is not None:
            raise AbsentError(f"{type(self).__name__}.{name} is not here: {reason}.")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
