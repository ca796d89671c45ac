"""Promises of producers, broken one at a time; each must be noticed."""

from __future__ import annotations

from tests.mutations.mutation import Edit, Mutation

APPEND = "native/storage/append.cpp"
STATE = "native/storage/producer_state.cpp"
FOLLOW = "native/storage/partition_producer.cpp"
TRACKER = "native/storage/sequence_tracker.hpp"
WRITER = "native/storage/topic_writer.cpp"
ENCODING = "pystream/_native/_producer.pyx"
SENDER = "pystream/log/sender.py"
TOPICS = "pystream/log/producer_topics.py"
CATALOG = "pystream/log/catalog/catalog.py"
ROWS = "pystream/log/catalog/producers.py"

MUTATIONS = (
    Mutation(
        "a record that is sent again is stored again",
        (
            Edit(
                APPEND,
                "if (header.base_sequence > producer.last_sequence()) return true;",
                "return true;",
            ),
        ),
    ),
    Mutation(
        "the search for old batches never begins anew",
        (Edit(FOLLOW, "if (sequence < search.next_sequence) search = {};", ""),),
    ),
    Mutation(
        "a deleted record that is sent again has an offset",
        (Edit(FOLLOW, "if (offset < log_start) offset = -1;", "if (offset < -1) offset = -1;"),),
    ),
    Mutation(
        "the first new record behind repeated ones is dropped",
        (
            Edit(
                WRITER,
                "std::upper_bound(begin, begin + sequences.length, up_to);",
                "std::upper_bound(begin, begin + sequences.length, up_to + 1);",
            ),
        ),
    ),
    Mutation(
        "what other processes appended is not read",
        (Edit(APPEND, "  state.catch_up(producer, published);\n", ""),),
    ),
    Mutation(
        "an older epoch is not refused",
        (Edit(STATE, "if (largest_epoch_ <= identity_.epoch) return;", "return;"),),
    ),
    Mutation(
        "a failed append uses a sequence",
        (
            Edit(
                APPEND,
                "        stamp.base_sequence = producer->next_sequence();\n",
                "        stamp.base_sequence = producer->next_sequence();\n"
                "        producer->appended(*batch, result.base_offset);\n",
            ),
            Edit(
                APPEND,
                "    if (producer != nullptr) producer->appended(*batch, result.base_offset);\n",
                "    if (producer != nullptr && producer->identity().is_named()) "
                "producer->appended(*batch, result.base_offset);\n",
            ),
        ),
    ),
    Mutation(
        "a batch says that later ones are stored",
        (
            Edit(
                TRACKER,
                "smallest == batches.end() ? last_sent_ : *smallest - 1",
                "last_sent_",
            ),
        ),
    ),
    Mutation(
        "a piece of a table says that the pieces behind it are stored",
        (
            Edit(
                WRITER,
                "      run.complete = std::min(run.complete, rows.sequence(begin + count) - 1);\n",
                "",
            ),
        ),
    ),
    Mutation(
        "one partition of a table says that the others are stored",
        (Edit(WRITER, "picked.complete = complete_before[p + 1];", ""),),
    ),
    Mutation(
        "a position is believed after a power loss",
        (
            Edit(
                FOLLOW,
                "  } else if (!state_->holds(position, published)) {\n",
                "  } else if (false) {\n",
            ),
        ),
    ),
    Mutation(
        "what batches said is believed after a power loss",
        (Edit(WRITER, "return std::min(complete, surviving);", "return complete;"),),
    ),
    Mutation(
        "records without a key go to another partition when they are sent again",
        (
            Edit(
                WRITER,
                "assigned[row] = partition_of_sequence(values[row], partition_count());",
                "assigned[row] = keyless;",
            ),
        ),
    ),
    Mutation(
        "a record overtakes one that failed",
        (
            Edit(
                SENDER,
                "if sequences is not None and sequences.stopped_by is None:",
                "if sequences is not None and sequences is None:",
            ),
        ),
    ),
    Mutation(
        "an older producer may save its position",
        (
            Edit(
                CATALOG,
                '"FROM topics WHERE id = ? AND ? = ?",',
                '"FROM topics WHERE id = ? AND ? >= ? - 9",',
            ),
        ),
    ),
    Mutation(
        "a name keeps its epoch",
        (Edit(ROWS, "SET epoch = epoch + ?,", "SET epoch = epoch + 0 * ?,"),),
    ),
    Mutation(
        "no position is written before the first append",
        (
            Edit(
                TOPICS,
                "name.save(topic_id, writer.positions(), sequences.complete())\n",
                "pass\n",
            ),
        ),
    ),
    Mutation(
        "a table overtakes records that were sent before it",
        (
            Edit(
                ENCODING,
                "        self.seal_older_than(0)\n        encoder._tracker.wait_for(begin)\n",
                "        encoder._tracker.wait_for(begin)\n",
            ),
        ),
    ),
)
