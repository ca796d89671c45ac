"""What is found by time and what is kept, broken one rule at a time."""

from __future__ import annotations

from tests.mutations.mutation import Edit, Mutation

INDEX = "native/storage/time_index.cpp"
LOOKUP = "native/storage/time_lookup.cpp"
RETENTION = "native/storage/retention.cpp"
RECOVERY = "native/storage/recovery.cpp"
CONTROL = "native/storage/control_page.cpp"
READER = "native/storage/partition_reader.cpp"

MUTATIONS = (
    Mutation(
        "the time index keeps the times of batches, not the largest so far",
        (Edit(INDEX, "running.push_back(std::max(last, value));", "running.push_back(value);"),),
    ),
    Mutation(
        "an index file counts for whatever segment it lies beside",
        (Edit(INDEX, "header.salt == salt &&", ""),),
    ),
    Mutation(
        "records with a null time are found",
        (
            Edit(
                LOOKUP,
                "(array.null_count == 0 || array.is_valid(row))",
                "array.length > 0",
            ),
        ),
    ),
    Mutation(
        "the log start offset is in the page only",
        (Edit(RETENTION, "  state.control.write_log_start(file, offset);\n", ""),),
    ),
    Mutation(
        "what a dead process deleted is gone after the next boot only",
        (
            Edit(
                RETENTION,
                "  if (const auto start = unfinished_log_start()) control",
                "  if (const auto start = unfinished_log_start(); false) control",
            ),
        ),
    ),
    Mutation(
        "what a dead process deleted is shown to readers and verify",
        (
            Edit(
                "native/storage/recovery.cpp",
                "      control.raise_log_start_here(*start);\n",
                "",
            ),
        ),
    ),
    Mutation(
        "the log start offset is not synced",
        (
            Edit(
                CONTROL,
                "kLeaseSector);\n  control_file.sync_data();\n}",
                "kLeaseSector);\n}",
            ),
        ),
    ),
    Mutation(
        "a lease that is renewed forgets the log start offset",
        (
            Edit(
                CONTROL,
                "sector + (kStartRecord - kLeaseSector), mapping_.data() + kStartRecord,\n"
                "              sizeof(StartRecord));",
                "sector + (kStartRecord - kLeaseSector), mapping_.data() + kStartRecord, 0);",
            ),
        ),
    ),
    Mutation(
        "recovery begins the log at its first segment",
        (Edit(RECOVERY, "state.control.stored_log_start().value_or(0);", "0;"),),
    ),
    Mutation(
        "a writer that is killed while it raises the log start leaves a damaged page",
        (
            Edit(
                CONTROL,
                "words_->log_start_copy.load(std::memory_order_acquire) == offset",
                "false",
            ),
        ),
    ),
    Mutation(
        "files go before the log start offset is raised",
        (
            Edit(
                RETENTION,
                "  state.control.set_log_start(offset);\n",
                "",
            ),
            Edit(
                RETENTION,
                "  return state_->remove_below_start();",
                "  const auto removed = state_->remove_below_start();\n"
                "  const AppendLock held(*state_);\n"
                "  if (offset > removed.log_start_offset) state_->control.set_log_start(offset);\n"
                "  return removed;",
            ),
        ),
    ),
    Mutation(
        "the active segment is removed as well",
        (
            Edit(RETENTION, "i + 1 < bases.size(); ++i", "i < bases.size(); ++i"),
            Edit(
                RETENTION,
                "const int64_t next = bases[i + 1];",
                "const int64_t next =\n"
                "        i + 1 < bases.size() ? bases[i + 1] : read_published().log_end_offset;",
            ),
            Edit(
                RETENTION,
                "next > result.log_start_offset || next > active",
                "next > result.log_start_offset",
            ),
        ),
    ),
    Mutation(
        "readers go on below the log start offset",
        (
            Edit(
                READER,
                "  if (position < log_start) throw_out_of_range",
                "  if (position < 0 * log_start) throw_out_of_range",
            ),
        ),
    ),
    Mutation(
        "who has a removed segment open is not told",
        (
            Edit(
                RETENTION,
                "    control.words().segment_changes.fetch_add(1, std::memory_order_seq_cst);\n",
                "",
            ),
        ),
    ),
)
