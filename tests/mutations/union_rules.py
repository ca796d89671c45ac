"""Wrong turns in unions of several inputs."""

from __future__ import annotations

from tests.mutations.mutation import Edit, Mutation

SCOPE = "native/runtime/watermark_scope.cpp"
GROUP = "native/runtime/source_group.cpp"
TIMELINE = "native/runtime/timeline.cpp"
UNION = "native/runtime/union_operator.cpp"
WINDOW = "native/runtime/ordered_window_operator.cpp"
TRIGGER = "native/runtime/trigger_stage.cpp"

MUTATIONS = (
    Mutation(
        "a row of a union sees the watermark of its own source alone",
        (
            Edit(UNION, "watermarks.all = marks.of_row(watermarks.all);", ""),
            Edit(UNION, "return marks.of_row(value); });", "return value; });"),
        ),
    ),
    Mutation(
        "a source that has ended holds the watermark of a union",
        (
            Edit(
                SCOPE,
                "if (status.has_ended) continue;\n    have_all_ended = false;",
                "have_all_ended &= status.has_ended;",
            ),
        ),
    ),
    Mutation(
        "a source that ends takes along how far it has moved the watermark of a union",
        (
            Edit(
                GROUP,
                "const bool has_ended = std::exchange(statuses_[at].has_ended, false);",
                "const bool has_ended = false;",
            ),
        ),
    ),
    Mutation(
        "an idle source holds the watermark of a union",
        (Edit(SCOPE, "    if (status.is_idle) continue;\n", ""),),
    ),
    Mutation(
        "the watermark of a union goes back when an idle source returns",
        (Edit(SCOPE, "reached_ = std::max(reached_, least);", "reached_ = least;"),),
    ),
    Mutation(
        "the largest watermark of idle sources is not flushed",
        (
            Edit(
                SCOPE,
                "return last->watermark >= reached_ ? largest : reached_;",
                "return reached_;",
            ),
        ),
    ),
    Mutation(
        "the turn goes to the table that is ahead",
        (
            Edit(
                GROUP,
                "watermark(source) < watermark(*turn_)",
                "watermark(source) > watermark(*turn_)",
            ),
        ),
    ),
    Mutation(
        "topics of a union are read one after the other",
        (Edit(GROUP, "next->append_sequence() >= least", "first"),),
    ),
    Mutation(
        "results of windows come to a union at the end of the round",
        (Edit(TIMELINE, "if (row != end) return", "if (row == end) return"),),
    ),
    Mutation(
        "what the watermark fires comes to a union behind the record that saw it",
        (
            Edit(
                WINDOW,
                "seen.per_row ? seen.per_row.as<int64_t>()[0]",
                "seen.per_row ? windows::kMinWatermark",
            ),
        ),
    ),
    Mutation(
        "what a trigger of one's own fires comes to a union where the watermark moves next",
        (Edit(TRIGGER, "own_position_ = one.positions.as<int64_t>()[0] + 1;", ""),),
    ),
    Mutation(
        "records of one source stand in the order of the union's inputs",
        (
            Edit(
                UNION,
                "return left.position < right.position;",
                "return left.held < right.held;",
            ),
        ),
    ),
    Mutation(
        "what time brings has the place of what the record before has caused",
        (
            Edit(
                "native/runtime/timeline.hpp",
                "return position_of_arrival(arrival) - kPositionStep / 2;",
                "return position_behind(arrival - 1);",
            ),
        ),
    ),
)
