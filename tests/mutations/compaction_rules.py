"""Compaction, broken one rule at a time."""

from __future__ import annotations

from tests.mutations.mutation import Edit, Mutation

COMPACTION = "native/storage/compaction.cpp"
COMPACTED = "native/storage/compacted_segment.cpp"
LATEST = "native/storage/latest_offsets.cpp"
READER = "native/storage/partition_reader.cpp"
PRODUCER = "native/storage/partition_producer.cpp"
WALK = "native/storage/segment_walk.cpp"
BACKUP = "native/storage/backup.cpp"
COPYING = "pystream/log/backup.py"
KEEPING = "pystream/log/retention.py"

MUTATIONS = (
    Mutation(
        "compaction compares keys by a hash",
        (
            Edit(
                LATEST,
                "slots_[i].offset < 0 || is_of(slots_[i], hash, key)",
                "slots_[i].offset < 0 || (slots_[i].hash & 15) == (hash & 15)",
            ),
        ),
    ),
    Mutation(
        "compaction lets aborted records supersede others",
        (
            Edit(
                COMPACTION,
                "(entry.flags & kFlagControl) != 0 || is_aborted(entry) ||",
                "(entry.flags & kFlagControl) != 0 ||",
            ),
        ),
    ),
    Mutation(
        "compaction removes tombstones at once",
        (
            Edit(
                COMPACTION,
                "options_.now_us - part.first_compacted_us >= options_.delete_retention_us;",
                "options_.now_us >= part.first_compacted_us;",
            ),
        ),
    ),
    Mutation(
        "compaction removes the markers of transactions that have records left",
        (
            Edit(
                COMPACTION,
                "kept_transactions_.contains(entry.transaction_id) ? kAll : 0",
                "kept_transactions_.empty() ? kAll : 0",
            ),
        ),
    ),
    Mutation(
        "compaction goes beyond the last stable offset",
        (
            Edit(
                COMPACTION,
                "facts.end_offset <= stable &&",
                "facts.end_offset <= stable + (int64_t{1} << 60) &&",
            ),
        ),
    ),
    Mutation(
        "a compaction gives what was deleted meanwhile its name back",
        (
            Edit(
                COMPACTION,
                "if (state.ends().log_start_offset > first_log_start) state.remove_below_start();",
                "",
            ),
        ),
    ),
    Mutation(
        "a reader does not notice that segments were compacted",
        (
            Edit(
                READER,
                "if (!segment || changes == seen_changes) return false;",
                "if (!segment || changes >= seen_changes) return false;",
            ),
        ),
    ),
    Mutation(
        "a compacted segment forgets its producers",
        (
            Edit(
                PRODUCER,
                "for (const CompactedProducer& known : segment.producers()) "
                "producer.see_compacted(known);",
                "segment.producers();",
            ),
        ),
    ),
    Mutation(
        "what compaction removed reads as damage",
        (
            Edit(
                WALK,
                "const bool is_removed = is_compacted() && position == walk_position_;",
                "const bool is_removed = is_compacted() && position < walk_position_;",
            ),
        ),
    ),
    Mutation(
        "a backup takes what a compaction behind its moment left",
        (
            Edit(
                BACKUP,
                "header.compared_end_offset > end.log_end_offset",
                "header.compared_end_offset > end.log_end_offset + (int64_t{1} << 60)",
            ),
        ),
    ),
    Mutation(
        "a backup that is outdated is kept",
        (Edit(COPYING, "if part.is_outdated:", "if part.is_outdated and not topics:"),),
    ),
    Mutation(
        "an error in one topic is swallowed",
        (Edit(KEEPING, "if not _exists(log, topic):", "if topic.name:"),),
    ),
    Mutation(
        "of a key the record that was met last stays, not the last one",
        (
            Edit(
                LATEST,
                "slot->offset = std::max(slot->offset, offset);",
                "slot->offset = offset;",
            ),
        ),
    ),
    Mutation(
        "a compacted segment gets its name before it is on the disk",
        (Edit(COMPACTED, "  file_.sync_data();\n", ""),),
    ),
    Mutation(
        "compaction goes on before the name of a segment is on the disk",
        (
            Edit(
                COMPACTED,
                "checked(place_.files->sync_directory(place_.directory),",
                "checked(0 * static_cast<int>(place_.directory.size()),",
            ),
        ),
    ),
    Mutation(
        "a reader takes a segment that was open for the one in its place",
        (Edit(READER, "  source->segments->follow(seen_changes);\n", ""),),
    ),
)
