"""Kafka's log and Flink's event-time windows inside one Python process."""

__version__ = "0.1.0"
