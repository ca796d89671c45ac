// Triggers in Python: the core's calls to one, and what it may do with a pane. The contract is
// _core.pyi. All of this runs in the thread that called Executor.run_trigger, with its lock.

#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "bindings.hpp"
#include "runtime/executor.hpp"

namespace pystream::python {

namespace {

using windows::PaneAggregation;
using windows::PaneTable;
using windows::TriggerResult;

// What a trigger sees of the panes, during Executor.run_trigger alone.
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

class PythonTrigger final : public runtime::TriggerCalls {
 public:
  explicit PythonTrigger(const py::object& calls)
      : panes_(std::make_shared<TriggerPanes>()),
        begin_(calls.attr("begin")),
        next_batch_(calls.attr("next_batch")),
        on_element_(calls.attr("on_element")),
        on_event_time_(calls.attr("on_event_time")),
        on_merge_(calls.attr("on_merge")),
        clear_(calls.attr("clear")),
        state_bytes_(calls.attr("state_bytes")) {}
  ~PythonTrigger() override { panes_->set(nullptr, nullptr); }

  void begin(const PaneAggregation& aggregation) override {
    aggregation_ = &aggregation;
    begin_(panes_);
  }
  void next_batch(const RecordBatch& rows) override { next_batch_(rows); }

  TriggerResult on_element(PaneTable& panes, uint32_t pane, int64_t row, int64_t time) override {
    panes_->set(aggregation_, &panes);
    return static_cast<TriggerResult>(on_element_(pane, row, time).cast<int>() & 3);
  }
  TriggerResult on_event_time(PaneTable& panes, uint32_t pane, int64_t time) override {
    panes_->set(aggregation_, &panes);
    return static_cast<TriggerResult>(on_event_time_(pane, time).cast<int>() & 3);
  }
  void on_merge(PaneTable& panes, uint32_t target, std::span<const uint32_t> merged) override {
    panes_->set(aggregation_, &panes);
    on_merge_(target, std::vector<uint32_t>(merged.begin(), merged.end()));
  }
  void clear(PaneTable& panes, uint32_t pane) override {
    panes_->set(aggregation_, &panes);
    clear_(pane);
  }
  int64_t bytes() const override { return state_bytes_().cast<int64_t>(); }

 private:
  std::shared_ptr<TriggerPanes> panes_;
  const PaneAggregation* aggregation_ = nullptr;
  py::object begin_, next_batch_, on_element_, on_event_time_, on_merge_, clear_, state_bytes_;
};

py::object bounds(const TriggerPanes& self, uint32_t pane) {
  const windows::Pane& of = self.panes()[pane];
  if (of.last == windows::kEndless) return py::make_tuple(py::none(), py::none());
  return py::make_tuple(of.start, of.last + 1);
}

}  // namespace

bool run_trigger(runtime::Executor& executor, int stage, const py::object& calls) {
  PythonTrigger trigger(calls);
  return executor.run_trigger(stage, trigger);
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
