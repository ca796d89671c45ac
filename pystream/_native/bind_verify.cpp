// PartitionVerifier and what it finds. The contract is _core.pyi.

#include <memory>
#include <string>

#include "bindings.hpp"
#include "storage/order_file.hpp"
#include "storage/verify.hpp"
#include "storage_options.hpp"

namespace pystream::python {

namespace {

using storage::Finding;
using storage::OrderReport;
using storage::PartitionSummary;
using storage::PartitionVerifier;
using Unlocked = py::call_guard<py::gil_scoped_release>;

std::unique_ptr<PartitionVerifier> make_verifier(const std::string& directory,
                                                 const std::string& topic,
                                                 const py::bytes& topic_id, int32_t partition) {
  const storage::TopicId id = parse_topic_id(topic_id);
  const py::gil_scoped_release release;
  return std::make_unique<PartitionVerifier>(directory, topic, id, partition);
}

}  // namespace

void bind_verify(py::module_& module) {
  py::class_<Finding>(module, "Finding")
      .def_readonly("kind", &Finding::kind)
      .def_readonly("what", &Finding::what)
      .def_readonly("advice", &Finding::advice)
      .def_readonly("path", &Finding::path)
      .def_readonly("position", &Finding::position)
      .def_readonly("offset", &Finding::offset)
      .def_readonly("next_offset", &Finding::next_offset)
      .def_readonly("is_note", &Finding::is_note);
  py::class_<PartitionSummary>(module, "PartitionSummary")
      .def_readonly("log_start_offset", &PartitionSummary::log_start_offset)
      .def_readonly("log_end_offset", &PartitionSummary::log_end_offset)
      .def_readonly("durable_offset", &PartitionSummary::durable_offset)
      .def_readonly("segments", &PartitionSummary::segments)
      .def_readonly("batches", &PartitionSummary::batches)
      .def_readonly("records", &PartitionSummary::records)
      .def_readonly("bytes", &PartitionSummary::bytes)
      .def_readonly("lost_records", &PartitionSummary::lost_records)
      .def_readonly("last_append_sequence", &PartitionSummary::last_append_sequence);
  py::class_<PartitionVerifier>(module, "PartitionVerifier",
                                py::release_gil_before_calling_cpp_dtor())
      .def(py::init(&make_verifier), py::arg("directory"), py::kw_only(), py::arg("topic"),
           py::arg("topic_id"), py::arg("partition"))
      .def("step", &PartitionVerifier::step, py::arg("bytes"), Unlocked())
      .def_property_readonly("bytes_done", &PartitionVerifier::bytes_done)
      .def_property_readonly("bytes_total", &PartitionVerifier::bytes_total)
      .def_property_readonly("summary", &PartitionVerifier::summary)
      .def_property_readonly("findings", &PartitionVerifier::findings)
      .def_property_readonly("decided_transactions", &PartitionVerifier::decided_transactions)
      .def_property_readonly("open_transactions", &PartitionVerifier::open_transactions);
  py::class_<OrderReport>(module, "OrderReport")
      .def_readonly("findings", &OrderReport::findings)
      .def_readonly("is_current", &OrderReport::is_current)
      .def_readonly("next_sequence", &OrderReport::next_sequence);
  module.def(
      "verify_order", [](const std::string& directory) { return storage::verify_order(directory); },
      py::arg("directory"), Unlocked());
  module.def(
      "foreign_name",
      [](const std::string& directory) {
        storage::FileLayer layer;
        return py::bytes(storage::foreign_name(layer, directory));
      },
      py::arg("directory"));
}

}  // namespace pystream::python
