#include "runtime/graph.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "base/error.hpp"
#include "runtime/watermark.hpp"
#include "runtime/watermark_expression.hpp"
#include "windows/event_times.hpp"
#include "windows/session_aggregation.hpp"
#include "windows/triggered_aggregation.hpp"

namespace pystream::runtime {

namespace {

[[noreturn]] void fail(ErrorCode code, const std::string& name, const std::string& what) {
  throw Error(code, "operator '" + name + "': " + what, {{"operator", name}});
}

const Field& field_at(const std::string& name, const Schema& schema, int index, const char* role) {
  if (index < 0 || index >= schema.size()) {
    fail(ErrorCode::kConfig, name,
         std::string(role) + " column index " + std::to_string(index) + " is not in 0.." +
             std::to_string(schema.size() - 1) + ". Pass an index of the input's schema.");
  }
  return schema.fields[static_cast<size_t>(index)];
}

void check_event_time_type(const std::string& name, const Field& field) {
  if (is_event_time_type(field.type)) return;
  fail(ErrorCode::kSchema, name,
       "event-time column '" + field.name + "' is " + field.type.to_string() +
           ". Use a timestamp, int64 or date32 column.");
}

// Calls `check`, whose errors then name the operator.
template <typename Check>
auto named(const std::string& name, const Check& check) {
  try {
    return check();
  } catch (const Error& error) {
    auto facts = error.facts();
    facts.emplace_back("operator", name);
    throw Error(error.code(), "operator '" + name + "': " + error.what(), std::move(facts));
  }
}

void check_watermark_type(const std::string& name, const Schema& schema,
                          const expressions::Expression& expression, const Field& time) {
  const DataType type = named(name, [&] { return WatermarkExpression(expression, schema).type(); });
  if (type.id == time.type.id && type.unit == time.type.unit) return;
  fail(ErrorCode::kSchema, name,
       "the watermark " + expression.to_string() + " is " + type.to_string() +
           ", but the event time '" + time.name + "' is " + time.type.to_string() +
           ". Cast it to the type of the event time.");
}

// The type of the event-time column, or none without a watermark.
std::optional<DataType> check_watermark(const std::string& name, const Schema& schema,
                                        const std::optional<WatermarkSpec>& watermark) {
  if (!watermark) return std::nullopt;
  const int index = schema.index_of(watermark->event_time_column);
  if (index < 0) {
    fail(ErrorCode::kSchema, name,
         "there is no event-time column '" + watermark->event_time_column +
             "'. The columns are: " + schema.to_string() + ".");
  }
  const Field& field = schema.fields[static_cast<size_t>(index)];
  check_event_time_type(name, field);
  if (watermark->delay < 0) {
    fail(ErrorCode::kConfig, name,
         "the out-of-orderness is " + std::to_string(watermark->delay) +
             " ticks. Pass zero or more.");
  }
  if (watermark->expression) check_watermark_type(name, schema, *watermark->expression, field);
  if (watermark->max_ahead && *watermark->max_ahead < 0) {
    fail(ErrorCode::kConfig, name,
         "max_ahead is " + std::to_string(*watermark->max_ahead) +
             " ticks. Pass zero or more, or none.");
  }
  if (watermark->idleness && watermark->idleness->timeout_us < 1) {
    fail(ErrorCode::kConfig, name,
         "the idle timeout is " + std::to_string(watermark->idleness->timeout_us) +
             " us. Pass at least 1.");
  }
  if (watermark->alignment && watermark->alignment->max_drift_ns < 0) {
    fail(ErrorCode::kConfig, name,
         "the drift of the alignment is " + std::to_string(watermark->alignment->max_drift_ns) +
             " ns. Pass zero or more.");
  }
  return windows::tick_type(field.type, watermark->int64_unit);
}

expressions::BoundExpressionPtr bind_named(const std::string& name,
                                           const expressions::ExpressionPtr& expression,
                                           const Schema& schema) {
  return named(name, [&] { return expressions::bind(*expression, schema); });
}

SchemaPtr with_time_column(const std::string& name, const SchemaPtr& schema,
                           const std::string& column, const char* what,
                           TimeUnit unit = TimeUnit::kMicro) {
  if (column.empty()) return schema;
  if (schema->index_of(column) >= 0) {
    fail(ErrorCode::kConfig, name,
         "there already is a column '" + column + "'. Give the " + what + " another name.");
  }
  auto extended = std::make_shared<Schema>(*schema);
  extended->fields.push_back({column, DataType::timestamp(unit), false});
  return extended;
}

// The widest schema that any of the partitions knows: they learn one by one of one that another
// process has given to the topic.
SchemaPtr agreed_schema(const std::string& name,
                        const std::vector<std::shared_ptr<storage::Partition>>& partitions) {
  SchemaPtr widest = partitions[0]->options().schema;
  for (const auto& partition : partitions) {
    const SchemaPtr own = partition->options().schema;
    if (own->extends(*widest)) {
      widest = own;
    } else if (!widest->extends(*own)) {
      fail(ErrorCode::kSchema, name,
           "the partitions have different schemas. Pass partitions of one topic.");
    }
  }
  return widest;
}

}  // namespace

Port Graph::add(Node node) {
  nodes_.push_back(std::move(node));
  return {static_cast<int>(nodes_.size()) - 1, 0};
}

const SchemaPtr& Graph::schema(Port port) const {
  if (port.node < 0 || port.node >= static_cast<int>(nodes_.size())) {
    throw Error(ErrorCode::kConfig, "the graph has no operator " + std::to_string(port.node) +
                                        ". Pass a port that an add_ call of this graph returned.");
  }
  const Node& node = nodes_[static_cast<size_t>(port.node)];
  if (port.output < 0 || port.output >= static_cast<int>(node.outputs.size())) {
    throw Error(ErrorCode::kConfig, "operator '" + node.name + "' has no output " +
                                        std::to_string(port.output) +
                                        ". Pass a port that an add_ call of this graph returned.");
  }
  return node.outputs[static_cast<size_t>(port.output)];
}

Port Graph::add_topic_source(std::string name, TopicSourceSpec spec) {
  if (!spec.log || spec.partitions.empty()) {
    fail(ErrorCode::kConfig, name, "there is no partition to read. Pass at least one.");
  }
  if (!spec.start_offsets.empty() && spec.start_offsets.size() != spec.partitions.size()) {
    fail(ErrorCode::kConfig, name,
         std::to_string(spec.start_offsets.size()) + " start offsets for " +
             std::to_string(spec.partitions.size()) + " partitions. Pass one for each.");
  }
  for (const std::string& column : {spec.timestamp_column, spec.append_time_column}) {
    if (!spec.history || column.empty()) continue;
    fail(ErrorCode::kNotSupported, name,
         "a history has no record timestamps and no append times. Leave out the column '" + column +
             "', or the history.");
  }
  const SchemaPtr stored = agreed_schema(name, spec.partitions);
  const SchemaPtr schema = with_time_column(
      name, with_time_column(name, stored, spec.timestamp_column, "record timestamp"),
      spec.append_time_column, "append time");
  const auto type = check_watermark(name, *schema, spec.watermark);
  spec.schema = stored;
  return add({std::move(name), std::move(spec), {}, {schema}, type});
}

Port Graph::add_batch_source(std::string name, BatchSourceSpec spec) {
  const auto type = check_watermark(name, *spec.schema, spec.watermark);
  const SchemaPtr schema = spec.schema;
  return add({std::move(name), std::move(spec), {}, {schema}, type});
}

Port Graph::add_filter(std::string name, Port input, FilterSpec spec) {
  const SchemaPtr in = schema(input);
  const auto bound = bind_named(name, spec.condition, *in);
  if (!bound->type().is_bool()) {
    fail(ErrorCode::kSchema, name,
         "the condition " + spec.condition->to_string() + " is " + bound->type().to_string() +
             ". Pass an expression of type bool.");
  }
  const auto type = nodes_[static_cast<size_t>(input.node)].watermark_type;
  return add({std::move(name), std::move(spec), {input}, {in}, type});
}

Port Graph::add_project(std::string name, Port input, ProjectSpec spec) {
  const SchemaPtr in = schema(input);
  if (spec.outputs.empty()) {
    fail(ErrorCode::kConfig, name, "there is no column to compute. Name at least one.");
  }
  auto out = std::make_shared<Schema>();
  std::set<std::string> names;
  for (const NamedExpression& output : spec.outputs) {
    if (!names.insert(output.name).second) {
      fail(ErrorCode::kConfig, name,
           "two columns are named '" + output.name + "'. Give each its own name.");
    }
    const auto bound = bind_named(name, output.expression, *in);
    out->fields.push_back({output.name, bound->type(), bound->nullable()});
  }
  const auto type = nodes_[static_cast<size_t>(input.node)].watermark_type;
  return add({std::move(name), std::move(spec), {input}, {std::move(out)}, type});
}

std::optional<DataType> Graph::check_window_time(const std::string& name, Port input,
                                                 int event_time_column) const {
  const auto type = nodes_[static_cast<size_t>(input.node)].watermark_type;
  const Field& time = field_at(name, *schema(input), event_time_column, "event-time");
  check_event_time_type(name, time);
  // Watermarks count in ticks of the source's column: another unit would compare seconds to days.
  if (type && (type->id != time.type.id ||
               (type->id == TypeId::kTimestamp && type->unit != time.type.unit))) {
    fail(ErrorCode::kSchema, name,
         "event-time column '" + time.name + "' is " + time.type.to_string() +
             ", but the watermark counts in ticks of " + type->to_string() +
             ". Cast one of them, so that both have one type.");
  }
  return type;
}

Port Graph::add_window(std::string name, Port input, WindowSpec spec) {
  const SchemaPtr in = schema(input);
  const auto type = check_window_time(name, input, spec.aggregation.event_time_column);
  const SchemaPtr results = named(name, [&] {
    return spec.aggregation.trigger.is_plain()
               ? windows::WindowAggregation(spec.aggregation, in, 1).output_schema()
               : windows::TriggeredAggregation(spec.aggregation, in).output_schema();
  });
  return add({std::move(name), std::move(spec), {input}, {results, in}, type});
}

Port Graph::add_session_window(std::string name, Port input, SessionWindowSpec spec) {
  const SchemaPtr in = schema(input);
  const auto type = check_window_time(name, input, spec.aggregation.event_time_column);
  const SchemaPtr results = named(
      name, [&] { return windows::SessionAggregation(spec.aggregation, in).output_schema(); });
  return add({std::move(name), std::move(spec), {input}, {results, in}, type});
}

Port Graph::add_count_window(std::string name, Port input, CountWindowSpec spec) {
  const SchemaPtr in = schema(input);
  const int time = spec.aggregation.event_time_column;
  const auto type = time < 0 ? nodes_[static_cast<size_t>(input.node)].watermark_type
                             : check_window_time(name, input, time);
  const SchemaPtr results =
      named(name, [&] { return windows::CountAggregation(spec.aggregation, in).output_schema(); });
  return add({std::move(name), std::move(spec), {input}, {results, in}, type});
}

Port Graph::add_pane_window(std::string name, Port input, PaneWindowSpec spec) {
  const SchemaPtr in = schema(input);
  const int time = spec.aggregation.event_time_column;
  const auto type = time < 0 ? nodes_[static_cast<size_t>(input.node)].watermark_type
                             : check_window_time(name, input, time);
  const SchemaPtr results =
      named(name, [&] { return windows::PaneAggregation(spec.aggregation, in).output_schema(); });
  return add({std::move(name), std::move(spec), {input}, {results, in}, type});
}

Port Graph::add_python_stage(std::string name, Port input, PythonStageSpec spec) {
  schema(input);
  const SchemaPtr out = spec.output_schema;
  const auto type = nodes_[static_cast<size_t>(input.node)].watermark_type;
  return add({std::move(name), std::move(spec), {input}, {out}, type});
}

Port Graph::add_processing_time(std::string name, Port input, ProcessingTimeSpec spec) {
  if (spec.column.empty()) {
    fail(ErrorCode::kConfig, name, "the column of the time has no name. Give it one.");
  }
  const SchemaPtr out =
      with_time_column(name, schema(input), spec.column, "processing time", TimeUnit::kMilli);
  // The watermark of the sources ends here.
  return add({std::move(name), std::move(spec), {input}, {out}, std::nullopt});
}

Port Graph::add_union(std::string name, std::vector<Port> inputs) {
  if (inputs.empty()) fail(ErrorCode::kConfig, name, "there is no input. Pass at least one.");
  auto out = std::make_shared<Schema>(*schema(inputs[0]));
  std::optional<DataType> type = nodes_[static_cast<size_t>(inputs[0].node)].watermark_type;
  for (const Port input : inputs) {
    const Schema& in = *schema(input);
    for (int i = 0; i < std::max(in.size(), out->size()); ++i) {
      const auto at = static_cast<size_t>(i);
      if (i < in.size() && i < out->size() && in.fields[at].name == out->fields[at].name &&
          in.fields[at].type == out->fields[at].type) {
        out->fields[at].nullable |= in.fields[at].nullable;
        continue;
      }
      fail(ErrorCode::kSchema, name,
           "one input is (" + out->to_string() + "), another (" + in.to_string() +
               "). Select the same columns in the same order.");
    }
    if (nodes_[static_cast<size_t>(input.node)].watermark_type != type) type.reset();
  }
  return add({std::move(name), UnionSpec{}, std::move(inputs), {std::move(out)}, type});
}

int Graph::add_topic_sink(std::string name, Port input, TopicSinkSpec spec) {
  const SchemaPtr in = schema(input);
  if (spec.partitions.empty()) {
    fail(ErrorCode::kConfig, name, "there is no partition to append to. Pass at least one.");
  }
  for (const int key : spec.key_columns) field_at(name, *in, key, "key");
  const storage::PartitionOptions& topic = spec.partitions[0]->options();
  for (int i = 0; i < std::max(in->size(), topic.schema->size()); ++i) {
    // Columns that the topic got later are left null.
    if (i > 0 && i >= in->size() && topic.schema->fields[static_cast<size_t>(i)].nullable) continue;
    if (i < in->size() && i < topic.schema->size()) {
      const Field& got = in->fields[static_cast<size_t>(i)];
      const Field& expected = topic.schema->fields[static_cast<size_t>(i)];
      if (got.name == expected.name && got.type == expected.type) continue;
    }
    fail(ErrorCode::kSchema, name,
         "the rows are (" + in->to_string() + "), but topic '" + topic.topic + "' has (" +
             topic.schema->to_string() +
             "). Select the topic's columns in its order; nullable ones at "
             "the end may be left out.");
  }
  if (spec.timestamp_column >= 0) {
    check_event_time_type(name, field_at(name, *in, spec.timestamp_column, "timestamp"));
  }
  spec.column_count = in->size();
  return add({std::move(name), std::move(spec), {input}, {}, std::nullopt}).node;
}

int Graph::add_collect(std::string name, Port input) {
  schema(input);
  return add({std::move(name), CollectSpec{}, {input}, {}, std::nullopt}).node;
}

}  // namespace pystream::runtime
