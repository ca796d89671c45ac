// Executor, JobSnapshot. The contract is _core.pyi.

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "bindings.hpp"
#include "runtime/executor.hpp"

namespace pystream::python {

namespace {

using runtime::Executor;
using runtime::Graph;
using runtime::JobSnapshot;
using runtime::Port;

const char* kind_name(runtime::RunStatus status) {
  switch (status) {
    case runtime::RunStatus::kFinished:
      return "finished";
    case runtime::RunStatus::kStopped:
      return "stopped";
    case runtime::RunStatus::kPending:
      return "pending";
    case runtime::RunStatus::kBudget:
      return "budget";
    case runtime::RunStatus::kIdle:
      return "idle";
  }
  return "";
}

std::unique_ptr<Executor> make_executor(const Graph& graph, int threads, int64_t round_rows,
                                        int64_t chunk_rows, int64_t turn_rows,
                                        std::shared_ptr<ManualClock> clock,
                                        const std::vector<runtime::JobSnapshot>& restored) {
  runtime::ExecutorOptions options;
  options.threads = threads;
  options.round_rows = round_rows;
  options.chunk_rows = chunk_rows;
  options.turn_rows = turn_rows;
  options.clock = std::move(clock);
  const py::gil_scoped_release release;  // opens readers
  return std::make_unique<Executor>(graph, options, restored);
}

void bind_executor_class(py::module_& module) {
  const runtime::ExecutorOptions defaults;
  // Its destructor joins threads and drops batches.
  py::class_<Executor>(module, "Executor", py::release_gil_before_calling_cpp_dtor())
      .def(py::init(&make_executor), py::arg("graph"), py::kw_only(), py::arg("threads") = 1,
           py::arg("round_rows") = defaults.round_rows, py::arg("chunk_rows") = defaults.chunk_rows,
           py::arg("turn_rows") = defaults.turn_rows, py::arg("clock") = py::none(),
           py::arg("restored") = std::vector<runtime::JobSnapshot>())
      .def(
          "run",
          [](Executor& self, int64_t budget_us) {
            const auto has_signal = [] {  // its handler has raised something
              const py::gil_scoped_acquire acquire;
              return PyErr_CheckSignals() != 0;
            };
            runtime::RunStatus status;
            {
              const py::gil_scoped_release release;
              status = self.run(budget_us, has_signal);
            }
            if (PyErr_Occurred() != nullptr) throw py::error_already_set();
            return kind_name(status);
          },
          py::arg("budget_us"))
      .def("pending", &Executor::pending)
      .def("take", &Executor::take, py::arg("stage"))
      .def("give", &Executor::give, py::arg("stage"), py::arg("outputs"))
      .def("run_trigger", &Executor::run_trigger, py::arg("stage"))
      .def("take_collected", &Executor::take_collected, py::arg("node"))
      .def("snapshot", &Executor::snapshot, py::call_guard<py::gil_scoped_release>())
      .def("request_stop", &Executor::request_stop)
      .def("metrics", &Executor::metrics)
      .def(
          "columns_read",
          [](const Executor& self, Port source) { return self.columns_read(source.node); },
          py::arg("source"))
      .def(
          "positions",
          [](const Executor& self, Port source) { return self.positions(source.node); },
          py::arg("source"));
}

// Of an operator, or of the job itself.
const state::Snapshot& state_of(const JobSnapshot& snapshot, const std::optional<std::string>& op) {
  if (!op) return snapshot.job;
  std::string names;
  for (const JobSnapshot::Entry& entry : snapshot.operators) {
    if (entry.name == *op) return entry.state;
    names += (names.empty() ? "" : ", ") + entry.name;
  }
  throw Error(ErrorCode::kConfig, "the snapshot has no operator '" + *op + "', but " + names + ".");
}

std::vector<JobSnapshot> split(const JobSnapshot& snapshot, int parts) {
  std::vector<JobSnapshot> split;
  for (int part = 0; part < parts; ++part) {
    split.push_back(
        select(snapshot, state::key_group_range(part, parts, state::kDefaultMaxParallelism)));
  }
  return split;
}

void bind_job_snapshot(py::module_& module) {
  py::class_<JobSnapshot>(module, "JobSnapshot")
      .def_property_readonly("operators",
                             [](const JobSnapshot& self) {
                               std::vector<std::string> names;
                               for (const auto& entry : self.operators) names.push_back(entry.name);
                               return names;
                             })
      .def(
          "tables",
          [](const JobSnapshot& self, const std::optional<std::string>& op) {
            py::dict tables;
            for (const auto& table : state_of(self, op).tables) {
              tables[py::str(table.name)] = table.batches;
            }
            return tables;
          },
          py::arg("operator"))
      .def("split", &split, py::arg("parts"));
}

}  // namespace

void bind_executor(py::module_& module) {
  bind_job_snapshot(module);
  bind_executor_class(module);
}

}  // namespace pystream::python
