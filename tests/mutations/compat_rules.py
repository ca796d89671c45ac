"""What Kafka's clients promise, broken one at a time."""

from tests.mutations.mutation import Edit, Mutation

READER = "pystream/compat/reader.py"
PRODUCER = "pystream/compat/confluent_kafka/producer.py"
CONSUMER = "pystream/compat/confluent_kafka/consumer_offsets.py"
PYTHON = "pystream/compat/kafka/consumer.py"

MUTATIONS = (
    Mutation(
        "commits that nobody waits for are forgotten when partitions are given up",
        (
            Edit(
                READER,
                "        try:\n            tell(partitions)\n        finally:\n"
                "            self.store_late()\n",
                "        try:\n            tell(partitions)\n        finally:\n",
            ),
            Edit(
                READER,
                "        self._is_closing = True  # on_revoke may still commit\n"
                "        try:\n            self.store_late()\n",
                "        self._is_closing = True  # on_revoke may still commit\n        try:\n",
            ),
            Edit(
                READER,
                "    ) -> None:\n        self.store_late()\n        try:\n            tell",
                "    ) -> None:\n        try:\n            tell",
            ),
        ),
    ),
    Mutation(
        "an exception that leaves the block commits what it failed at",
        (
            Edit(
                READER,
                "            if is_processed:\n                self.consumer.close()\n",
                "            if True:\n                self.consumer.close()\n",
            ),
        ),
    ),
    Mutation(
        "a message whose report was not given makes room in the queue",
        (
            Edit(
                PRODUCER,
                "                if type(entry) is tuple or not entry.done():",
                "                if type(entry) is not tuple and not entry.done():",
            ),
        ),
    ),
    Mutation(
        "what was consumed is committed where the program stores offsets itself",
        (
            Edit(
                CONSUMER,
                "rows = self._reader.consumed() if self._is_auto_store else self._stored",
                "rows = self._reader.consumed()",
            ),
        ),
    ),
    Mutation(
        "records before damaged ones are lost with them",
        (
            Edit(
                PYTHON,
                "            polled = {name: made for name, made in polled.items() if made}\n",
                "            polled = {}\n",
            ),
        ),
    ),
)
