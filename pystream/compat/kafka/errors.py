"""kafka-python's exceptions: by name and number. Those that a log raises are ours as well.

An exception that comes from the log is also of the class that pystream raises, such as
``pystream.errors.UnknownTopicError``, and has its facts.
"""

from __future__ import annotations

from pystream import errors
from pystream.compat.joined_errors import joined

__all__ = ["BrokerResponseError", "KafkaError", "RetriableError", "class_of", "for_code", "raised"]


class KafkaError(Exception):
    """Base of all."""

    retriable = False
    invalid_metadata = False

    def __str__(self) -> str:
        name = type(self).__name__
        return f"{name}: {super().__str__()}" if self.args else name

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, KafkaError):
            return NotImplemented
        return type(self) is type(other) and self.args == other.args

    __hash__ = Exception.__hash__


class RetriableError(KafkaError):
    """The same call may succeed later."""

    retriable = True


class InvalidMetadataError(RetriableError):
    """What is known of the topics is out of date."""

    invalid_metadata = True


class BrokerResponseError(KafkaError):
    """Has a number of Kafka's protocol."""

    errno: int | None = None
    message: str | None = None
    description: str | None = None


class AuthorizationError(BrokerResponseError):
    """Somebody may not; a log asks nobody."""


class CommitFailedError(KafkaError):
    """Offsets were not stored, because the partitions are another member's by now."""


class IllegalArgumentError(KafkaError):
    """An argument is wrong."""


class IllegalStateError(KafkaError):
    """A call came at the wrong time."""


class KafkaConfigurationError(KafkaError):
    """A setting is wrong."""


class KafkaProtocolError(KafkaError):
    """Bytes of the protocol are wrong."""


class KafkaTimeoutError(RetriableError):
    """Something took longer than it may."""


class NoOffsetForPartitionError(KafkaError):
    """There is no committed offset, and no policy where to begin."""


class UnsupportedVersionError(BrokerResponseError):
    """What was asked for does not exist here."""

    errno = 35


# The rest of the library's, by their bases: names and numbers of the protocol.
_OTHERS: dict[tuple[type[KafkaError], ...], str] = {
    (AuthorizationError,): """
        TopicAuthorizationFailedError=29 GroupAuthorizationFailedError=30
        ClusterAuthorizationFailedError=31 TransactionalIdAuthorizationFailedError=53
        DelegationTokenAuthorizationFailedError=65
    """,
    (BrokerResponseError,): """
        NoError=0 UnknownError=-1 OffsetOutOfRangeError=1 CorruptRecordError=2
        InvalidFetchRequestError=4 BrokerNotAvailableError=8 MessageSizeTooLargeError=10
        StaleControllerEpochError=11 OffsetMetadataTooLargeError=12 InvalidTopicError=17
        RecordListTooLargeError=18 InvalidRequiredAcksError=21 IllegalGenerationError=22
        InconsistentGroupProtocolError=23 InvalidGroupIdError=24 UnknownMemberIdError=25
        InvalidSessionTimeoutError=26 RebalanceInProgressError=27
        InvalidCommitOffsetSizeError=28 InvalidTimestampError=32
        UnsupportedSaslMechanismError=33 IllegalSaslStateError=34 TopicAlreadyExistsError=36
        InvalidPartitionsError=37 InvalidReplicationFactorError=38
        InvalidReplicationAssignmentError=39 InvalidConfigurationError=40
        InvalidRequestError=42 UnsupportedForMessageFormatError=43 PolicyViolationError=44
        OutOfOrderSequenceNumberError=45 DuplicateSequenceNumberError=46
        InvalidProducerEpochError=47 InvalidTxnStateError=48
        InvalidProducerIdMappingError=49 InvalidTransactionTimeoutError=50
        TransactionCoordinatorFencedError=52 SecurityDisabledError=54
        OperationNotAttemptedError=55 LogDirNotFoundError=57
        SaslAuthenticationFailedError=58 UnknownProducerIdError=59
        ReassignmentInProgressError=60 DelegationTokenAuthDisabledError=61
        DelegationTokenNotFoundError=62 DelegationTokenOwnerMismatchError=63
        DelegationTokenRequestNotAllowedError=64 DelegationTokenExpiredError=66
        InvalidPrincipalTypeError=67 NonEmptyGroupError=68 GroupIdNotFoundError=69
        TopicDeletionDisabledError=73 UnsupportedCompressionTypeError=76
        StaleBrokerEpochError=77 MemberIdRequiredError=79 GroupMaxSizeReachedError=81
        FencedInstanceIdError=82 NoReassignmentInProgressError=85
        GroupSubscribedToTopicError=86 InvalidRecordError=87 ProducerFencedError=90
        ResourceNotFoundError=91 DuplicateResourceError=92 UnacceptableCredentialError=93
        InconsistentVoterSetError=94 InvalidUpdateVersionError=95
        FeatureUpdateFailedError=96 PrincipalDeserializationFailureError=97
        SnapshotNotFoundError=98 PositionOutOfRangeError=99
        DuplicateBrokerRegistrationError=101 BrokerIdNotRegisteredError=102
        InconsistentClusterIdError=104 TransactionalIdNotFoundError=105
        IneligibleReplicaError=107 NewLeaderElectedError=108
        OffsetMovedToTieredStorageError=109 FencedMemberEpochError=110
        UnreleasedInstanceIdError=111 UnsupportedAssignorError=112 StaleMemberEpochError=113
        MismatchedEndpointTypeError=114 UnsupportedEndpointTypeError=115
        UnknownControllerIdError=116 UnknownSubscriptionIdError=117
        TelemetryTooLargeError=118 InvalidRegistrationError=119
        TransactionAbortableError=120 InvalidRecordStateError=121 FencedStateEpochError=124
        InvalidVoterKeyError=125 DuplicateVoterError=126 VoterNotFoundError=127
    """,
    (InvalidMetadataError,): """
        KafkaConnectionError StaleMetadata
    """,
    (
        InvalidMetadataError,
        BrokerResponseError,
    ): """
        UnknownTopicOrPartitionError=3 LeaderNotAvailableError=5
        NotLeaderForPartitionError=6 ReplicaNotAvailableError=9 NetworkExceptionError=13
        KafkaStorageError=56 ListenerNotFoundError=72 FencedLeaderEpochError=74
        UnknownLeaderEpochError=75 PreferredLeaderNotAvailableError=80
        EligibleLeadersNotAvailableError=83 ElectionNotNeededError=84
        UnknownTopicIdError=100 InconsistentTopicIdError=103
    """,
    (KafkaError,): """
        LogTruncationError UnknownBrokerIdError QuotaViolationError
        UnrecognizedBrokerVersion UnsupportedCodecError TransactionAbortedError
    """,
    (KafkaProtocolError,): """
        InvalidReceiveError
    """,
    (RetriableError,): """
        Cancelled MetadataEmptyBrokerList NodeNotReadyError TooManyInFlightRequests
    """,
    (
        RetriableError,
        BrokerResponseError,
    ): """
        RequestTimedOutError=7 CoordinatorLoadInProgressError=14
        CoordinatorNotAvailableError=15 NotCoordinatorError=16 NotEnoughReplicasError=19
        NotEnoughReplicasAfterAppendError=20 NotControllerError=41
        ConcurrentTransactionsError=51 FetchSessionIdNotFoundError=70
        InvalidFetchSessionEpochError=71 OffsetNotAvailableError=78
        UnstableOffsetCommitError=88 ThrottlingQuotaExceededError=89
        FetchSessionTopicIdError=106 ShareSessionNotFoundError=122
        InvalidShareSessionEpochError=123
    """,
    (
        RetriableError,
        KafkaProtocolError,
    ): """
        CorrelationIdError
    """,
    (UnsupportedVersionError,): """
        IncompatibleBrokerVersion
    """,
}

