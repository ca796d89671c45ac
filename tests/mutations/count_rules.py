"""Wrong turns in windows of counted records."""

from __future__ import annotations

from tests.mutations.mutation import Edit, Mutation

COUNTS = "native/windows/count_aggregation.cpp"
STACKS = "native/windows/count_stacks.cpp"

MUTATIONS = (
    Mutation(
        "a count window waits for one record more",
        (Edit(COUNTS, "if (++of_key.phase == spec.slide)", "if (of_key.phase++ == spec.slide)"),),
    ),
    Mutation(
        "a sliding count window keeps records beyond its size",
        (
            Edit(
                COUNTS,
                "of_key.records + spec.slide - spec.size;",
                "of_key.records - spec.size;",
            ),
        ),
    ),
    Mutation(
        "a count window begins where the last one ended, whatever the size",
        (
            Edit(
                COUNTS,
                "if (of_key.phase == 0 || of_key.phase == begin_phase)",
                "if (of_key.phase == 0)",
            ),
        ),
    ),
    Mutation(
        "records that leave a count window are counted in the next that takes their place",
        (Edit(COUNTS, "  table.clear_rows(evicted);\n", ""),),
    ),
    Mutation(
        "a count window ends at its latest record, not behind it",
        (Edit(COUNTS, "if (time_field) ++window.end;", ""),),
    ),
    Mutation(
        "the result of a count window carries the watermark of its batch",
        (
            Edit(
                COUNTS,
                "  result.per_row = in_force.freeze();\n",
                "",
            ),
        ),
    ),
    Mutation(
        "a count window that slides often loses the records since the older ones were summed up",
        (Edit(STACKS, "  if (of_key.total != kNoSlice) take(of_key.total);\n", ""),),
    ),
    Mutation(
        "older records of a count window that slides often are summed up one by one",
        (Edit(STACKS, "merge(turned_[i - 2], turned_[i - 1]);", ";"),),
    ),
    Mutation(
        "a count window that slides often begins with the last slide",
        (
            Edit(
                STACKS,
                "  into.min_time = std::min(into.min_time, (*slices_)[source].min_time);\n",
                "",
            ),
        ),
    ),
)
