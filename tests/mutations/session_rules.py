"""Wrong turns in sessions: what merges, what is late, when a session fires."""

from __future__ import annotations

from tests.mutations.mutation import Edit, Mutation

SESSIONS = "native/windows/session_aggregation.cpp"
STATE = "native/windows/session_aggregation_state.hpp"

MUTATIONS = (
    Mutation(
        "records exactly one gap apart are two sessions",
        (
            Edit(
                SESSIONS,
                "while (at != kNoSession && sessions[at].end >= row.time) {",
                "while (at != kNoSession && sessions[at].end > row.time) {",
            ),
            Edit(SESSIONS, "row.time <= session.end &&", "row.time < session.end &&"),
        ),
    ),
    Mutation(
        "a session ends with its last record",
        (
            Edit(
                SESSIONS,
                "session.end = std::max(session.end, row.end);",
                "session.end = std::max(session.end, row.time);",
            ),
        ),
    ),
    Mutation(
        "a record that comes before a session leaves its start",
        (Edit(SESSIONS, "sessions.set_start(target, std::min(merged.start, row.time));", ""),),
    ),
    Mutation(
        "a record joins one session and bridges none",
        (Edit(SESSIONS, "touched.push_back(at);", "touched.assign(1, at);"),),
    ),
    Mutation(
        "a bridge drops the values of the later session",
        (Edit(SESSIONS, "    table.merge_slots(table, &target, &source, 1);\n", ""),),
    ),
    Mutation(
        "a record of a session is judged alone, not the merged window",
        (
            Edit(
                SESSIONS,
                "if (!touched.empty()) {",
                "if (!touched.empty() && !is_gone(row.end, row.watermark)) {",
            ),
        ),
    ),
    Mutation(
        "a session takes records at the watermark that closes it",
        (
            Edit(
                STATE,
                "return session.end - 1 <= watermark;",
                "return session.end - 1 < watermark;",
            ),
            Edit(STATE, "return cleanup <= watermark;", "return cleanup < watermark;"),
        ),
    ),
    Mutation(
        "a session sees the watermark of its batch, not of the record",
        (Edit(SESSIONS, "in_force == nullptr ? least", "in_force != nullptr ? least"),),
    ),
    Mutation(
        "a session that has grown fires at its first end",
        (Edit(SESSIONS, "if (due_time(held) > up_to) {", "if (held.end < held.start) {"),),
    ),
    Mutation(
        "sessions fire in the order of their first records",
        (Edit(STATE, "return end != other.end ? end < other.end :", "return"),),
    ),
    Mutation(
        "every record has the gap of the first",
        (Edit(SESSIONS, ": ends[i],", ": times[i] + (ends[0] - times[0]),"),),
    ),
    Mutation(
        "a session is forgotten when it fires, whatever the allowed lateness",
        (
            Edit(
                STATE,
                "__builtin_add_overflow(end - 1, lateness, &cleanup)",
                "__builtin_add_overflow(end - 1, int64_t{0}, &cleanup)",
            ),
        ),
    ),
    Mutation(
        "a late record waits for the next watermark",
        (
            Edit(
                SESSIONS,
                "if (has_ended(sessions[session], row.watermark)) {",
                "if (has_ended(sessions[session], row.watermark) && row.at < 0) {",
            ),
        ),
    ),
    Mutation(
        "a session that fired and grows does not fire again",
        (Edit(SESSIONS, "  merged.is_fired = false;\n", ""),),
    ),
    Mutation(
        "among many sessions a record finds the one before its place",
        (
            Edit(
                "native/windows/chain_index.hpp",
                "const auto later = starts.upper_bound(time);",
                "const auto later = starts.lower_bound(time);",
            ),
        ),
    ),
    Mutation(
        "among many sessions one that starts earlier is looked for where it was",
        (
            Edit(
                "native/windows/chain_index.hpp",
                "if (of_keys_.empty() || start == new_start) return;",
                "if (start != number || start != new_start) return;",
            ),
        ),
    ),
)
