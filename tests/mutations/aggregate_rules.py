"""Wrong turns in aggregates that keep state beside the accumulator rows."""

from __future__ import annotations

from tests.mutations.mutation import Edit, Mutation

ORDERED = "native/windows/ordered_values.cpp"
HYPER_LOG_LOG = "native/windows/hyper_log_log.cpp"
DD_SKETCH = "native/windows/dd_sketch.cpp"
DISTINCT = "native/windows/distinct_values.cpp"
COLLECTED = "native/windows/collected_values.cpp"
BEST = "native/windows/best_values.cpp"
EXECUTOR = "native/runtime/executor_rounds.cpp"
SOURCE = "native/runtime/source.cpp"
USER = "native/windows/user_state.cpp"
USER_BINDING = "pystream/_native/bind_user_aggregate.cpp"

MUTATIONS = (
    Mutation(
        "last takes the earliest of rows with one event time",
        (Edit(ORDERED, "is_latest_ ? ~arrival : arrival", "arrival"),),
    ),
    Mutation(
        "ties go to what was added or merged first",
        (
            Edit(
                ORDERED,
                "key < other.key || (key == other.key && arrival < other.arrival)",
                "key < other.key || (key == other.key && other.arrival == kNoArrival)",
            ),
        ),
    ),
    Mutation(
        "the order of arrival starts again with every batch",
        (
            Edit(EXECUTOR, "batch.first_arrival = arrivals;", "batch.first_arrival = 0;"),
            Edit(
                SOURCE,
                "chunk.watermarks.first_arrival = batch.first_arrival + begin;",
                "chunk.watermarks.first_arrival = begin;",
            ),
        ),
    ),
    Mutation(
        "merged distinct values keep the numbers of the other dictionary",
        (Edit(DISTINCT, "mine[used[begin + i]] = found[i];", "mine[used[begin + i]] = used[i];"),),
    ),
    Mutation(
        "the quantile is one rank too far",
        (
            Edit(
                DD_SKETCH, "while (before >= sorted[at].count)", "while (before > sorted[at].count)"
            ),
        ),
    ),
    Mutation(
        "the quantile counts NaN as the greatest value",
        (Edit(DD_SKETCH, "if (sorted.size() > 1 && ", "if (sorted.size() > 1u << 31 && "),),
    ),
    Mutation(
        "collected values stay in the order in which slices and threads were merged",
        (
            Edit(
                COLLECTED,
                "if (!std::is_sorted(sorted->begin(), sorted->end())) "
                "std::sort(sorted->begin(), sorted->end());",
                "",
            ),
        ),
    ),
    Mutation(
        "a full list of greatest values takes no more",
        (Edit(BEST, "if (!is_better(item, heap[0])) return false;", "return false;"),),
    ),
    Mutation(
        "a sparse sketch that becomes dense loses the bits between",
        (Edit(HYPER_LOG_LOG, "static_cast<uint32_t>(kMoreBits) + value", "value"),),
    ),
    Mutation(
        "a user's accumulators are merged without the rows that wait for them",
        (Edit(USER, "  settle();\n  from.settle();", "  settle();"),),
    ),
    Mutation(
        "windows change an accumulator of the user's that they have in common",
        (Edit(USER_BINDING, "held.use_count() > 1", "held.use_count() > 1000"),),
    ),
)
