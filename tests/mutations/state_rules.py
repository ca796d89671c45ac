"""Wrong turns in what operators write to snapshots and take back."""

from __future__ import annotations

from tests.mutations.mutation import Edit, Mutation

KEY_GROUPS = "native/state/key_groups.cpp"
SNAPSHOT = "native/windows/window_aggregation_snapshot.cpp"
PANES = "native/windows/pane_aggregation_snapshot.cpp"
STAGE = "native/runtime/python_stage.hpp"
SINK = "native/runtime/topic_sink.hpp"
TOPIC = "native/runtime/topic_reader_state.cpp"
JOB = "native/runtime/job_snapshot.cpp"
ROUNDS = "native/runtime/executor_rounds.cpp"

MUTATIONS = (
    Mutation(
        "state is spread over key groups with one too many for each instance",
        (
            Edit(
                KEY_GROUPS,
                "((instance + 1) * max_parallelism - 1) / parallelism}",
                "((instance + 1) * max_parallelism) / parallelism}",
            ),
        ),
    ),
    Mutation(
        "state leaves out the first window that has not fired",
        (Edit(SNAPSHOT, 'first_unfired = reader.highest_fact("first_unfired");', ""),),
    ),
    Mutation(
        "a restored window shows its keys as they come back",
        (Edit(SNAPSHOT, "  read_keys(reader, tables.key, range, &keys());\n", ""),),
    ),
    Mutation(
        "a restored pane knows nothing of its trigger",
        (Edit(PANES, "  trigger_->restore(panes_, numbers, batch.others);\n", ""),),
    ),
    Mutation(
        "what triggers keep in Python is not in the snapshot",
        (
            Edit(
                "pystream/engines/local/triggers.py",
                "None if _is_untouched(state) else pickle.dumps(state)",
                "None",
            ),
        ),
    ),
    Mutation(
        "a restored stage counts its rows from the start",
        (Edit(STAGE, "arrivals_ = read_number(kRowsEmitted, reader);", ""),),
    ),
    Mutation(
        "a restored union counts its rows from the start",
        (
            Edit(
                "native/runtime/union_operator.hpp",
                "arrivals_ = read_number(kRowsEmitted, reader);",
                "",
            ),
        ),
    ),
    Mutation(
        "a restored clock has fired nothing yet",
        (
            Edit(
                "native/runtime/processing_time_operator.cpp",
                'passed_ = reader.fact("passed");',
                "",
            ),
        ),
    ),
    Mutation(
        "a restored sink begins with its first partition",
        (Edit(SINK, 'read_number("rows_appended", reader)', "0"),),
    ),
    Mutation(
        "a restored topic source does not know how far event time is",
        (Edit(TOPIC, "  tracker_.restore(watermark);\n", ""),),
    ),
    Mutation(
        "a restored source takes a topic that was made again for the same",
        (Edit(TOPIC, "if (row.topic_id != own.topic_id) fail_made_again(row, own.topic_id);", ""),),
    ),
    Mutation(
        "a partition that is not in the snapshot holds the watermark",
        (
            Edit(
                "native/runtime/watermark.cpp",
                "state.reached = reached();",
                "state.reached = reached_;",
            ),
        ),
    ),
    Mutation(
        "a restored source reads its history again",
        (
            Edit(
                "native/runtime/batch_reader.cpp",
                "rows_to_skip_ = first_row_;",
                "rows_to_skip_ = 0;",
            ),
        ),
    ),
    Mutation(
        "a restored job does not know where several sources are together",
        (Edit(JOB, "scope.restore({row.watermark, row.are_all_idle});", "(void)scope;"),),
    ),
    Mutation(
        "a restored job begins a turn",
        (
            Edit(
                "native/runtime/source_group.cpp",
                "turn_rows_left_ = turn.rows_left;",
                "turn_rows_left_ = turn_rows_;",
            ),
        ),
    ),
    Mutation(
        "a restored job looks at the start offsets that it was given",
        (
            Edit(
                "native/runtime/plan_operators.cpp",
                "if (goes_on_) from.start_offsets.clear();",
                "",
            ),
        ),
    ),
    Mutation(
        "the clock of a restored job may go back",
        (Edit(ROUNDS, "  clock.restore(progress.clock_ms);\n", ""),),
    ),
    Mutation(
        "a restored job numbers its rows from the start",
        (Edit(ROUNDS, "  arrivals = progress.arrivals;\n", ""),),
    ),
    Mutation(
        "a restored union forgets the last batch",
        (Edit(JOB, "if (group.timeline) group.timeline->restore(std::move(last));", ""),),
    ),
)
