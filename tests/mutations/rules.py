"""One small wrong turn per rule of event time; each must make some test fail.

A mutation replaces exact source text. ``test_rules.py`` checks on every run that the text is still
there, so that a rewrite of the engine takes its mutations along.
"""

from __future__ import annotations

from tests.mutations.mutation import Edit, Mutation

SLICING = "native/windows/slicing.cpp"
ROUTE = "native/windows/route_rows.cpp"
PARTIAL = "native/windows/partial_state.cpp"
TRIGGERED = "native/windows/triggered_aggregation.cpp"
AGGREGATION = "native/windows/window_aggregation.cpp"
TABLE = "native/windows/accumulator_table.cpp"
ACCUMULATE = "native/windows/accumulate.cpp"
ROWS = "native/windows/row_accumulator.cpp"
RESULTS = "native/windows/window_results.cpp"
MOMENTS = "native/windows/moments.hpp"
KEYS = "native/state/key_words.cpp"
WATERMARK = "native/runtime/watermark.cpp"
EVENT_TIMES = "native/runtime/event_times.cpp"
IDLENESS = "native/runtime/idleness.cpp"
EXECUTOR = "native/runtime/executor_rounds.cpp"
HYBRID = "native/runtime/hybrid_reader.cpp"
PATH = "native/runtime/watermark_path.cpp"


