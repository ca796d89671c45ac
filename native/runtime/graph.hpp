#pragma once
// The graph of operators that a pipeline compiles to: built through a few coarse calls, checked
// call by call, run by an Executor. Plain data; one thread builds it, the Executor copies it.
//
// Every operator has a name (for errors and metrics) and its inputs: none of a source, several of a
// union, one of all others. The output of an operator may feed any number of others.
//
// A call throws kSchema (unknown column, wrong type) or kConfig (a setting is wrong), naming the
// operator; the graph is unchanged then.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "columns/record_batch.hpp"
#include "expressions/expression.hpp"
#include "runtime/idleness.hpp"
#include "storage/log.hpp"
#include "windows/count_aggregation.hpp"
#include "windows/pane_aggregation.hpp"
#include "windows/session_spec.hpp"
#include "windows/window_aggregation.hpp"

namespace pystream::runtime {

class TriggerCalls;

// An output of an operator: 0, or kLateOutput of a window.
struct Port {
  int node = 0;
  int output = 0;
  bool operator==(const Port&) const = default;
};
inline constexpr int kLateOutput = 1;

// Sources of one alignment do not run ahead of each other: see source_alignment.hpp.
struct AlignmentSpec {
  std::string name;
  int64_t max_drift_ns = 0;  // >= 0
};

// The watermark after a record is max_ts - delay - 1 (bounded out-of-orderness), or the largest
// value of an expression so far; per partition, minimum over the partitions. A partition without
// any record holds it at kMinWatermark.
struct WatermarkSpec {
  std::string event_time_column;  // int64, timestamp or date32
  int64_t delay = 0;              // ticks of that column, >= 0
  // Of the event-time column's type; null values count for nothing. `delay` is not used then.
  expressions::ExpressionPtr expression = nullptr;
  // A record whose event time (or value of the expression) lies more ticks than this ahead of its
  // append time does not move the watermark; in memory, where there is no append time, one behind
  // the year 9999. None: all do.
  std::optional<int64_t> max_ahead = std::nullopt;
  // Leaves idle partitions of a topic out of the minimum. None: they hold the watermark.
  std::optional<IdlenessSpec> idleness = std::nullopt;
  std::optional<AlignmentSpec> alignment = std::nullopt;
  TimeUnit int64_unit = TimeUnit::kMilli;  // what an event time of int64 counts
};

// What watermark_of() subtracts from the largest event time, or from the largest value, which is
// the watermark itself.
inline int64_t delay_of(const WatermarkSpec& spec) { return spec.expression ? -1 : spec.delay; }

// Reads partitions of one topic in append order.
struct TopicSourceSpec {
  std::shared_ptr<storage::Log> log;
  std::vector<std::shared_ptr<storage::Partition>> partitions;  // at least one, of one schema
  std::vector<int64_t> start_offsets;      // one per partition; empty: the log start offsets
  std::optional<WatermarkSpec> watermark;  // none: event time stands still until the input ends
  bool bounded = true;  // stop at the log end offsets seen by the first run(); else tail forever
  storage::OnCorruption on_corruption = storage::OnCorruption::kRaise;
  storage::Isolation isolation = storage::Isolation::kReadCommitted;
  // When not empty: the record timestamp as an additional last column of this name,
  // timestamp[us] not null.
  std::string timestamp_column;
  // The same for the time at which the log took the record.
  std::string append_time_column;
  SchemaPtr schema;  // the topic's when the source was added (add_topic_source sets it)
  // Batches of the topic's schema that come before its records; false at the end. None: just the
  // topic.
  std::function<bool(RecordBatch*)> history = nullptr;
};

// Batches from memory or an Arrow stream: one partition, in order.
struct BatchSourceSpec {
  SchemaPtr schema;
  std::function<bool(RecordBatch*)> next;  // false at the end; called by the thread in run()
  std::optional<WatermarkSpec> watermark;
};

struct FilterSpec {
  expressions::ExpressionPtr condition;  // of type bool; rows where it is true pass
};

struct NamedExpression {
  std::string name;
  expressions::ExpressionPtr expression;
};

struct ProjectSpec {
  std::vector<NamedExpression> outputs;  // at least one, names distinct
};

struct WindowSpec {
  windows::WindowAggregationSpec aggregation;  // columns by index of the input's schema
  // Added to the event-time column before windows are assigned: -1 for a window over another
  // window's results by window_end, whose event time is window_end - 1.
  int64_t event_time_offset = 0;
};

struct SessionWindowSpec {
  windows::SessionAggregationSpec aggregation;  // columns by index of the input's schema
  int64_t event_time_offset = 0;                // as in WindowSpec
};

struct CountWindowSpec {
  windows::CountAggregationSpec aggregation;  // columns by index of the input's schema
  int64_t event_time_offset = 0;              // as in WindowSpec
};

// Windows with triggers, pane by pane.
struct PaneWindowSpec {
  windows::PaneAggregationSpec aggregation;  // columns by index of the input's schema
  int64_t event_time_offset = 0;             // as in WindowSpec
  // Of the caller's own: then it is a stage. Of one executor at a time.
  std::shared_ptr<TriggerCalls> trigger = nullptr;
};

// A stage outside the core: the caller takes input batches from the Executor and gives outputs.
struct PythonStageSpec {
  SchemaPtr output_schema;
  // For each input batch it gives one with as many rows in the same order, so that each row keeps
  // its own watermark.
  bool keeps_rows = false;
};

struct TopicSinkSpec {
  std::vector<std::shared_ptr<storage::Partition>>
      partitions;  // of one topic, of the input's types
  // Rows with equal keys go to one partition (Kafka's murmur2); empty: round robin by batch.
  std::vector<int> key_columns;
  storage::Acks acks = storage::Acks::kInterval;
  storage::Codec codec = storage::Codec::kNone;
  // Record timestamps: a timestamp, date32 or int64 column; no nulls. -1: the time of the append.
  int timestamp_column = -1;
  TimeUnit int64_unit = TimeUnit::kMilli;  // what it counts where it is int64
  int64_t timestamp_offset = 0;  // ticks added to it: -1 for a window's results by window_end
  int column_count = 0;          // of the input: the topic's first ones (add_topic_sink sets it)
};

// The time of the clock as an additional last column of this name, timestamp[ms] not null, which
// is the event time of the window behind it; see processing_time_operator.hpp.
struct ProcessingTimeSpec {
  std::string column;
  // All windows fire when the input ends, and none before. Else the clock fires them, and what is
  // open at the end of the input is not shown, but of windows without end.
  bool waits = false;
  bool shows_last = false;  // the window behind it is one without end, which the end of input fires
};

// The rows of all its inputs, whose columns have the same names and types.
struct UnionSpec {};

// Keeps its input until the caller takes it.
struct CollectSpec {};

using OperatorSpec =
    std::variant<TopicSourceSpec, BatchSourceSpec, FilterSpec, ProjectSpec, WindowSpec,
                 SessionWindowSpec, CountWindowSpec, PaneWindowSpec, PythonStageSpec,
                 ProcessingTimeSpec, UnionSpec, TopicSinkSpec, CollectSpec>;

struct Node {
  std::string name;
  OperatorSpec spec;
  std::vector<Port> inputs;        // none for sources
  std::vector<SchemaPtr> outputs;  // schema per output; none for sinks and collects
  // Type of the event-time columns of the sources above, in whose ticks watermarks count. None
  // where there is no watermark, or sources count in different ticks: then it stays at its minimum.
  // (windows::tick_type(): an int64 has a unit.)
  std::optional<DataType> watermark_type;
};

class Graph {
 public:
  Port add_topic_source(std::string name, TopicSourceSpec spec);
  Port add_batch_source(std::string name, BatchSourceSpec spec);
  Port add_filter(std::string name, Port input, FilterSpec spec);
  Port add_project(std::string name, Port input, ProjectSpec spec);
  // Output 0: result rows. Output kLateOutput: rows that entered no window, as they came in.
  Port add_window(std::string name, Port input, WindowSpec spec);
  Port add_session_window(std::string name, Port input, SessionWindowSpec spec);
  // No row is late for it.
  Port add_count_window(std::string name, Port input, CountWindowSpec spec);
  Port add_pane_window(std::string name, Port input, PaneWindowSpec spec);
  Port add_python_stage(std::string name, Port input, PythonStageSpec spec);
  Port add_processing_time(std::string name, Port input, ProcessingTimeSpec spec);
  // In the order of the sources' appends; see union_operator.hpp.
  Port add_union(std::string name, std::vector<Port> inputs);
  // The node of a sink or collect.
  int add_topic_sink(std::string name, Port input, TopicSinkSpec spec);
  int add_collect(std::string name, Port input);

  // Throws kConfig when there is no such output.
  const SchemaPtr& schema(Port port) const;
  const std::vector<Node>& nodes() const { return nodes_; }

 private:
  Port add(Node node);
  // The type in whose ticks the watermark counts, which must be that of the event-time column.
  std::optional<DataType> check_window_time(const std::string& name, Port input,
                                            int event_time_column) const;

  std::vector<Node> nodes_;
};

}  // namespace pystream::runtime
