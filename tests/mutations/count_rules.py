"""Wrong turns in windows of counted records."""

from __future__ import annotations

from tests.mutations.mutation import Edit, Mutation

COUNTS = "native/windows/count_aggregation.cpp"

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
                "if (watermarks.per_row) of_results.per_row = in_force.freeze();",
                "",
            ),
        ),
    ),
)
