// TailWatch. The contract is _core.pyi.

#include <memory>
#include <utility>
#include <vector>

#include "bindings.hpp"
#include "storage/tail_watch.hpp"

namespace pystream::python {

using storage::TailWatch;
using Unlocked = py::call_guard<py::gil_scoped_release>;

namespace {

void arm(TailWatch& self, const std::vector<std::shared_ptr<storage::Partition>>& partitions,
         std::vector<int64_t> offsets, uint32_t interrupts) {
  if (partitions.size() != offsets.size()) {
    throw py::value_error("arm() needs one offset per partition");
  }
  const py::gil_scoped_release release;
  self.arm(partitions, std::move(offsets), interrupts);
}

}  // namespace

void bind_tail_watch(py::module_& module) {
  // Its destructor takes a mutex that the log's thread may hold.
  py::class_<TailWatch, std::shared_ptr<TailWatch>>(module, "TailWatch",
                                                    py::release_gil_before_calling_cpp_dtor())
      .def("fileno", &TailWatch::fd)
      .def("arm", &arm, py::arg("partitions"), py::arg("offsets"), py::arg("interrupts"))
      .def("disarm", &TailWatch::disarm, Unlocked())
      .def("interrupt", &TailWatch::interrupt, Unlocked())
      .def_property_readonly("interrupts", &TailWatch::interrupts);
}

}  // namespace pystream::python
