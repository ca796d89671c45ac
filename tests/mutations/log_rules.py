"""Promises of the log, broken one at a time; each must be noticed by some harness."""

from __future__ import annotations

from tests.mutations.mutation import Edit, Mutation

APPEND = "native/storage/append.cpp"
PARTITION = "native/storage/partition.cpp"
SYNC = "native/storage/sync.cpp"
PREWRITE = "native/storage/prewrite.cpp"
RECOVERY = "native/storage/recovery.cpp"
CONTROL = "native/storage/control_page.cpp"
SCAN = "native/storage/segment_scan.cpp"
BATCH = "native/storage/log_batch.cpp"
HEADER = "native/storage/parse_header.cpp"
LOG = "native/storage/log.cpp"
PLEDGES = "native/storage/sync_pledges.cpp"
PLACE = "native/storage/in_place.cpp"
ORDER = "native/storage/order_file.cpp"
FETCHER = "native/storage/fetcher.cpp"
FILE = "native/storage/file.cpp"
CATALOG = "pystream/log/catalog/database.py"

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
        "the lease is not renewed",
        (
            Edit(
                APPEND,
                "if (next_offset <= state.control.words().synced_lease_end.load()) return;",
                "if (next_offset > 0) return;",
            ),
        ),
    ),
    Mutation(
        "the lease is not synced",
        (
            Edit(
                CONTROL,
                "kLeaseSector);\n  control_file.sync_data();\n  words_",
                "kLeaseSector);\n  words_",
            ),
        ),
    ),
    Mutation(
        "offsets go on behind the data, not behind the lease",
        (
            Edit(
                RECOVERY,
                "if (!same_boot && lease) next_offset = std::max(next_offset, lease->lease_end);",
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
                SYNC,
                "active == kNoSegment) return;\n",
                "active == kNoSegment) return;\n"
                "  control.raise_durable(published.data_end_offset);\n",
            ),
        ),
    ),
    Mutation(
        "those who came too late for a sync are forgotten by the next",
        (Edit(CONTROL, "    words_->sync_waiters.exchange(1, std::memory_order_seq_cst);", ""),),
    ),
    Mutation(
        "only the active segment is synced",
        (
            Edit(
                SYNC,
                "    auto base = segments->at_or_below(durable, active);\n",
                "    std::optional<int64_t> base = active;\n",
            ),
        ),
    ),
    Mutation(
        "the directory is not synced",
        (
            Edit(
                SYNC,
                "if (active >= durable) sync_directories(durable == 0);",
                "",
            ),
        ),
    ),
    Mutation(
        "a failed sync is forgotten",
        (
            Edit(
                SYNC,
                "  control.words().sync_failed.store(static_cast<uint32_t>(number), "
                "std::memory_order_release);\n",
                "",
            ),
        ),
    ),
    Mutation(
        "a durable append is acknowledged before its sync",
        (
            Edit(
                APPEND,
                "  if (acks == Acks::kDurable || is_overdue) {\n",
                "  if (acks == Acks{7} || is_overdue) {\n",
            ),
        ),
    ),
    Mutation(
        "a waiter takes another's sync for its own without a look",
        (
            Edit(
                SYNC,
                "    if (is_durable(end_offset)) {\n      if (came_late)",
                "    if (is_durable(end_offset) || came_late) {\n      if (came_late)",
            ),
        ),
    ),
    Mutation(
        "what a failed sync cost is not cut off",
        (Edit(RECOVERY, "words.durable_offset.load(), Tail::kCut);", "0, Tail::kKept);"),),
    ),
    Mutation(
        "objects of an earlier incarnation go on",
        (
            Edit(
                PARTITION,
                "if (published.incarnation == incarnation) return published;",
                "if (published.incarnation != 0) return published;",
            ),
        ),
    ),
    Mutation(
        "a gap is not written with the lease",
        (
            Edit(
                CONTROL,
                "if (published.data_end_offset < published.log_end_offset) {",
                "if (published.data_end_offset < 0) {",
            ),
        ),
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
                "  published.must_roll = true;\n  published.incarnation = std::max(",
                "  published.must_roll = false;\n  published.incarnation = std::max(",
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
        "zeros are written over the last batch",
        (
            Edit(
                PREWRITE,
                "round_up_to_page(published.end_position + kTerminatorBytes)",
                "published.last_batch_position",
            ),
        ),
    ),
    Mutation(
        "zeros are written without the append lock",
        (
            Edit(
                PREWRITE,
                "  const AppendLock held(*this, kPatienceUs);\n"
                "  if (!held.is_held()) return false;\n",
                "",
            ),
        ),
    ),
    Mutation(
        "zeros of which the sync failed count as synced",
        (
            Edit(
                SYNC,
                "  sync_published();\n  try {\n    segment.sync();\n"
                "  } catch (const Error& error) {\n    fail_sync(error);\n",
                "  sync_published();\n  try {\n    segment.sync();\n"
                "  } catch (const Error& error) {\n",
            ),
        ),
    ),
    Mutation(
        "zeros for a segment that grows are written over the batches of others",
        (
            Edit(
                "native/storage/segment.cpp",
                "const int64_t size = file_size();\n  if (end <= size) return;",
                "const int64_t size = size_.load();",
            ),
        ),
    ),
    Mutation(
        "who holds files that were removed goes on",
        (Edit(PLACE, "if (made == files_seen) return;", "if (made > 0) return;"),),
    ),
    Mutation(
        "who makes a control page or a lock tells nobody",
        (Edit(PLACE, "files_made.fetch_add(1", "files_made.fetch_add(0"),),
    ),
    Mutation(
        "who appends at the level interval gives no pledge",
        (Edit(APPEND, "if (acks == Acks::kInterval) log->pledges.give();", ""),),
    ),
    Mutation(
        "pledges are taken back although a sync failed",
        (Edit(LOG, "pledges.close(!failure)", "pledges.close(true)"),),
    ),
    Mutation(
        "records that were sent again are not synced at the end of the log",
        (
            Edit(
                APPEND,
                "has_appended.store(true, std::memory_order_relaxed);  // close()",
                "// close()",
            ),
        ),
    ),
    Mutation(
        "a sync that found no memory is tried again",
        (
            Edit(
                SYNC,
                "if (is_opening && is_own_want(errno_of(error)))",
                "if (is_own_want(errno_of(error)))",
            ),
        ),
    ),
    Mutation(
        "a pledge counts as kept although not all was synced",
        (Edit(PLEDGES, "if (is_all) clear(slot);", "static_cast<void>(is_all), clear(slot);"),),
    ),
    Mutation(
        "a forked child keeps its parent's pledges",
        (Edit(PLEDGES, "fork_guard_ = std::make_unique<ForkGuard>(this);", ""),),
    ),
    Mutation(
        "the living are taken for dead",
        (
            Edit(
                PLEDGES,
                "if (!try_lock(*slot)) return false;  // alive, or someone else is at it",
                "try_lock(*slot);",
            ),
        ),
    ),
    Mutation(
        "a segment that was removed becomes durable",
        (Edit(SYNC, "if (*base == active) require_in_place(*segment);", ""),),
    ),
    Mutation(
        "commits of the catalog are not synced",
        (Edit(CATALOG, "PRAGMA synchronous = FULL", "PRAGMA synchronous = OFF"),),
    ),
    Mutation(
        "a busy partition hides the idle ones",
        (Edit(FETCHER, "i < headless_.size();) {", "heads_.empty() && i < headless_.size();) {"),),
    ),
    Mutation(
        "batches come by partition, not by append",
        (
            Edit(
                FETCHER,
                "std::pair(left.batch.append_sequence(), left.reader) >",
                "std::pair(uint64_t{left.reader}, left.reader) >",
            ),
            Edit(
                FETCHER,
                "std::pair(right.batch.append_sequence(), right.reader)",
                "std::pair(uint64_t{right.reader}, right.reader)",
            ),
        ),
    ),
)
