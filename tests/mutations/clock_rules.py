"""Wrong turns in windows of processing time, and in the alignment of sources."""

from __future__ import annotations

from tests.mutations.mutation import Edit, Mutation

CLOCK = "native/runtime/processing_time_operator.cpp"

MUTATIONS = (
    Mutation(
        "a window of the clock closes before its last millisecond is over",
        (
            Edit(CLOCK, "passed_ = now_ms - 1;", "passed_ = now_ms;"),
            Edit(CLOCK, "*next >= now_ms", "*next > now_ms"),
        ),
    ),
    Mutation(
        "a record of the clock meets windows that are over",
        (Edit(CLOCK, "lane.now_ms - 1;\n  rows", "windows::kMinWatermark;\n  rows"),),
    ),
    Mutation(
        "the end of the input shows what the clock has not fired",
        (Edit("native/runtime/graph_checks.cpp", "clock != nullptr && !clock->waits", "false"),),
    ),
    Mutation(
        "a source that is ahead of the others does not wait",
        (
            Edit(
                "native/runtime/source_alignment.cpp",
                "*own - *others > drift",
                "*own - *others > Nanoseconds{INT64_MAX} * INT64_MAX",
            ),
        ),
    ),
    Mutation(
        "a source that waits has others wait for it",
        (
            Edit(
                "native/runtime/source_alignment.cpp",
                "(!is_active_[member.group] || is_held_[member.group])",
                "!is_active_[member.group]",
            ),
        ),
    ),
    Mutation(
        "a clock that is set back opens windows that are over",
        (
            Edit(
                "native/runtime/round_clock.hpp",
                "latest_ms_ = std::max(latest_ms_, ms);",
                "latest_ms_ = ms;",
            ),
        ),
    ),
)
