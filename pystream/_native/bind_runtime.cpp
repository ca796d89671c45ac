// Graph, Port, OperatorMetrics. The contract is _core.pyi.

#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.hpp"
#include "bindings.hpp"
#include "columns/arrow_c.hpp"
#include "runtime/batch_inputs.hpp"
#include "runtime/executor.hpp"
#include "storage_options.hpp"
#include "windows/event_times.hpp"

namespace pystream::python {

// In bind_trigger.cpp.
std::shared_ptr<runtime::TriggerCalls> trigger_of(const py::object& calls);

namespace {

using runtime::Graph;
using runtime::MetricsSnapshot;
using runtime::Port;

using ExpressionHandle = std::shared_ptr<expressions::Expression>;
using Partitions = std::vector<std::shared_ptr<storage::Partition>>;
using AggregateTuple = std::tuple<std::string, std::string, std::optional<std::string>>;
using LongAggregateTuple = std::tuple<std::string, std::string, std::optional<std::string>,
                                      std::optional<std::string>, std::vector<double>>;
using UserAggregateTuple =
    std::tuple<std::string, std::vector<std::string>, std::shared_ptr<windows::UserAggregate>>;
using AnyAggregate = std::variant<AggregateTuple, LongAggregateTuple, UserAggregateTuple>;

using Alignment = std::pair<std::string, int64_t>;  // its name, and the drift in nanoseconds

TimeUnit parse_unit(const std::string& unit) {
  return DataType::parse("timestamp[" + unit + "]").unit;
}

std::optional<runtime::WatermarkSpec> watermark_of(const std::optional<std::string>& event_time,
                                                   const std::string& int64_unit, int64_t delay,
                                                   ExpressionHandle expression,
                                                   std::optional<int64_t> max_ahead,
                                                   std::optional<Alignment> alignment) {
  if (!event_time) return std::nullopt;
  runtime::WatermarkSpec spec{*event_time, delay, std::move(expression), max_ahead};
  spec.int64_unit = parse_unit(int64_unit);
  if (alignment) spec.alignment = {std::move(alignment->first), alignment->second};
  return spec;
}

int column_index(const Schema& schema, const std::string& op, const std::string& column) {
  const int index = schema.index_of(column);
  if (index >= 0) return index;
  throw Error(ErrorCode::kSchema,
              "operator '" + op + "': there is no column '" + column +
                  "'. The columns are: " + schema.to_string() + ".",
              {{"operator", op}, {"column", column}});
}

windows::AggregateKind parse_aggregate(const std::string& text) {
  std::string names;
  for (const auto& [name, kind] : windows::kAggregates) {
    if (text == name) return kind;
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  throw Error(ErrorCode::kConfig, "there is no aggregate '" + text + "'. There are " + names + ".");
}

// Batches of a list, or pulled from an Arrow stream while the job runs.
std::function<bool(RecordBatch*)> batch_input(const py::object& source, const SchemaPtr& schema) {
  if (!py::hasattr(source, "__arrow_c_stream__")) {
    if (py::isinstance<py::sequence>(source)) {
      return runtime::read_batches(source.cast<std::vector<RecordBatch>>());
    }
    throw Error(ErrorCode::kSchema,
                "a batch source needs a list of RecordBatch or an object with __arrow_c_stream__, "
                "got " +
                    py::repr(py::type::of(source)).cast<std::string>() + ".");
  }
  const py::object capsule = source.attr("__arrow_c_stream__")();
  auto* stream =
      static_cast<ArrowArrayStream*>(PyCapsule_GetPointer(capsule.ptr(), "arrow_array_stream"));
  if (stream == nullptr) throw py::error_already_set();
  const py::gil_scoped_release release;  // a producer in Python takes the lock again
  return runtime::read_stream(stream, schema);
}

Port add_topic_source(Graph& graph, std::string name, std::shared_ptr<storage::Log> log,
                      Partitions partitions, std::optional<std::vector<int64_t>> start_offsets,
                      const std::optional<std::string>& event_time, int64_t delay,
                      ExpressionHandle watermark, std::optional<int64_t> max_ahead,
                      std::optional<int64_t> idle_timeout_us, bool advances_when_idle, bool bounded,
                      std::optional<std::string> timestamp_column,
                      std::optional<std::string> append_time_column,
                      const std::string& on_corruption, const std::string& isolation_level,
                      const py::object& history, std::optional<Alignment> alignment,
                      const std::string& int64_unit) {
  runtime::TopicSourceSpec spec;
  spec.log = std::move(log);
  spec.partitions = std::move(partitions);
  if (start_offsets) spec.start_offsets = std::move(*start_offsets);
  spec.watermark = watermark_of(event_time, int64_unit, delay, std::move(watermark), max_ahead,
                                std::move(alignment));
  if (spec.watermark && idle_timeout_us) {
    spec.watermark->idleness = {*idle_timeout_us, advances_when_idle};
  }
  spec.bounded = bounded;
  spec.on_corruption = parse_on_corruption(on_corruption);
  spec.isolation = parse_isolation(isolation_level);
  if (timestamp_column) spec.timestamp_column = std::move(*timestamp_column);
  if (append_time_column) spec.append_time_column = std::move(*append_time_column);
  if (!history.is_none())
    spec.history = batch_input(history, spec.partitions.at(0)->options().schema);
  return graph.add_topic_source(std::move(name), std::move(spec));
}

Port add_batch_source(Graph& graph, std::string name, const py::object& source,
                      const SchemaHandle& schema, const std::optional<std::string>& event_time,
                      int64_t delay, ExpressionHandle watermark, std::optional<int64_t> max_ahead,
                      std::optional<Alignment> alignment, const std::string& int64_unit) {
  runtime::BatchSourceSpec spec{schema, batch_input(source, schema),
                                watermark_of(event_time, int64_unit, delay, std::move(watermark),
                                             max_ahead, std::move(alignment))};
  return graph.add_batch_source(std::move(name), std::move(spec));
}

Port add_project(Graph& graph, std::string name, Port input,
                 const std::vector<std::pair<std::string, ExpressionHandle>>& outputs) {
  runtime::ProjectSpec spec;
  for (const auto& [column, expression] : outputs) spec.outputs.push_back({column, expression});
  return graph.add_project(std::move(name), input, std::move(spec));
}

windows::AggregateSpec user_aggregate(const UserAggregateTuple& parts, const Schema& schema,
                                      const std::string& op) {
  const auto& [name, columns, user] = parts;
  windows::AggregateSpec spec{windows::AggregateKind::kUser,
                              column_index(schema, op, columns.at(0)), name};
  spec.user = user;
  for (size_t i = 1; i < columns.size(); ++i) {
    spec.others.push_back(column_index(schema, op, columns[i]));
  }
  return spec;
}

void set_parameters(std::vector<double> parameters, windows::AggregateSpec* aggregate) {
  if (parameters.empty()) return;
  switch (aggregate->kind) {
    case windows::AggregateKind::kTopK:
    case windows::AggregateKind::kBottomK:
      aggregate->k = static_cast<int64_t>(parameters[0]);
      break;
    case windows::AggregateKind::kApproxQuantile:
      aggregate->quantile = parameters[0];
      aggregate->relative_error = parameters.back();
      break;
    default:
      aggregate->relative_error = parameters.back();
      parameters.pop_back();
      aggregate->quantiles = std::move(parameters);
  }
}

// What all windows have: keys, event time, aggregates.
template <typename Aggregation>
void set_columns(Aggregation* aggregation, const Schema& schema, const std::string& name,
                 const std::vector<std::string>& keys, const std::optional<std::string>& event_time,
                 const std::vector<AnyAggregate>& aggregates) {
  for (const auto& key : keys) {
    aggregation->key_columns.push_back(column_index(schema, name, key));
  }
  if (event_time) aggregation->event_time_column = column_index(schema, name, *event_time);
  const auto index_of = [&](const std::optional<std::string>& column) {
    return column ? column_index(schema, name, *column) : -1;
  };
  for (const AnyAggregate& aggregate : aggregates) {
    aggregation->aggregates.push_back(std::visit(
        [&](const auto& parts) {
          using Parts = std::decay_t<decltype(parts)>;
          if constexpr (std::is_same_v<Parts, UserAggregateTuple>) {
            return user_aggregate(parts, schema, name);
          } else {
            windows::AggregateSpec parsed{parse_aggregate(std::get<1>(parts)),
                                          index_of(std::get<2>(parts)), std::get<0>(parts)};
            if constexpr (std::tuple_size_v<Parts> > 3) {
              parsed.by = index_of(std::get<3>(parts));
              set_parameters(std::get<4>(parts), &parsed);
            }
            return parsed;
          }
        },
        aggregate));
  }
}

std::pair<Port, Port> add_window(Graph& graph, const std::string& name, Port input, int64_t size,
                                 int64_t slide, const std::vector<std::string>& keys,
                                 const std::string& event_time,
                                 const std::vector<AnyAggregate>& aggregates, int64_t offset,
                                 bool is_cumulative, int64_t event_time_offset,
                                 int64_t allowed_lateness, int64_t every, int64_t every_ticks,
                                 bool fires_on_close, bool is_discarding) {
  runtime::WindowSpec spec;
  spec.aggregation.window = {size, slide, offset, is_cumulative};
  set_columns(&spec.aggregation, *graph.schema(input), name, keys, event_time, aggregates);
  spec.event_time_offset = event_time_offset;
  spec.aggregation.allowed_lateness = allowed_lateness;
  spec.aggregation.trigger = {every, every_ticks, fires_on_close, is_discarding};
  const Port results = graph.add_window(name, input, std::move(spec));
  return {results, {results.node, runtime::kLateOutput}};
}

std::pair<Port, Port> add_session_window(Graph& graph, const std::string& name, Port input,
                                         const std::variant<int64_t, std::string>& gap,
                                         const std::vector<std::string>& keys,
                                         const std::string& event_time,
                                         const std::vector<AnyAggregate>& aggregates,
                                         int64_t allowed_lateness, int64_t event_time_offset,
                                         const std::string& int64_unit) {
  const SchemaPtr schema = graph.schema(input);
  runtime::SessionWindowSpec spec;
  if (const auto* column = std::get_if<std::string>(&gap)) {
    spec.aggregation.session.gap_column = column_index(*schema, name, *column);
  } else {
    spec.aggregation.session.gap = std::get<int64_t>(gap);
  }
  spec.aggregation.session.allowed_lateness = allowed_lateness;
  spec.aggregation.session.int64_unit = parse_unit(int64_unit);
  set_columns(&spec.aggregation, *schema, name, keys, event_time, aggregates);
  spec.event_time_offset = event_time_offset;
  const Port results = graph.add_session_window(name, input, std::move(spec));
  return {results, {results.node, runtime::kLateOutput}};
}

std::pair<Port, Port> add_count_window(Graph& graph, const std::string& name, Port input,
                                       int64_t size, int64_t slide,
                                       const std::vector<std::string>& keys,
                                       const std::optional<std::string>& event_time,
                                       const std::vector<AnyAggregate>& aggregates,
                                       int64_t event_time_offset) {
  runtime::CountWindowSpec spec;
  spec.aggregation.size = size;
  spec.aggregation.slide = slide;
  set_columns(&spec.aggregation, *graph.schema(input), name, keys, event_time, aggregates);
  spec.event_time_offset = event_time_offset;
  const Port results = graph.add_count_window(name, input, std::move(spec));
  return {results, {results.node, runtime::kLateOutput}};
}

// Window kinds by name; what the others are made of is left at its default.
windows::PaneAggregationSpec pane_windows(const Schema& schema, const std::string& name,
                                          const std::string& kind, int64_t size,
                                          const std::variant<int64_t, std::string>& gap,
                                          int64_t slide, int64_t offset,
                                          const std::string& int64_unit) {
  windows::PaneAggregationSpec spec;
  const bool is_cumulative = kind == "cumulate";
  if (kind == "session") {
    windows::SessionSpec session;
    if (const auto* column = std::get_if<std::string>(&gap)) {
      session.gap_column = column_index(schema, name, *column);
    } else {
      session.gap = std::get<int64_t>(gap);
    }
    session.int64_unit = parse_unit(int64_unit);
    spec.windows = session;
  } else if (kind == "count") {
    spec.windows = windows::CountedSpec{size};
  } else if (kind == "fixed" || is_cumulative) {
    spec.windows = windows::WindowSpec{size, slide, offset, is_cumulative};
  } else if (kind == "global") {
    spec.windows = windows::GlobalSpec{};
  } else {
    throw Error(ErrorCode::kConfig,
                "there is no window '" + kind +
                    "' of panes. There are fixed, cumulate, session, count, global.");
  }
  return spec;
}

std::pair<Port, Port> add_pane_window(Graph& graph, const std::string& name, Port input,
                                      const std::string& kind, const std::vector<std::string>& keys,
                                      const std::optional<std::string>& event_time,
                                      const std::vector<AnyAggregate>& aggregates, int64_t size,
                                      const std::variant<int64_t, std::string>& gap,
                                      int64_t event_time_offset, int64_t allowed_lateness,
                                      int64_t every, int64_t every_ticks, bool fires_on_close,
                                      bool is_discarding, int64_t slide, int64_t offset,
                                      const py::object& trigger, const std::string& int64_unit) {
  const SchemaPtr schema = graph.schema(input);
  runtime::PaneWindowSpec spec;
  spec.aggregation = pane_windows(*schema, name, kind, size, gap, slide, offset, int64_unit);
  if (!trigger.is_none()) spec.trigger = trigger_of(trigger);
  set_columns(&spec.aggregation, *schema, name, keys, event_time, aggregates);
  spec.event_time_offset = event_time_offset;
  spec.aggregation.allowed_lateness = allowed_lateness;
  spec.aggregation.trigger = {every, every_ticks, fires_on_close, is_discarding};
  const Port results = graph.add_pane_window(name, input, std::move(spec));
  return {results, {results.node, runtime::kLateOutput}};
}

int add_topic_sink(Graph& graph, const std::string& name, Port input, Partitions partitions,
                   const std::vector<std::string>& key, const std::string& acks,
                   const std::string& codec, const std::optional<std::string>& timestamp,
                   int64_t timestamp_offset, const std::string& int64_unit) {
  const SchemaPtr schema = graph.schema(input);
  runtime::TopicSinkSpec spec;
  spec.partitions = std::move(partitions);
  for (const auto& column : key) spec.key_columns.push_back(column_index(*schema, name, column));
  spec.acks = parse_acks(acks);
  spec.codec = parse_codec(codec);
  if (timestamp) spec.timestamp_column = column_index(*schema, name, *timestamp);
  spec.timestamp_offset = timestamp_offset;
  spec.int64_unit = parse_unit(int64_unit);
  return graph.add_topic_sink(name, input, std::move(spec));
}

void bind_port(py::module_& module) {
  py::class_<Port>(module, "Port")
      .def_readonly("node", &Port::node)
      .def(
          "__eq__", [](const Port& self, const Port& other) { return self == other; },
          py::is_operator())
      .def("__hash__", [](const Port& self) { return 2 * self.node + self.output; })
      .def("__repr__", [](const Port& self) {
        return "Port(" + std::to_string(self.node) + ", " + std::to_string(self.output) + ")";
      });
}

void bind_graph(py::module_& module) {
  py::class_<Graph>(module, "Graph")
      .def(py::init<>())
      .def("add_topic_source", &add_topic_source, py::arg("name"), py::arg("log"),
           py::arg("partitions"), py::kw_only(), py::arg("start_offsets") = py::none(),
           py::arg("event_time") = py::none(), py::arg("delay") = 0,
           py::arg("watermark") = py::none(), py::arg("max_ahead") = py::none(),
           py::arg("idle_timeout_us") = py::none(), py::arg("advances_when_idle") = false,
           py::arg("bounded") = true, py::arg("timestamp_column") = py::none(),
           py::arg("append_time_column") = py::none(), py::arg("on_corruption") = "raise",
           py::arg("isolation_level") = "read_committed", py::arg("history") = py::none(),
           py::arg("alignment") = py::none(), py::arg("int64_unit") = "ms")
      .def("add_batch_source", &add_batch_source, py::arg("name"), py::arg("source"),
           py::arg("schema"), py::kw_only(), py::arg("event_time") = py::none(),
           py::arg("delay") = 0, py::arg("watermark") = py::none(),
           py::arg("max_ahead") = py::none(), py::arg("alignment") = py::none(),
           py::arg("int64_unit") = "ms")
      .def(
          "add_filter",
          [](Graph& self, std::string name, Port input, const ExpressionHandle& condition) {
            return self.add_filter(std::move(name), input, {condition});
          },
          py::arg("name"), py::arg("input"), py::arg("condition").none(false))
      .def("add_project", &add_project, py::arg("name"), py::arg("input"), py::arg("outputs"))
      .def("add_window", &add_window, py::arg("name"), py::arg("input"), py::kw_only(),
           py::arg("size"), py::arg("slide"), py::arg("keys"), py::arg("event_time"),
           py::arg("aggregates"), py::arg("offset") = 0, py::arg("is_cumulative") = false,
           py::arg("event_time_offset") = 0, py::arg("allowed_lateness") = 0, py::arg("every") = 0,
           py::arg("every_ticks") = 0, py::arg("fires_on_close") = true,
           py::arg("is_discarding") = false)
      .def("add_session_window", &add_session_window, py::arg("name"), py::arg("input"),
           py::kw_only(), py::arg("gap"), py::arg("keys"), py::arg("event_time"),
           py::arg("aggregates"), py::arg("allowed_lateness") = 0, py::arg("event_time_offset") = 0,
           py::arg("int64_unit") = "ms")
      .def("add_count_window", &add_count_window, py::arg("name"), py::arg("input"), py::kw_only(),
           py::arg("size"), py::arg("slide"), py::arg("keys"), py::arg("event_time"),
           py::arg("aggregates"), py::arg("event_time_offset") = 0)
      .def("add_pane_window", &add_pane_window, py::arg("name"), py::arg("input"), py::kw_only(),
           py::arg("kind"), py::arg("keys"), py::arg("event_time"), py::arg("aggregates"),
           py::arg("size") = 0, py::arg("gap") = 0, py::arg("event_time_offset") = 0,
           py::arg("allowed_lateness") = 0, py::arg("every") = 0, py::arg("every_ticks") = 0,
           py::arg("fires_on_close") = true, py::arg("is_discarding") = false, py::arg("slide") = 0,
           py::arg("offset") = 0, py::arg("trigger") = py::none(), py::arg("int64_unit") = "ms")
      .def(
          "add_python_stage",
          [](Graph& self, std::string name, Port input, const SchemaHandle& schema,
             bool keeps_rows) {
            return self.add_python_stage(std::move(name), input, {schema, keeps_rows});
          },
          py::arg("name"), py::arg("input"), py::arg("schema"), py::kw_only(),
          py::arg("keeps_rows") = false)
      .def(
          "add_processing_time",
          [](Graph& self, std::string name, Port input, std::string column, bool waits,
             bool shows_last) {
            return self.add_processing_time(std::move(name), input,
                                            {std::move(column), waits, shows_last});
          },
          py::arg("name"), py::arg("input"), py::arg("column"), py::kw_only(),
          py::arg("waits") = false, py::arg("shows_last") = false)
      .def("add_union", &Graph::add_union, py::arg("name"), py::arg("inputs"))
      .def("add_topic_sink", &add_topic_sink, py::arg("name"), py::arg("input"),
           py::arg("partitions"), py::kw_only(), py::arg("key") = std::vector<std::string>(),
           py::arg("acks") = "interval", py::arg("codec") = "none",
           py::arg("timestamp") = py::none(), py::arg("timestamp_offset") = 0,
           py::arg("int64_unit") = "ms")
      .def("add_collect", &Graph::add_collect, py::arg("name"), py::arg("input"))
      .def(
          "schema", [](const Graph& self, Port port) { return to_handle(self.schema(port)); },
          py::arg("port"));
}

void bind_metrics(py::module_& module) {
  py::class_<MetricsSnapshot>(module, "OperatorMetrics")
      .def_readonly("name", &MetricsSnapshot::name)
      .def_readonly("kind", &MetricsSnapshot::kind)
      .def_readonly("records_in", &MetricsSnapshot::records_in)
      .def_readonly("records_out", &MetricsSnapshot::records_out)
      .def_readonly("batches_in", &MetricsSnapshot::batches_in)
      .def_readonly("late_records", &MetricsSnapshot::late_records)
      .def_readonly("accepted_late_records", &MetricsSnapshot::accepted_late_records)
      .def_readonly("skipped_records", &MetricsSnapshot::skipped_records)
      .def_readonly("ahead_records", &MetricsSnapshot::ahead_records)
      .def_readonly("alignment_drift_ns", &MetricsSnapshot::alignment_drift_ns)
      .def_readonly("alignment_pauses", &MetricsSnapshot::alignment_pauses)
      .def_property_readonly("watermark",
                             [](const MetricsSnapshot& self) -> std::optional<int64_t> {
                               if (!self.watermark_type) return std::nullopt;  // no event time
                               const bool is_open = self.watermark != windows::kMinWatermark &&
                                                    self.watermark != windows::kMaxWatermark;
                               return is_open ? std::optional(self.watermark) : std::nullopt;
                             })
      .def_property_readonly("tick_ns",
                             [](const MetricsSnapshot& self) -> std::optional<int64_t> {
                               if (!self.watermark_type) return std::nullopt;
                               return windows::tick_ns(*self.watermark_type);
                             })
      .def_readonly("pending_records", &MetricsSnapshot::pending_records)
      .def_readonly("busy_ns", &MetricsSnapshot::busy_ns)
      .def_readonly("threads", &MetricsSnapshot::threads)
      .def_readonly("has_dropped", &MetricsSnapshot::has_dropped)
      .def_readonly("state_bytes", &MetricsSnapshot::state_bytes);
}

}  // namespace

void bind_runtime(py::module_& module) {
  bind_port(module);
  bind_graph(module);
  bind_metrics(module);
}

}  // namespace pystream::python
