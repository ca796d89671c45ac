"""The log: topics, the catalog, producers, consumers and group offsets over the native core."""

from pystream.log.log import Log, open
from pystream.log.topic import PartitionEnds, Topic

__all__ = ["Log", "PartitionEnds", "Topic", "open"]
