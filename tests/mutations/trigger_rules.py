"""Wrong turns in windows with triggers, pane by pane."""

from __future__ import annotations

from tests.mutations.mutation import Edit, Mutation

PANES = "native/windows/pane_aggregation.cpp"
TABLE = "native/windows/pane_table.cpp"
TRIGGER = "native/windows/pane_trigger.cpp"

MUTATIONS = (
    Mutation(
        "a timer that the watermark has passed is never called",
        (Edit(TABLE, "time = std::max(time, watermark_);", "if (time <= watermark_) return;"),),
    ),
    Mutation(
        "a window that is forgotten does not tell its trigger",
        (
            Edit(
                PANES,
                "act(pane, trigger_->on_event_time(panes_, pane, time)",
                "if (!is_over) act(pane, trigger_->on_event_time(panes_, pane, time)",
            ),
        ),
    ),
    Mutation(
        "sessions that merge are counted by their trigger from nothing",
        (Edit(TRIGGER, "whole.since_fired += part.since_fired;", ""),),
    ),
    Mutation(
        "sessions that merge keep the latest of their timers",
        (Edit(TRIGGER, "std::min(whole.next_fire, part.next_fire)", "part.next_fire"),),
    ),
    Mutation(
        "a session that has grown has no more early panes",
        (
            Edit(
                TRIGGER,
                "if (whole.is_timed) panes.register_timer",
                "if (whole.is_timed && merged.empty()) panes.register_timer",
            ),
        ),
    ),
    Mutation(
        "a session that has grown keeps the timers of its former end",
        (Edit(PANES, "panes_.clear_timers(source);", ""),),
    ),
    Mutation(
        "a window without end fires no more when the input ends",
        (
            Edit(
                TRIGGER,
                "if (spec_.fires_on_close) panes.register_timer",
                "if (panes[pane].last != kEndless) panes.register_timer",
            ),
        ),
    ),
    Mutation(
        "what a trigger discards comes again",
        (Edit(PANES, "  table_.clear_rows({&number, 1});\n", ""),),
    ),
    Mutation(
        "timers fire in the order of their windows' ends",
        (
            Edit(
                "native/windows/pane_table.hpp",
                "if (time != other.time) return time > other.time;",
                "",
            ),
        ),
    ),
    Mutation(
        "a counted window goes on when it is complete",
        (Edit(PANES, "if (is_complete) forget(number);", ""),),
    ),
    Mutation(
        "a late record that a session takes waits for the watermark",
        (Edit(TRIGGER, "if (panes.has_ended(pane)) return TriggerResult::kFire;", ""),),
    ),
)
