#include "windows/state_layout.hpp"

#include <sstream>

namespace pystream::windows {

namespace {

std::string column_text(const Schema& input, int column) {
  const Field& field = input.fields[static_cast<size_t>(column)];
  return field.name + ": " + field.type.to_string();
}

// A user's function is told by the columns of its accumulators.
std::string name_of(const AggregateSpec& aggregate) {
  if (!aggregate.user) {
    for (const auto& [name, kind] : kAggregates) {
      if (kind == aggregate.kind) return name;
    }
  }
  std::string text = "user function";
  for (const UserColumn& column : aggregate.user->columns()) {
    text += " " + column.name + " " + column.type.to_string();
  }
  return text;
}

std::string describe(const AggregateSpec& aggregate, const Schema& input) {
  std::ostringstream text;
  text.precision(17);
  text << name_of(aggregate);
  if (aggregate.kind == AggregateKind::kCountAll) return text.str();
  text << "(" << column_text(input, aggregate.input);
  for (const int other : aggregate.others) text << ", " << column_text(input, other);
  if (aggregate.by >= 0) text << ", by " << column_text(input, aggregate.by);
  if (aggregate.k > 0) text << ", k " << aggregate.k;
  if (aggregate.relative_error > 0) text << ", relative error " << aggregate.relative_error;
  text << ")";
  return text.str();
}

}  // namespace

std::string describe(const WindowSpec& window) {
  std::ostringstream text;
  if (window.is_cumulative) {
    text << "cumulate window of " << window.size << " by " << window.slide;
  } else if (window.size == window.slide) {
    text << "tumbling window of " << window.size;
  } else {
    text << "hopping window of " << window.size << " by " << window.slide;
  }
  if (window.offset != 0) text << ", offset " << window.offset;
  return text.str();
}

std::string describe(const SessionSpec& session, const Schema& input) {
  if (session.gap_column >= 0) return "session, gap " + column_text(input, session.gap_column);
  return "session, gap " + std::to_string(session.gap);
}

std::string describe(const TriggerSpec& trigger) {
  std::string text;
  if (trigger.every > 0) text += ", every " + std::to_string(trigger.every) + " records";
  if (trigger.every_ticks > 0) text += ", every " + std::to_string(trigger.every_ticks);
  if (!trigger.fires_on_close) text += ", not on close";
  if (trigger.is_discarding) text += ", discarding";
  return text;
}

std::string describe_columns(const Schema& input, int event_time_column,
                             std::span<const int> key_columns,
                             std::span<const AggregateSpec> aggregates) {
  std::string text;
  if (event_time_column >= 0) text += " in " + column_text(input, event_time_column);
  for (size_t i = 0; i < key_columns.size(); ++i) {
    text += (i == 0 ? " by " : ", ") + column_text(input, key_columns[i]);
  }
  for (size_t i = 0; i < aggregates.size(); ++i) {
    text += (i == 0 ? "; " : ", ") + describe(aggregates[i], input);
  }
  return text;
}

}  // namespace pystream::windows