for _bases, _names in _OTHERS.items():
    for _entry in _names.split():
        _name, _, _number = _entry.partition("=")
        _body: dict[str, object] = {"__module__": __name__, "__doc__": f"{_name}, of Kafka."}
        if _number:
            _body["errno"] = int(_number)
        globals()[_name] = type(_name, _bases, _body)


def __getattr__(name: str) -> type[KafkaError]:
    # Only for type checkers, which do not see the classes that are made above.
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def class_of(name: str) -> type[KafkaError]:
    """Return one of the library's classes by its name."""
    found = globals()[name]
    assert isinstance(found, type)
    assert issubclass(found, KafkaError)
    return found


CorruptRecordException = class_of("CorruptRecordError")

_BY_NUMBER = {
    kind.errno: kind
    for kind in globals().values()
    if isinstance(kind, type) and issubclass(kind, BrokerResponseError) and kind.errno is not None
    if kind.__name__ != "IncompatibleBrokerVersion"
}


def for_code(error_code: int) -> type[BrokerResponseError]:
    """Return the class of one of the protocol's numbers.

    Examples
    --------
    >>> for_code(36).__name__
    'TopicAlreadyExistsError'
    """
    known = _BY_NUMBER.get(error_code)
    if known is None:
        known = type("UnrecognizedBrokerError", (BrokerResponseError,), {"errno": error_code})
    return known


# What each of ours is; FencedError and the errors of settings depend on who asked.
_KINDS: list[tuple[type[errors.StreamError], str]] = [
    (errors.UnknownTopicError, "UnknownTopicOrPartitionError"),
    (errors.UnknownGroupError, "GroupIdNotFoundError"),
    (errors.TopicExistsError, "TopicAlreadyExistsError"),
    (errors.OffsetOutOfRangeError, "OffsetOutOfRangeError"),
    (errors.RecordTooLargeError, "MessageSizeTooLargeError"),
    (errors.CorruptRecordError, "CorruptRecordError"),
    (errors.StorageError, "KafkaStorageError"),
    (errors.ClosedError, "IllegalStateError"),
    (errors.BufferFullError, "KafkaTimeoutError"),
    (errors.RequestTimeoutError, "KafkaTimeoutError"),
    (errors.InvalidTransactionStateError, "IllegalStateError"),
    (errors.GroupNotEmptyError, "NonEmptyGroupError"),
    (errors.UnreleasedInstanceIdError, "UnreleasedInstanceIdError"),
    (errors.RebalanceInProgressError, "RebalanceInProgressError"),
    (errors.SchemaError, "InvalidRecordError"),
    (errors.NotSupportedError, "UnsupportedVersionError"),
    (errors.ConfigError, "KafkaConfigurationError"),
]


def raised(error: errors.StreamError, kind: type[KafkaError] | None = None) -> KafkaError:
    """Return one of pystream's errors as the library's; one that is both already stays."""
    if isinstance(error, KafkaError):
        return error
    if kind is None:
        name = "KafkaError"
        if isinstance(error, errors.FencedError):
            name = "ProducerFencedError" if error.group_id is None else "CommitFailedError"
        else:
            name = next((name for ours, name in _KINDS if isinstance(error, ours)), name)
        kind = class_of(name)
    return joined(kind, error)
