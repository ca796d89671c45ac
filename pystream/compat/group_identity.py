"""Which member of which group a consumer is, for a transaction that commits its offsets."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pystream.log.transactions.offsets import GroupMetadata

__all__ = ["GroupIdentity"]


class GroupIdentity:
    """Stands for a member where Kafka's clients hand its group's metadata about."""

    def __init__(self, metadata: GroupMetadata) -> None:
        self.metadata = metadata

    def __repr__(self) -> str:
        return f"<GroupIdentity of {self.metadata.group_id!r}>"
