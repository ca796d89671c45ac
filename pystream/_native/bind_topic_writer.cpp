// TopicWriter: splits batches over the partitions of a topic. The contract is _core.pyi.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings.hpp"
#include "storage/topic_writer.hpp"
#include "storage_options.hpp"
#include "wait_slices.hpp"

namespace pystream::python {

namespace {

using storage::TopicAppend;
using storage::TopicAppendResult;
using storage::TopicWriter;
using ResultHandle = std::shared_ptr<TopicAppendResult>;

py::array partitions_of(const TopicAppendResult& self) {
  py::array_t<int32_t> out(self.row_count);
  if (self.partition_of_row.empty()) {
    std::fill_n(out.mutable_data(), self.row_count, self.only_partition);
  } else {
    std::copy(self.partition_of_row.begin(), self.partition_of_row.end(), out.mutable_data());
  }
  return out;
}

py::array offsets_of(const TopicAppendResult& self) {
  const std::vector<int64_t> offsets = self.offsets();
  return py::array_t<int64_t>(static_cast<py::ssize_t>(offsets.size()), offsets.data());
}

void bind_results(py::module_& module) {
  py::class_<TopicAppend>(module, "TopicAppend")
      .def_readonly("partition", &TopicAppend::partition)
      .def_readonly("record_count", &TopicAppend::record_count)
      .def_property_readonly("base_offset",
                             [](const TopicAppend& self) { return self.result.base_offset; })
      .def_property_readonly("append_time_us",
                             [](const TopicAppend& self) { return self.result.append_time_us; })
      .def_property_readonly("append_sequence",
                             [](const TopicAppend& self) { return self.result.append_sequence; })
      .def_readonly("is_duplicate", &TopicAppend::is_duplicate)
      .def_readonly("end_offset", &TopicAppend::end_offset);
  py::class_<TopicAppendResult, ResultHandle>(module, "TopicAppendResult")
      .def(py::init<>())
      .def_readonly("row_count", &TopicAppendResult::row_count)
      .def_property_readonly("published_count", &TopicAppendResult::published_count)
      .def_property_readonly("duplicate_count", &TopicAppendResult::duplicate_count)
      .def_readonly("appends", &TopicAppendResult::appends)
      .def("partitions", &partitions_of)
      .def("offsets", &offsets_of);
}

// As the catalog keeps it: next offset, incarnation, last sequence, complete sequence.
using PositionTuple = std::tuple<int64_t, uint32_t, int64_t, int64_t>;

std::vector<storage::ProducerPosition> positions_of(
    const std::vector<std::optional<PositionTuple>>& given, size_t partitions) {
  std::vector<storage::ProducerPosition> positions(partitions);
  if (!given.empty() && given.size() != partitions) {
    throw py::value_error("TopicWriter() needs a position for each partition, or none");
  }
  for (size_t p = 0; p < given.size(); ++p) {
    if (!given[p]) continue;
    const auto& [next_offset, incarnation, last_sequence, complete_sequence] = *given[p];
    positions[p] = {next_offset, incarnation, last_sequence, complete_sequence};
  }
  return positions;
}

std::vector<PositionTuple> positions(const TopicWriter& self) {
  std::vector<PositionTuple> result;
  for (const storage::ProducerPosition& position : self.positions()) {
    result.emplace_back(position.next_offset, position.incarnation, position.last_sequence,
                        position.complete_sequence);
  }
  return result;
}

std::optional<storage::RecordSequences> sequences_of(const TopicWriter& self,
                                                     const std::optional<Array>& given,
                                                     int64_t rows, int64_t complete) {
  if (given.has_value() != self.producer().is_named()) {
    throw py::value_error("append() takes sequences when the producer has a name, and only then");
  }
  if (!given) return std::nullopt;
  const bool fits = given->type.id == TypeId::kInt64 && given->null_count == 0 &&
                    !given->is_encoded() && given->length == rows;
  if (!fits) throw py::value_error("append() takes one int64 sequence for each row");
  return storage::RecordSequences{*given, complete};
}

std::unique_ptr<TopicWriter> make_writer(
    std::vector<std::shared_ptr<storage::Partition>> partitions, std::vector<int> key_columns,
    const std::string& codec, bool dictionary, bool append_time, int64_t max_batch_rows,
    int64_t max_batch_bytes, int64_t max_record_bytes, int32_t first_keyless_partition,
    int64_t producer_id, int32_t producer_epoch, std::string producer_name, bool is_transactional,
    const std::vector<std::optional<PositionTuple>>& given_positions) {
  storage::TopicWriterOptions options;
  options.key_columns = std::move(key_columns);
  options.encode = encode_options(codec, dictionary);
  if (append_time) options.encode.flags |= storage::kFlagAppendTime;
  options.limits = {max_batch_rows, max_batch_bytes, max_record_bytes};
  options.first_keyless_partition = first_keyless_partition;
  options.producer = {producer_id, producer_epoch, std::move(producer_name), is_transactional};
  options.positions = positions_of(given_positions, partitions.size());
  const py::gil_scoped_release release;  // reads what a producer with a name has written
  return std::make_unique<TopicWriter>(std::move(partitions), std::move(options));
}

ResultHandle append(TopicWriter& self, const RecordBatch& batch,
                    const TimestampsArgument& timestamps, const std::optional<Array>& headers,
                    std::optional<int32_t> partition, const std::string& acks,
                    const std::optional<Array>& sequences, int64_t complete_sequence,
                    ResultHandle result) {
  const storage::Acks parsed_acks = parse_acks(acks);
  const storage::Timestamps times = timestamps_of(timestamps, headers, batch);
  const auto numbered = sequences_of(self, sequences, batch.num_rows, complete_sequence);
  if (!result) result = std::make_shared<TopicAppendResult>();
  const bool is_durable = parsed_acks == storage::Acks::kDurable;
  const auto sync = [&](int64_t slice_us) { return self.sync(result.get(), slice_us); };
  const int64_t first_us = std::min(self.sync_timeout_us(), kWaitSliceUs);
  bool is_done = !is_durable;
  {
    // Both in one: between them, the interpreter lock would be waited for only to be let go.
    const py::gil_scoped_release release;
    self.append(batch, times, headers ? &*headers : nullptr,
                partition.value_or(storage::kPartitionByKey),
                is_durable ? storage::Acks::kPublished : parsed_acks, result.get(),
                numbered ? &*numbered : nullptr);
    if (is_durable) is_done = sync(first_us);
  }
  if (is_done) return result;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  if (!wait_in_slices(self.sync_timeout_us() - first_us, sync)) {
    self.throw_sync_timeout(result.get());
  }
  return result;
}

}  // namespace

void bind_topic_writer(py::module_& module) {
  bind_results(module);
  module.def("random_producer_id", &storage::random_producer_id);
  const storage::BatchLimits defaults;
  py::class_<TopicWriter>(module, "TopicWriter")
      .def(py::init(&make_writer), py::arg("partitions"), py::kw_only(),
           py::arg("key_columns") = std::vector<int>(), py::arg("codec") = "none",
           py::arg("dictionary") = true, py::arg("append_time") = false,
           py::arg("max_batch_rows") = defaults.max_batch_rows,
           py::arg("max_batch_bytes") = defaults.max_batch_bytes,
           py::arg("max_record_bytes") = defaults.max_record_bytes,
           py::arg("first_keyless_partition") = 0, py::arg("producer_id") = -1,
           py::arg("producer_epoch") = 0, py::arg("producer_name") = "",
           py::arg("is_transactional") = false,
           py::arg("positions") = std::vector<std::optional<PositionTuple>>())
      .def("append", &append, py::arg("batch"), py::kw_only(), py::arg("timestamps"),
           py::arg("headers") = py::none(), py::arg("partition") = py::none(),
           py::arg("acks") = "interval", py::arg("sequences") = py::none(),
           py::arg("complete_sequence") = -1, py::arg("result") = py::none())
      .def(
          "check",
          [](const TopicWriter& self, const RecordBatch& batch) { self.check(batch, nullptr); },
          py::arg("batch"), py::call_guard<py::gil_scoped_release>())
      .def(
          "partition",
          [](const TopicWriter& self, size_t number) { return self.partitions().at(number); },
          py::arg("number"))
      .def("set_transaction", &TopicWriter::set_transaction, py::arg("transaction_id"),
           py::arg("producer_epoch"))
      .def_property_readonly("complete_sequence", &TopicWriter::complete_sequence)
      .def("positions", &positions)
      .def_property_readonly("producer_id",
                             [](const TopicWriter& self) { return self.producer().id; })
      .def_property_readonly("partitions",
                             [](const TopicWriter& self) { return self.partitions(); });
}

}  // namespace pystream::python
