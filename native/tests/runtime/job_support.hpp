#pragma once
// What the tests of whole jobs share: events, expressions, a record-by-record model of windows.

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "columns/builder.hpp"
#include "expressions/expression.hpp"
#include "runtime/batch_inputs.hpp"
#include "runtime/executor.hpp"
#include "runtime/graph.hpp"

namespace pystream::runtime::testing {

// One record of the test topics: (ts timestamp[ms], key int64, value int64).
struct Event {
  int64_t ts = 0;
  int64_t key = 0;
  int64_t value = 0;
  auto operator<=>(const Event&) const = default;
};

inline SchemaPtr event_schema() {
  static const SchemaPtr schema =
      std::make_shared<Schema>(Schema{{{"ts", DataType::timestamp(TimeUnit::kMilli), true},
                                       {"key", DataType::of(TypeId::kInt64), true},
                                       {"value", DataType::of(TypeId::kInt64), true}}});
  return schema;
}

inline RecordBatch batch_of(const std::vector<Event>& events) {
  FixedBuilder<int64_t> ts(event_schema()->fields[0].type);
  FixedBuilder<int64_t> key(event_schema()->fields[1].type);
  FixedBuilder<int64_t> value(event_schema()->fields[2].type);
  for (const Event& event : events) {
    ts.append(event.ts);
    key.append(event.key);
    value.append(event.value);
  }
  return {event_schema(),
          static_cast<int64_t>(events.size()),
          {ts.finish(), key.finish(), value.finish()}};
}

inline std::vector<Event> events_of(const std::vector<RecordBatch>& batches) {
  std::vector<Event> events;
  for (const RecordBatch& batch : batches) {
    std::vector<Array> columns;
    for (const Array& column : batch.columns) columns.push_back(decode_dictionary(column));
    for (int64_t i = 0; i < batch.num_rows; ++i) {
      events.push_back({columns[0].data<int64_t>()[i], columns[1].data<int64_t>()[i],
                        columns[2].data<int64_t>()[i]});
    }
  }
  return events;
}

// All values of batches whose columns are int64-like, row by row.
inline std::vector<std::vector<int64_t>> rows_of(const std::vector<RecordBatch>& batches) {
  std::vector<std::vector<int64_t>> rows;
  for (const RecordBatch& batch : batches) {
    std::vector<Array> columns;
    for (const Array& column : batch.columns) columns.push_back(decode_dictionary(column));
    for (int64_t i = 0; i < batch.num_rows; ++i) {
      std::vector<int64_t> row;
      for (const Array& column : columns) row.push_back(column.data<int64_t>()[i]);
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

inline expressions::ExpressionPtr col(const std::string& name) {
  auto expression = std::make_shared<expressions::Expression>();
  expression->kind = expressions::Expression::Kind::kColumn;
  expression->column = name;
  return expression;
}

inline expressions::ExpressionPtr lit(int64_t value) {
  auto expression = std::make_shared<expressions::Expression>();
  expression->kind = expressions::Expression::Kind::kLiteral;
  expression->literal = value;
  return expression;
}

inline expressions::ExpressionPtr call(expressions::Function function,
                                       std::vector<expressions::ExpressionPtr> arguments) {
  auto expression = std::make_shared<expressions::Expression>();
  expression->kind = expressions::Expression::Kind::kCall;
  expression->function = function;
  expression->arguments = std::move(arguments);
  return expression;
}

inline FilterSpec greater(const std::string& column, int64_t value) {
  return {call(expressions::Function::kGreater, {col(column), lit(value)})};
}

inline BatchSourceSpec batch_source(std::vector<RecordBatch> batches, int64_t delay) {
  return {event_schema(), read_batches(std::move(batches)), WatermarkSpec{"ts", delay}};
}

// Count and sum of value per key; over the columns (ts, key, value) of events.
inline WindowSpec count_and_sum(int64_t size, int64_t slide, int64_t offset = 0) {
  WindowSpec spec;
  spec.aggregation.window = {size, slide, offset};
  spec.aggregation.key_columns = {1};
  spec.aggregation.event_time_column = 0;
  spec.aggregation.aggregates = {{windows::AggregateKind::kCountAll, -1, "n"},
                                 {windows::AggregateKind::kSum, 2, "total"}};
  return spec;
}

// Runs a job without Python stages to its end and returns what a collect holds.
inline std::vector<RecordBatch> run_and_collect(const Graph& graph, int collect,
                                                const ExecutorOptions& options = {}) {
  Executor executor(graph, options);
  while (executor.run(1'000'000) != RunStatus::kFinished) {
  }
  return executor.take_collected(collect);
}

// Flink's rules for tumbling and hopping windows, record by record.
class WindowModel {
 public:
  WindowModel(int partitions, int64_t delay, int64_t size, int64_t slide, int64_t offset = 0)
      : maxima_(static_cast<size_t>(partitions), INT64_MIN),
        delay_(delay),
        size_(size),
        slide_(slide),
        offset_(offset) {}

  void add(int partition, const Event& event) {
    const int64_t least = *std::min_element(maxima_.begin(), maxima_.end());
    const int64_t watermark = least == INT64_MIN ? INT64_MIN : least - delay_ - 1;
    bool is_late = true;
    int64_t start = event.ts - (((event.ts - offset_) % slide_ + slide_) % slide_);
    for (; start > event.ts - size_; start -= slide_) {
      if (start + size_ - 1 <= watermark) continue;
      auto& [count, sum] = panes_[{start + size_, event.key}];
      ++count;
      sum += event.value;
      is_late = false;
    }
    if (is_late) late_.push_back(event);
    int64_t& own = maxima_[static_cast<size_t>(partition)];
    own = std::max(own, event.ts);
  }

  // (key, start, end, count, sum), by end and key.
  std::vector<std::vector<int64_t>> results() const {
    std::vector<std::vector<int64_t>> rows;
    for (const auto& [pane, sums] : panes_) {
      rows.push_back({pane.second, pane.first - size_, pane.first, sums.first, sums.second});
    }
    return rows;
  }
  const std::vector<Event>& late() const { return late_; }

 private:
  std::vector<int64_t> maxima_;
  int64_t delay_;
  int64_t size_;
  int64_t slide_;
  int64_t offset_;
  std::map<std::pair<int64_t, int64_t>, std::pair<int64_t, int64_t>> panes_;
  std::vector<Event> late_;
};

// Result rows as the model gives them; the order of keys within a window is not promised, the
// order of window ends is.
inline std::vector<std::vector<int64_t>> by_end_and_key(std::vector<std::vector<int64_t>> rows) {
  std::stable_sort(rows.begin(), rows.end(), [](const auto& left, const auto& right) {
    return std::tie(left[2], left[0]) < std::tie(right[2], right[0]);
  });
  return rows;
}

inline bool is_sorted_by_end(const std::vector<std::vector<int64_t>>& rows) {
  return std::is_sorted(rows.begin(), rows.end(),
                        [](const auto& left, const auto& right) { return left[2] < right[2]; });
}

}  // namespace pystream::runtime::testing
