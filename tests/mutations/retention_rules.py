"""What is found by time and what is kept, broken one rule at a time."""

from __future__ import annotations

from tests.mutations.mutation import Edit, Mutation

INDEX = "native/storage/time_index.cpp"
LOOKUP = "native/storage/time_lookup.cpp"

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
)
