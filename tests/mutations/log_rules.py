"""Promises of the log, broken one at a time; each must be noticed by some harness."""

from __future__ import annotations

from tests.mutations.mutation import Edit, Mutation

APPEND = "native/storage/append.cpp"
PARTITION = "native/storage/partition.cpp"
RECOVERY = "native/storage/recovery.cpp"
CONTROL = "native/storage/control_page.cpp"
SCAN = "native/storage/segment_scan.cpp"
BATCH = "native/storage/log_batch.cpp"
HEADER = "native/storage/parse_header.cpp"
ORDER = "native/storage/order_file.cpp"
FILE = "native/storage/file.cpp"
CATALOG = "pystream/log/catalog.py"

PUBLISH_EARLY = """      {
        PublishedState early = published;
        early.segment_base_offset = segment->base_offset();
        early.end_position = position + batch->total_length;
        early.log_end_offset = early.data_end_offset = next_offset;
        early.last_batch_position = position;
        early.must_roll = false;
        control.publish(early);
      }
      segment->write(parts, position);
"""

MUTATIONS = (
    Mutation(
        "the checksums of buffers are not compared",
        (Edit(BATCH, "entry.stored_length) != entry.crc) {", "0) == 1) {"),),
    ),
    Mutation(
        "the checksum of a header is not compared",
        (
            Edit(
                HEADER,
                "if (header_crc(bytes.data(), header.header_length, salt, file_position) != "
                "header.header_crc) {",
                "if (header_crc(bytes.data(), 8, salt, file_position) == 1) {",
            ),
        ),
    ),
    Mutation(
        "a batch is published before it is written",
        (Edit(APPEND, "      segment->write(parts, position);\n", PUBLISH_EARLY),),
    ),
    Mutation(
        "the version selects a slot before it is written",
        (
            Edit(
                CONTROL,
                "  auto& slot = words_->slots[version & 1];\n  for",
                "  auto& slot = words_->slots[version & 1];\n"
                "  words_->version.store(version, std::memory_order_release);\n  for",
            ),
        ),
    ),
    Mutation(
        "a slot is written over the one that is selected",
        (Edit(CONTROL, "load(std::memory_order_relaxed) + 1;", "load() + 2;"),),
    ),
    Mutation(
        "the terminator is not written",
        (Edit(APPEND, "  add(kZeros, kTerminatorBytes);\n", ""),),
    ),
    Mutation(
        "a dead append is not buried",
        (
            Edit(
                APPEND,
                "if (words.in_flight.load(std::memory_order_relaxed) != kNotInFlight) {",
                "if (words.in_flight.load(std::memory_order_relaxed) == UINT64_MAX) {",
            ),
        ),
    ),
    Mutation(
        "the lease is not renewed",
        (
            Edit(
                APPEND,
                "if (next_offset <= state.control.lease_end().value_or(0)) return;",
                "if (next_offset > 0) return;",
            ),
        ),
    ),
    Mutation(
        "the lease is not synced",
        (
            Edit(
                CONTROL,
                "kLeaseSector);\n  control_file.sync_data();\n",
                "kLeaseSector);\n",
            ),
        ),
    ),
    Mutation(
        "offsets go on behind the data, not behind the lease",
        (
            Edit(
                RECOVERY,
                "if (!same_boot && lease) next_offset = std::max(next_offset, *lease);",
                "",
            ),
        ),
    ),
    Mutation(
        "append sequences go on without a gap after a power loss",
        (Edit(ORDER, ": found + kSequenceSkip;", ": found;"),),
    ),
    Mutation(
        "durable rises before the sync",
        (
            Edit(
                PARTITION,
                "published.segment_base_offset == kNoSegment) return;\n  try {\n",
                "published.segment_base_offset == kNoSegment) return;\n"
                "  control.raise_durable(published.data_end_offset);\n  try {\n",
            ),
        ),
    ),
    Mutation(
        "only the active segment is synced",
        (
            Edit(
                PARTITION,
                "    auto base = segments->at_or_below(durable, published.segment_base_offset);\n",
                "    std::optional<int64_t> base = published.segment_base_offset;\n",
            ),
        ),
    ),
    Mutation(
        "the directory is not synced",
        (
            Edit(
                PARTITION,
                "if (published.segment_base_offset >= durable) sync_directories(durable == 0);",
                "",
            ),
        ),
    ),
    Mutation(
        "a failed sync is forgotten",
        (Edit(PARTITION, "    words.sync_failed.store(1);\n", ""),),
    ),
    Mutation(
        "recovery takes a torn batch for whole",
        (
            Edit(
                SCAN, "buffer.stored_length) != buffer.crc) return false;", "0) == 1) return false;"
            ),
        ),
    ),
    Mutation(
        "recovery does not follow the chain of headers",
        (
            Edit(
                SCAN,
                "(!is_chained || parsed.header.previous_header_crc == result.last_header_crc) &&",
                "",
            ),
        ),
    ),
    Mutation(
        "recovery drops durable batches behind damage",
        (
            Edit(
                SCAN,
                "const bool is_promised = result.end_offset < durable_offset;",
                "const bool is_promised = result.end_offset < 0;",
            ),
        ),
    ),
    Mutation(
        "appends go on in the recovered segment",
        (
            Edit(
                RECOVERY,
                "  published.must_roll = true;\n\n  ControlIdentity",
                "  published.must_roll = false;\n\n  ControlIdentity",
            ),
        ),
    ),
    Mutation(
        "a short write is taken for a whole one",
        (
            Edit(
                FILE,
                "    position += done;\n    // A short write",
                "    position += done;\n    if (done > 0) return;\n    // A short write",
            ),
        ),
    ),
    Mutation(
        "commits of the catalog are not synced",
        (Edit(CATALOG, "PRAGMA synchronous = FULL", "PRAGMA synchronous = OFF"),),
    ),
)
