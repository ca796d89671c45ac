// Triggers in Python: the core's calls to one, and what it may do with a pane. The contract is
// _core.pyi. All calls but those of snapshots come in the thread that called Executor.run_trigger,
// with its lock.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "bindings.hpp"
#include "held_object.hpp"
#include "python_objects.hpp"
#include "runtime/trigger_stage.hpp"

namespace pystream::python {

namespace {

using windows::PaneAggregation;
using windows::PaneTable;
using windows::TriggerResult;

// What a trigger sees of the panes, during a run of it alone.
class TriggerPanes {
 public:
  void set(const PaneAggregation* aggregation, PaneTable* panes) {
    aggregation_ = aggregation;
    panes_ = panes;
  }
  const PaneAggregation& aggregation() const {
    check();
    return *aggregation_;
  }
  PaneTable& panes() const {
    check();
    return *panes_;
  }

 private:
  void check() const {
    if (aggregation_ != nullptr) return;
    throw Error(ErrorCode::kConfig,
                "the context of a trigger was used after the call that it was made for. Use it in "
                "on_element, on_event_time, on_merge and clear.");
  }

  const PaneAggregation* aggregation_ = nullptr;
  PaneTable* panes_ = nullptr;
};

// Errors of Python in what the core calls without the interpreter lock, in words; the calls keep
// what was raised.
template <typename Work>
auto guarded(Work work) {
  const py::gil_scoped_acquire lock;
  try {
    return work();
  } catch (py::error_already_set& error) {
    const py::module_ errors = py::module_::import("pystream.errors");
    const bool is_refused = error.matches(errors.attr("NotSupportedError"));
    std::vector<ErrorFact> facts;
    const py::object name = py::getattr(error.value(), "operator", py::none());
    if (!name.is_none()) facts.push_back({"operator", name.cast<std::string>()});
    throw Error(is_refused ? ErrorCode::kNotSupported : ErrorCode::kCheckpoint,
                py::str(error.value()).cast<std::string>(), std::move(facts));
  }
}

class PythonTrigger final : public runtime::TriggerCalls {
 public:
  explicit PythonTrigger(const py::object& calls)
      : name_(calls.attr("qualified_name").cast<std::string>()),
        panes_(std::make_shared<TriggerPanes>()),
        calls_(hold(calls)),
        on_element_(hold(calls.attr("on_element"))),
        on_event_time_(hold(calls.attr("on_event_time"))) {}

  std::string name() const override { return name_; }
  void begin(const PaneAggregation& aggregation) override {
    const py::gil_scoped_acquire lock;
    aggregation_ = &aggregation;
    call("begin")(panes_);
  }
  void end() noexcept override {
    const py::gil_scoped_acquire lock;
    panes_->set(nullptr, nullptr);
  }
  void next_batch(const RecordBatch& rows) override { call("next_batch")(rows); }

  TriggerResult on_element(PaneTable& panes, uint32_t pane, int64_t row, int64_t time) override {
    panes_->set(aggregation_, &panes);
    return result_of(object_of(on_element_)(pane, row, time));
  }
  TriggerResult on_event_time(PaneTable& panes, uint32_t pane, int64_t time) override {
    panes_->set(aggregation_, &panes);
    return result_of(object_of(on_event_time_)(pane, time));
  }
  void on_merge(PaneTable& panes, uint32_t target, std::span<const uint32_t> merged) override {
    panes_->set(aggregation_, &panes);
    call("on_merge")(target, numbers(merged));
  }
  void clear(PaneTable& panes, uint32_t pane) override {
    panes_->set(aggregation_, &panes);
    call("clear")(pane);
  }
  int64_t bytes() const override {
    const py::gil_scoped_acquire lock;  // a restored stage asks without it
    return call("state_bytes")().cast<int64_t>();
  }

  std::vector<Field> state_fields() const override {
    return {{"trigger_state", DataType::of(TypeId::kBinary), true}};
  }
  std::vector<Array> snapshot(const PaneTable&, std::span<const uint32_t> panes) const override {
    return guarded([&] { return std::vector<Array>{binary_column(call("dump")(numbers(panes)))}; });
  }
  void restore(PaneTable& panes, std::span<const uint32_t> restored,
               std::span<const Array> columns) override {
    guarded([&] {
      panes_->set(aggregation_, &panes);
      call("load")(numbers(restored), to_objects(columns[0]));
    });
  }
  void forget_all() override {
    guarded([&] { call("forget_all")(); });
  }

 private:
  py::object call(const char* name) const { return object_of(calls_).attr(name); }
  static std::vector<uint32_t> numbers(std::span<const uint32_t> panes) {
    return {panes.begin(), panes.end()};
  }
  static TriggerResult result_of(const py::object& result) {
    return static_cast<TriggerResult>(result.cast<int>() & 3);
  }

  const std::string name_;
  std::shared_ptr<TriggerPanes> panes_;
  const PaneAggregation* aggregation_ = nullptr;
  // Let go of on any thread.
  std::shared_ptr<const void> calls_, on_element_, on_event_time_;
};

py::object bounds(const TriggerPanes& self, uint32_t pane) {
  const windows::Pane& of = self.panes()[pane];
  if (of.last == windows::kEndless) return py::make_tuple(py::none(), py::none());
  return py::make_tuple(of.start, of.last + 1);
}

}  // namespace

std::shared_ptr<runtime::TriggerCalls> trigger_of(const py::object& calls) {
  return std::make_shared<PythonTrigger>(calls);
}

void bind_trigger(py::module_& module) {
  py::class_<TriggerPanes, std::shared_ptr<TriggerPanes>>(module, "TriggerPanes")
      .def_property_readonly("watermark",
                             [](const TriggerPanes& self) { return self.panes().watermark(); })
      .def("bounds", &bounds, py::arg("pane"))
      .def(
          "describe",
          [](const TriggerPanes& self, uint32_t pane) { return self.aggregation().describe(pane); },
          py::arg("pane"))
      .def(
          "register_timer",
          [](const TriggerPanes& self, uint32_t pane, int64_t time) {
            self.panes().register_timer(pane, time);
          },
          py::arg("pane"), py::arg("time"))
      .def(
          "delete_timer",
          [](const TriggerPanes& self, uint32_t pane, int64_t time) {
            self.panes().delete_timer(pane, time);
          },
          py::arg("pane"), py::arg("time"));
}

}  // namespace pystream::python