MUTATIONS = (
    Mutation(
        "watermark lacks its one tick",
        (
            Edit(WATERMARK, "return max_event_time - delay - 1;", "return max_event_time - delay;"),
            Edit(WATERMARK, "std::min(own, others) - delay - 1;", "std::min(own, others) - delay;"),
        ),
    ),
    Mutation(
        "watermark is applied before the record that moves it",
        (
            Edit(
                WATERMARK,
                "    out[row] = std::min(own, others) - delay - 1;\n"
                "    own = std::max<int64_t>(own, times[row]);\n",
                "    own = std::max<int64_t>(own, times[row]);\n"
                "    out[row] = std::min(own, others) - delay - 1;\n",
            ),
        ),
    ),
    Mutation(
        "watermark moves once per batch",
        (Edit(PARTIAL, "if (watermarks.per_row) {", "if (watermarks.per_row && count < 0) {"),),
    ),
    Mutation(
        "fastest partition drives the watermark",
        (
            Edit(WATERMARK, "least = std::min(least, maxima_[p]);", "least = kMaxWatermark;"),
            Edit(WATERMARK, "std::min_element(maxima_", "std::max_element(maxima_"),
        ),
    ),
    Mutation(
        "record far ahead moves the watermark",
        (Edit(EVENT_TIMES, "is_there && !is_ahead ? std", "is_there ? std"),),
    ),
    Mutation(
        "record ahead by the limit moves no watermark",
        (Edit(EVENT_TIMES, "is_there && time > latest;", "is_there && time >= latest;"),),
    ),
    Mutation(
        "watermark given by a record lacks a tick",
        (Edit("native/runtime/graph.hpp", "spec.expression ? -1 : ", "spec.expression ? 0 : "),),
    ),
    Mutation(
        "record without a watermark moves it",
        (
            Edit(
                EVENT_TIMES,
                "const bool is_there = !has_nulls ||",
                "const bool is_there = has_nulls || !has_nulls ||",
            ),
        ),
    ),
    Mutation(
        "partition is idle at the timeout, not after it",
        (Edit(IDLENESS, "if (moment >= now_us) {", "if (moment > now_us) {"),),
    ),
    Mutation(
        "partitions that become idle at once do so one by one",
        (Edit(IDLENESS, "    --active_;\n", "    --active_;\n    break;\n"),),
    ),
    Mutation(
        "partition that never had a record is idle with the others of its moment",
        (
            Edit(
                IDLENESS,
                "if (!leave(moment, false)) leave(moment, true);",
                "leave(moment, false);\n  leave(moment, true);",
            ),
        ),
    ),
    Mutation(
        "every time in nanoseconds moves the watermark",
        (
            Edit(
                EVENT_TIMES,
                "kEndOfNanosSeconds = 9'214'646'400",
                "kEndOfNanosSeconds = 9'223'372'036",
            ),
        ),
    ),
    Mutation(
        "an int64 counts milliseconds whatever its unit",
        (
            Edit(
                "native/windows/event_times.cpp",
                "ticks.unit = int64_unit;",
                "ticks.unit = TimeUnit::kMilli;",
            ),
        ),
    ),
    Mutation(
        "record timestamps take an int64 for milliseconds",
        (
            Edit(
                "native/runtime/topic_sink.cpp",
                "spec_.int64_unit",
                "TimeUnit::kMilli",
            ),
        ),
    ),
    Mutation(
        "gaps of durations take an int64 for milliseconds",
        (
            Edit(
                "native/windows/session_gaps.cpp",
                "tick_type(event_time.type, spec.int64_unit)",
                "tick_type(event_time.type, TimeUnit::kMilli)",
            ),
        ),
    ),
    Mutation(
        "alignment and lag take an int64 for milliseconds",
        (
            Edit(
                "native/runtime/graph.cpp",
                "tick_type(field.type, watermark->int64_unit)",
                "tick_type(field.type, TimeUnit::kMilli)",
            ),
        ),
    ),
    Mutation(
        "of 65,536 keys some may be new when they come again",
        (Edit("native/state/limits.hpp", "65536 + 2", "65536"),),
    ),
    Mutation(
        "record between two windows is late whatever the watermark",
        (Edit(ROUTE, "lateness_) ? kLate : kNowhere;", "lateness_) ? kLate : kLate;"),),
    ),
    Mutation(
        "record between two windows is never late",
        (Edit(ROUTE, "lateness_) ? kLate : kNowhere;", "lateness_) ? kNowhere : kNowhere;"),),
    ),
    Mutation(
        "record between two windows has no allowed lateness",
        (
            Edit(
                SLICING,
                "return Wide{time} + lateness <= watermark;",
                "return Wide{time} + 0 * lateness <= watermark;",
            ),
        ),
    ),
    Mutation(
        "partition that returns moves the watermark back",
        (
            Edit(
                WATERMARK,
                "if (idle_) reached_ = after;",
                "if (idle_) reached_ = std::min(own, marks.others);",
            ),
        ),
    ),
    Mutation(
        "end of input does not fire",
        (Edit(EXECUTOR, "    advance(&source, windows::kMaxWatermark);\n", ""),),
    ),
    Mutation(
        "the history's watermark does not carry over to each partition",
        (Edit(HYBRID, "  marks.own_before = std::max(marks.own_before, latest);\n", ""),),
    ),
    Mutation(
        "the history's watermark carries over one tick short",
        (Edit(HYBRID, "reached + 1 + delay_;", "reached + delay_;"),),
    ),
    Mutation(
        "keys come in the order of threads",
        (Edit(AGGREGATION, "arrivals[known] < earliest", "arrivals[known] > earliest"),),
    ),
    Mutation(
        "keys of few rows come as they came to their slice",
        (Edit(TABLE, "  if (!is_dense_) sort_by_id(places);\n", ""),),
    ),
    Mutation(
        "keys come in the order of their dictionary",
        (
            Edit(
                "native/state/column_dictionary.cpp",
                "  for (int64_t i = 0; i < column.length; ++i) {\n    if (has_nulls",
                "  for (int64_t i = column.length - 1; i >= 0; --i) {\n    if (has_nulls",
            ),
        ),
    ),
    Mutation(
        "results are seen at the last instant of their window",
        (
            Edit(
                "native/runtime/operator.cpp",
                "if (has_readers_ && path_ != nullptr) return",
                "if (false) return",
            ),
        ),
    ),
    Mutation(
        "results are seen at a watermark of the batch before",
        (Edit(PATH, "std::max(before, last_in(*beyond, moment))", "before"),),
    ),
    Mutation(
        "what the watermark takes on the way through idleness is forgotten",
        (
            Edit(
                PATH,
                "  for (const WatermarkStep& step : batch.marks.steps) add(step);\n",
                "",
            ),
        ),
    ),
    Mutation(
        "watermark may go back",
        (Edit(AGGREGATION, "  if (watermark <= state.watermark) return;\n", ""),),
    ),
    Mutation(
        "window fires one tick late",
        (Edit(SLICING, "Wide{watermark} + 1 - shortest", "Wide{watermark} - shortest"),),
    ),
    Mutation(
        "window fires one tick early",
        (Edit(SLICING, "Wide{watermark} + 1 - shortest", "Wide{watermark} + 2 - shortest"),),
    ),
    Mutation(
        "window takes rows at the watermark that closes it",
        (
            Edit(
                ROUTE,
                "if (watermark < last_open_watermark) {",
                "if (watermark <= last_open_watermark) {",
            ),
        ),
    ),
    Mutation(
        "a batch in one slice is not judged",
        (
            Edit(
                ROUTE,
                "if (latest >= slicing_->window_end(",
                "if (latest > slicing_->window_end(",
            ),
        ),
    ),
    Mutation(
        "lateness is judged per record, not per window",
        (
            Edit(ROUTE, "  if (route_as_one(rows, range, watermarks)) return;\n", ""),
            Edit(
                ROUTE,
                "if (!is_same) route = find_route(time, watermark);",
                "route = time <= watermark ? kLate : find_route(time, watermark);",
            ),
        ),
    ),
    Mutation(
        "late row is dropped silently",
        (Edit(ROUTE, "late->push_back(static_cast<int32_t>(i));", "continue;"),),
    ),
    Mutation(
        "hopping row late for one window is late for all",
        (
            Edit(
                ROUTE,
                "if (closed >= slicing_->last_window(slice)) return kLate;",
                "if (closed >= slicing_->first_window(slice)) return kLate;",
            ),
        ),
    ),
    Mutation(
        "hopping row late for one window misses the next too",
        (Edit(ROUTE, "number_of({slice, closed + 1})", "number_of({slice, closed + 2})"),),
    ),
    Mutation(
        "times before 1970 are truncated, not floored",
        (Edit(SLICING, "if (within < 0) {", "if (within < -slide_) {"),),
    ),
    Mutation(
        "window offset is ignored",
        (Edit(SLICING, "offset_(spec.offset)", "offset_(0)"),),
    ),
    Mutation(
        "hopping window reaches one slice too far back",
        (Edit(SLICING, "return slice - whole + 1;", "return slice - whole;"),),
    ),
    Mutation(
        "slide that does not divide the size is rounded",
        (Edit(SLICING, "(within >= remainder_ ? 1 : 0)", "(within > remainder_ ? 1 : 0)"),),
    ),
    Mutation(
        "window end is shown inclusive",
        (
            Edit(
                RESULTS,
                "make_constant(time_type_, end, batch.num_rows)",
                "make_constant(time_type_, end - 1, batch.num_rows)",
            ),
        ),
    ),
    Mutation(
        "nulls are counted as values",
        (
            Edit(
                TABLE,
                "null_counts == nullptr ? 0 : null_counts[slot]",
                "null_counts == nullptr ? 0 : 0",
            ),
        ),
    ),
    Mutation(
        "null key becomes zero",
        (Edit(KEYS, "nulls += id == 0;", "nulls += id == UINT32_MAX;"),),
    ),
    Mutation(
        "sum of integers wraps around",
        (
            Edit(
                RESULTS,
                "all_fit &= lowest <= sum && sum <= highest;",
                "all_fit &= lowest <= highest;",
            ),
        ),
    ),
    Mutation(
        "mean of integers is an integer",
        (
            Edit(
                RESULTS,
                "static_cast<double>(load<__int128>(sum_at)) / count",
                "static_cast<double>(load<__int128>(sum_at) / static_cast<int64_t>(count))",
            ),
        ),
    ),
    Mutation(
        "NaN alone has an infinite minimum",
        (Edit(ROWS, "has_nan(values, chunk.count)", "has_nan(values, 0)"),),
    ),
    Mutation(
        "zero keeps the sign that came first",
        (
            Edit(
                RESULTS,
                "load<double>(rows.at(slot) + at) + 0.0",
                "load<double>(rows.at(slot) + at)",
            ),
        ),
    ),
    Mutation(
        "minimum and maximum change places",
        (
            Edit(
                ACCUMULATE,
                "store(at, value < held ? value : held);",
                "store(at, held < value ? value : held);",
            ),
        ),
    ),
    Mutation(
        "merging two variances forgets how far their means are apart",
        (Edit(MOMENTS, " + distance * distance * (count * other.count / both);", ";"),),
    ),
    Mutation(
        "the variance of a sample is over n",
        (
            Edit(
                RESULTS,
                "const double spared = is_sample(kind) ? 1 : 0;",
                "const double spared = 0;",
            ),
        ),
    ),
    Mutation(
        "a window that has fired takes no records, whatever is allowed",
        (
            Edit(
                ROUTE,
                "slicing_->last_cleaned_window(watermark, lateness_)",
                "slicing_->last_cleaned_window(watermark, 0)",
            ),
        ),
    ),
    Mutation(
        "early panes stop when nothing comes",
        (
            Edit(
                TRIGGERED,
                "later.insert(later.end(), locals.begin(), locals.end());",
                "later.insert(later.end(), locals.begin(), locals.begin());",
            ),
        ),
    ),
    Mutation(
        "early panes before 1970 are an interval late",
        (Edit(TRIGGERED, "if (within < 0) within += interval;", ""),),
    ),
    Mutation(
        "windows that fire on update fire on close",
        (Edit(TRIGGERED, "if (spec_.trigger.fires_on_close) {", "{"),),
    ),
    Mutation(
        "an early pane starts no new count",
        (Edit(TRIGGERED, "if (fires) since = 0;", "if (fires) since = spec_.trigger.every - 1;"),),
    ),
    Mutation(
        "a window that has fired discards nothing",
        (
            Edit(
                TRIGGERED,
                "if (spec_.trigger.is_discarding) window->table.clear_rows(fired_);",
                "",
            ),
        ),
    ),
    Mutation(
        "a run of records goes on over what the watermark fires",
        (
            Edit(
                TRIGGERED,
                "batch.watermarks[row] < moment);",
                "batch.watermarks[row] < moment + 9);",
            ),
        ),
    ),
    Mutation(
        "a window is forgotten one tick early",
        (
            Edit(
                SLICING,
                "saturate(Wide{watermark} - lateness)",
                "saturate(Wide{watermark} - lateness + 1)",
            ),
        ),
    ),
    Mutation(
        "a late record's pane shows the record alone",
        (
            Edit(
                AGGREGATION,
                "      fired.keep(window, *std::move(table));\n",
                "      fired.content(window);\n",
            ),
        ),
    ),
    Mutation(
        "a late record comes before the windows that its watermark closed",
        (
            Edit(
                AGGREGATION,
                "if (in_force[row] > state.watermark) state",
                "if (in_force[row] > state.watermark + 20) state",
            ),
        ),
    ),
    Mutation(
        "a late record fires panes and misses the windows that are open",
        (Edit(AGGREGATION, "if (window <= last) add_to(sealed.late(slice));", ""),),
    ),
    Mutation(
        "windows that cumulate close with the longest of them",
        (
            Edit(
                SLICING,
                "const int64_t shortest = is_cumulative_ ? slide_ : size_;",
                "const int64_t shortest = size_;",
            ),
        ),
    ),
)
