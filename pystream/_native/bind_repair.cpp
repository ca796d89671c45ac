// SegmentFile and LogRepair: what the commands dump and verify --repair use. The contract is
// _core.pyi.

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "bindings.hpp"
#include "storage/repair.hpp"
#include "storage/segment_file.hpp"
#include "storage_options.hpp"

namespace pystream::python {

namespace {

using storage::LogRepair;
using storage::SegmentDamage;
using storage::SegmentFile;
using storage::SegmentHeader;
using Unlocked = py::call_guard<py::gil_scoped_release>;

void bind_segment_file(py::module_& module) {
  const auto header = [](auto member) {
    return [member](const SegmentFile& self) { return self.header().*member; };
  };
  py::class_<SegmentDamage>(module, "SegmentDamage")
      .def_readonly("position", &SegmentDamage::position)
      .def_readonly("length", &SegmentDamage::length)
      .def_readonly("offset", &SegmentDamage::offset)
      .def_readonly("next_offset", &SegmentDamage::next_offset);
  py::class_<SegmentFile>(module, "SegmentFile")
      .def(py::init([](const std::string& path) { return std::make_unique<SegmentFile>(path); }),
           py::arg("path"), Unlocked())
      .def("next", &SegmentFile::next, Unlocked())
      .def_property_readonly("path", &SegmentFile::path)
      .def_property_readonly("size", &SegmentFile::size)
      .def_property_readonly("schema",
                             [](const SegmentFile& self) { return to_handle(self.schema()); })
      .def_property_readonly("topic_id",
                             [](const SegmentFile& self) {
                               const auto& id = self.header().topic_id;
                               return py::bytes(reinterpret_cast<const char*>(id), sizeof(id));
                             })
      .def_property_readonly("partition", header(&SegmentHeader::partition))
      .def_property_readonly("base_offset", header(&SegmentHeader::base_offset))
      .def_property_readonly("schema_id", header(&SegmentHeader::schema_id))
      .def_property_readonly("incarnation", header(&SegmentHeader::incarnation))
      .def_property_readonly("created_us", header(&SegmentHeader::created_us))
      .def_property_readonly("max_bytes", header(&SegmentHeader::max_bytes))
      .def_property_readonly("previous_end_offset", header(&SegmentHeader::previous_end_offset));
}

void bind_log_repair(py::module_& module) {
  py::class_<LogRepair>(module, "LogRepair")
      .def(py::init([](const std::string& directory, const std::string& quarantine) {
             return std::make_unique<LogRepair>(directory, quarantine);
           }),
           py::arg("directory"), py::arg("quarantine"), Unlocked())
      .def(
          "repair_partition",
          [](LogRepair& self, const std::string& topic, const py::bytes& topic_id,
             int32_t partition, const std::set<int64_t>& known_transactions) {
            const storage::TopicId id = parse_topic_id(topic_id);
            const py::gil_scoped_release release;
            return self.repair_partition(topic, id, partition, known_transactions);
          },
          py::kw_only(), py::arg("topic"), py::arg("topic_id"), py::arg("partition"),
          py::arg("known_transactions") = std::set<int64_t>{});
}

}  // namespace

void bind_repair(py::module_& module) {
  bind_segment_file(module);
  bind_log_repair(module);
}

}  // namespace pystream::python
