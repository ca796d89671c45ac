"""The admin client of confluent-kafka, on a log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

from pystream import errors, types
from pystream.compat.absent import CONFLUENT_KAFKA, NotHere
from pystream.compat.confluent_kafka.admin.answers import check_list, done, refused_as
from pystream.compat.confluent_kafka.admin.configs import ConfigAdmin
from pystream.compat.confluent_kafka.admin.requests import (
    NewPartitions,
    NewTopic,
    OffsetSpec,
)
from pystream.compat.confluent_kafka.admin.results import (
    ConsumerGroupDescription,
    ConsumerGroupListing,
    DeletedRecords,
    DescribeClusterResult,
    ListConsumerGroupsResult,
    ListOffsetsResultInfo,
    MemberAssignment,
    MemberDescription,
    TopicDescription,
)
from pystream.compat.confluent_kafka.kafka_error import KafkaError, KafkaException, raised
from pystream.compat.confluent_kafka.message import OFFSET_INVALID, TopicPartition
from pystream.compat.confluent_kafka.metadata import (
    BROKER,
    ClusterMetadata,
    GroupMetadata,
    broker_metadata,
    cluster_id,
    cluster_metadata,
)
from pystream.compat.confluent_kafka.model import (
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    ConsumerGroupType,
    Node,
    TopicCollection,
    TopicPartitionInfo,
    Uuid,
)
from pystream.compat.confluent_kafka.settings import Settings
from pystream.compat.confluent_kafka.translated import translated
from pystream.compat.newest import newest_record
from pystream.compat.topic_configs import settings_of, with_segments_that_fit
from pystream.log.topic_description import TopicConfig, check_topic_name

__all__ = ["AdminClient"]

_STATES = {
    "empty": ConsumerGroupState.EMPTY,
    "stable": ConsumerGroupState.STABLE,
    "reconciling": ConsumerGroupState.PREPARING_REBALANCING,
}


class AdminClient(ConfigAdmin, NotHere):
    """Creates, describes and deletes topics and groups; every future it returns is done.

    Parameters
    ----------
    conf : dict
        librdkafka's properties. ``log.directory``, or ``bootstrap.servers`` with a slash in it, is
        the directory of the log.

    Examples
    --------
    >>> import tempfile
    >>> from pystream.compat.confluent_kafka.admin import NewTopic
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     with AdminClient({"log.directory": directory}) as admin:
    ...         futures = admin.create_topics([NewTopic("lines", num_partitions=3)])
    ...         futures["lines"].result()
    ...         len(admin.list_topics().topics["lines"].partitions)
    3
    """

    _absent = CONFLUENT_KAFKA
    _place = "admin."

    def __init__(self, conf: Mapping[str, Any], **kwargs: Any) -> None:
        self._log = Settings(conf, kwargs).open_log()

    def poll(self, timeout: float = -1) -> int:
        """Return 0: every future is done when it is returned."""
        return 0

    def __len__(self) -> int:
        return 0  # events that wait for poll()

    def close(self) -> None:
        """Close the log; what the library's client does when it is dropped."""
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- topics ----------------------------------------------------------------------------------

    def create_topics(self, new_topics: list[NewTopic], **kwargs: Any) -> dict[str, Future[None]]:
        """Create topics; ``validate_only`` creates none."""
        check_list(new_topics, NewTopic)
        only = kwargs.get("validate_only", False)
        return {
            new.topic: done(lambda new=new: self._create(new, only=only))  # type: ignore[misc]
            for new in new_topics
        }

    def _create(self, new: NewTopic, *, only: bool) -> None:
        with refused_as(KafkaError.TOPIC_EXCEPTION):
            check_topic_name(new.topic)
        if new.replication_factor not in (-1, 1):
            raise raised(
                errors.NotSupportedError(
                    f"replication_factor is {new.replication_factor}, but a log has one copy of "
                    "each partition. Pass 1."
                ),
                KafkaError.INVALID_REPLICATION_FACTOR,
            )
        count = new.num_partitions
        if new.replica_assignment is not None:
            count = len(new.replica_assignment)
        if count != -1 and count < 1:
            raise raised(
                errors.ConfigError(f"num_partitions is {count}. Pass 1 or more."),
                KafkaError.INVALID_PARTITIONS,
            )
        with refused_as(KafkaError.INVALID_CONFIG):
            settings = with_segments_that_fit(settings_of(new.config or {}))
            TopicConfig().altered(settings)
        if only:
            if new.topic in self._log.topics():
                raise KafkaException(KafkaError(KafkaError.TOPIC_ALREADY_EXISTS))
            return
        self._log.create_topic(new.topic, partitions=1 if count == -1 else count, **settings)

    def delete_topics(self, topics: list[str], **kwargs: Any) -> dict[str, Future[None]]:
        """Delete topics."""
        check_list(topics, str)
        return {
            name: done(lambda name=name: self._log.delete_topic(name))  # type: ignore[misc]
            for name in topics
        }

    def create_partitions(
        self, new_partitions: list[NewPartitions], **kwargs: Any
    ) -> dict[str, Future[None]]:
        """Give topics more partitions."""
        check_list(new_partitions, NewPartitions)
        return {
            new.topic: done(
                lambda new=new: self._add_partitions(  # type: ignore[misc]
                    new, only=kwargs.get("validate_only", False)
                )
            )
            for new in new_partitions
        }

    def _add_partitions(self, new: NewPartitions, *, only: bool) -> None:
        present = self._log.topic(new.topic).partitions
        if new.new_total_count <= present:
            raise raised(
                errors.ConfigError(
                    f"topic {new.topic!r} has {present} partitions, which cannot become "
                    f"{new.new_total_count}. Pass more."
                ),
                KafkaError.INVALID_PARTITIONS,
            )
        if not only:
            self._log.alter_topic(new.topic, partitions=new.new_total_count)

    @translated
    def list_topics(self, topic: str | None = None, timeout: float = -1) -> ClusterMetadata:
        """Return the topics of the log, or one of them."""
        return cluster_metadata(self._log, topic)

    def describe_topics(
        self, topics: TopicCollection, **kwargs: Any
    ) -> dict[str, Future[TopicDescription]]:
        """Describe topics."""
        return {
            name: done(lambda name=name: self._describe_topic(name))  # type: ignore[misc]
            for name in topics.topic_names
        }

    def _describe_topic(self, name: str) -> TopicDescription:
        topic = self._log.topic(name)
        halves = [
            int.from_bytes(topic.description.id[at : at + 8], "big", signed=True) for at in (0, 8)
        ]
        node = self._node()
        partitions = [
            TopicPartitionInfo(number, node, [node], [node]) for number in range(topic.partitions)
        ]
        return TopicDescription(name, Uuid(*halves), False, partitions)

    # -- groups ----------------------------------------------------------------------------------

    @translated
    def list_groups(self, group: str | None = None, timeout: float = -1) -> list[GroupMetadata]:
        """Return groups in short."""
        found = []
        for name in self._log.groups():
            if group in (None, name):
                described = GroupMetadata()
                described.id = name
                described.broker = broker_metadata(self._log)
                described.state = self._log.describe_group(name).state.capitalize()
                described.protocol_type = "consumer"
                found.append(described)
        return found

    def list_consumer_groups(self, **kwargs: Any) -> Future[ListConsumerGroupsResult]:
        """Return all groups; ``states`` and ``types`` choose some."""
        states, kinds = kwargs.get("states"), kwargs.get("types")

        def listed() -> ListConsumerGroupsResult:
            found = []
            for name in self._log.groups():
                state = _STATES[self._log.describe_group(name).state]
                if (not states or state in states) and (
                    not kinds or ConsumerGroupType.CONSUMER in kinds
                ):
                    found.append(
                        ConsumerGroupListing(name, False, state, ConsumerGroupType.CONSUMER)
                    )
            return ListConsumerGroupsResult(found, [])

        return done(listed)

    def describe_consumer_groups(
        self, group_ids: list[str], **kwargs: Any
    ) -> dict[str, Future[ConsumerGroupDescription]]:
        """Describe groups."""
        check_list(group_ids, str)
        return {
            name: done(lambda name=name: self._describe_group(name))  # type: ignore[misc]
            for name in group_ids
        }

    def _describe_group(self, name: str) -> ConsumerGroupDescription:
        group = self._log.describe_group(name)
        members = [
            MemberDescription(
                member.member_id,
                str(member.process_id),
                self._log.directory,
                _assignment(member.assignment),
                member.group_instance_id,
                _assignment(member.target_assignment),
            )
            for member in group.members
        ]
        return ConsumerGroupDescription(
            name,
            False,
            members,
            group.assignor,
            _STATES[group.state],
            self._node(),
            type=ConsumerGroupType.CONSUMER,
        )

    def delete_consumer_groups(
        self, group_ids: list[str], **kwargs: Any
    ) -> dict[str, Future[None]]:
        """Delete groups and what they committed."""
        check_list(group_ids, str)
        return {
            name: done(lambda name=name: self._log.delete_group(name))  # type: ignore[misc]
            for name in group_ids
        }

    def list_consumer_group_offsets(
        self, list_consumer_group_offsets_request: list[ConsumerGroupTopicPartitions], **kwargs: Any
    ) -> dict[str, Future[ConsumerGroupTopicPartitions]]:
        """Return the committed offsets of groups, of some partitions or of all.

        A group that does not exist has committed nothing.
        """
        check_list(list_consumer_group_offsets_request, ConsumerGroupTopicPartitions)
        return {
            each.group_id: done(lambda each=each: self._offsets(each))  # type: ignore[misc]
            for each in list_consumer_group_offsets_request
        }

    def _offsets(self, asked: ConsumerGroupTopicPartitions) -> ConsumerGroupTopicPartitions:
        try:
            partitions = self._log.describe_group(asked.group_id).partitions
        except errors.UnknownGroupError:
            partitions = {}
        known = {
            name: found.committed
            for name, found in partitions.items()
            if found.committed is not None
        }
        if asked.topic_partitions is None:
            found = [TopicPartition(*name, offset) for name, offset in known.items()]
        else:
            names = [types.TopicPartition(p.topic, p.partition) for p in asked.topic_partitions]
            found = [TopicPartition(*name, known.get(name, OFFSET_INVALID)) for name in names]
        return ConsumerGroupTopicPartitions(asked.group_id, found)

    def alter_consumer_group_offsets(
        self,
        alter_consumer_group_offsets_request: list[ConsumerGroupTopicPartitions],
        **kwargs: Any,
    ) -> dict[str, Future[ConsumerGroupTopicPartitions]]:
        """Set the offsets of groups that have no members; one that does not exist is made."""
        check_list(alter_consumer_group_offsets_request, ConsumerGroupTopicPartitions)
        return {
            each.group_id: done(lambda each=each: self._reset(each))  # type: ignore[misc]
            for each in alter_consumer_group_offsets_request
        }

    def _reset(self, asked: ConsumerGroupTopicPartitions) -> ConsumerGroupTopicPartitions:
        partitions = asked.topic_partitions or []
        self._log.reset_offsets(
            asked.group_id, offsets={(p.topic, p.partition): p.offset for p in partitions}
        )
        return ConsumerGroupTopicPartitions(asked.group_id, list(partitions))

    # -- records ---------------------------------------------------------------------------------

    def list_offsets(
        self, topic_partition_offsets: Mapping[TopicPartition, OffsetSpec], **kwargs: Any
    ) -> dict[TopicPartition, Future[ListOffsetsResultInfo]]:
        """Return the first or last offset of partitions, or one by time."""
        level = kwargs.get("isolation_level")
        is_committed = level is not None and level.name == "READ_COMMITTED"
        return {
            name: done(lambda name=name, spec=spec: self._offset(name, spec, is_committed))  # type: ignore[misc]
            for name, spec in topic_partition_offsets.items()
        }

    def _offset(
        self, name: TopicPartition, spec: OffsetSpec, is_committed: bool
    ) -> ListOffsetsResultInfo:
        place = types.TopicPartition(name.topic, name.partition)
        level = "read_committed" if is_committed else "read_uncommitted"
        with self._log.consumer(isolation_level=level) as consumer:
            if spec == OffsetSpec.earliest():
                return ListOffsetsResultInfo(consumer.beginning_offsets([place])[place], -1, None)
            if spec == OffsetSpec.latest():
                return ListOffsetsResultInfo(consumer.end_offsets([place])[place], -1, None)
            if spec == OffsetSpec.max_timestamp():
                found = newest_record(consumer, place)
            else:
                found = consumer.offsets_for_times({place: spec.index * 1000})[place]
        if found is None:
            return ListOffsetsResultInfo(-1, -1, None)
        return ListOffsetsResultInfo(found.offset, found.timestamp // 1000, None)

    def delete_records(
        self, topic_partition_offsets: list[TopicPartition], **kwargs: Any
    ) -> dict[TopicPartition, Future[DeletedRecords]]:
        """Delete the records before an offset of each partition."""
        check_list(topic_partition_offsets, TopicPartition)

        return {
            each: done(lambda each=each: self._delete_before(each))  # type: ignore[misc]
            for each in topic_partition_offsets
        }

    def _delete_before(self, place: TopicPartition) -> DeletedRecords:
        name = types.TopicPartition(place.topic, place.partition)
        return DeletedRecords(self._log.delete_records({name: place.offset})[name])

    # -- the log ---------------------------------------------------------------------------------

    def describe_cluster(self, **kwargs: Any) -> Future[DescribeClusterResult]:
        """Return the one node that stands for the log."""
        return done(lambda: DescribeClusterResult(self._node(), [self._node()], self.cluster_id()))

    def cluster_id(self, timeout: float = -1) -> str:
        """Return what stands for the cluster: the directory."""
        return cluster_id(self._log)

    def set_sasl_credentials(self, username: str, password: str) -> None:
        """Do nothing: nobody asks for credentials."""

    def _node(self) -> Node:
        return Node(BROKER, self._log.directory, 0)


def _assignment(partitions: Iterable[types.TopicPartition]) -> MemberAssignment:
    return MemberAssignment([TopicPartition(*name) for name in sorted(partitions)])
