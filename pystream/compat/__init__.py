"""Programs written for Kafka's Python clients, on a log: the names and meanings of two libraries.

``pystream.compat.confluent_kafka`` stands in for confluent-kafka, ``pystream.compat.kafka`` for
kafka-python. Both are thin: every call ends in :class:`pystream.Log` and its producers and
consumers. `docs/from-kafka.md` shows them beside the originals, and lists what differs.
"""
