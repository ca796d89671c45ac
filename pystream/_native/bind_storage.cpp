// Log, Partition, PartitionReader, LogBatch. The contract is _core.pyi.
//
// Whatever may lock, wait or touch stored bytes runs without the interpreter lock.

#include <algorithm>
#include <bit>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/crc32c.hpp"
#include "base/error.hpp"
#include "bindings.hpp"
#include "errors.hpp"
#include "reader_handle.hpp"
#include "row_indices.hpp"
#include "storage/batch_encoder.hpp"
#include "storage/log.hpp"
#include "storage/tail_watch.hpp"
#include "storage_options.hpp"
#include "wait_slices.hpp"

namespace pystream::python {

namespace {

using storage::LogBatch;
using storage::Partition;
using PartitionHandle = std::shared_ptr<Partition>;
using Unlocked = py::call_guard<py::gil_scoped_release>;

void bind_results(py::module_& module) {
  py::class_<storage::AppendResult>(module, "AppendResult")
      .def_readonly("base_offset", &storage::AppendResult::base_offset)
      .def_readonly("append_time_us", &storage::AppendResult::append_time_us)
      .def_readonly("append_sequence", &storage::AppendResult::append_sequence);
  py::class_<storage::OpenTransaction>(module, "OpenTransaction")
      .def_readonly("transaction_id", &storage::OpenTransaction::transaction_id)
      .def_readonly("producer_id", &storage::OpenTransaction::producer_id)
      .def_readonly("producer_epoch", &storage::OpenTransaction::producer_epoch)
      .def_readonly("first_offset", &storage::OpenTransaction::first_offset)
      .def_readonly("is_doubtful", &storage::OpenTransaction::is_doubtful);
  py::class_<storage::PartitionEnds>(module, "PartitionEnds")
      .def_readonly("log_start_offset", &storage::PartitionEnds::log_start_offset)
      .def_readonly("log_end_offset", &storage::PartitionEnds::log_end_offset)
      .def_readonly("durable_offset", &storage::PartitionEnds::durable_offset);
  py::class_<storage::SegmentFacts>(module, "SegmentFacts")
      .def_readonly("base_offset", &storage::SegmentFacts::base_offset)
      .def_readonly("end_offset", &storage::SegmentFacts::end_offset)
      .def_readonly("bytes", &storage::SegmentFacts::bytes)
      .def_readonly("last_append_us", &storage::SegmentFacts::last_append_us)
      .def_readonly("is_active", &storage::SegmentFacts::is_active);
  py::class_<storage::RemovalResult>(module, "RemovalResult")
      .def_readonly("log_start_offset", &storage::RemovalResult::log_start_offset)
      .def_readonly("segments", &storage::RemovalResult::segments)
      .def_readonly("bytes", &storage::RemovalResult::bytes);
  py::class_<storage::CompactionResult>(module, "CompactionResult")
      .def_readonly("segments", &storage::CompactionResult::segments)
      .def_readonly("removed_records", &storage::CompactionResult::removed_records)
      .def_readonly("bytes_before", &storage::CompactionResult::bytes_before)
      .def_readonly("bytes_after", &storage::CompactionResult::bytes_after);
  py::class_<storage::BackupResult>(module, "BackupResult")
      .def_readonly("log_end_offset", &storage::BackupResult::log_end_offset)
      .def_readonly("linked_bytes", &storage::BackupResult::linked_bytes)
      .def_readonly("copied_bytes", &storage::BackupResult::copied_bytes)
      .def_readonly("is_outdated", &storage::BackupResult::is_outdated);
  py::class_<storage::RecoveryReport>(module, "RecoveryReport")
      .def_property_readonly("kind",
                             [](const storage::RecoveryReport& self) {
                               constexpr const char* kKinds[] = {"none", "created", "recovered"};
                               return kKinds[static_cast<size_t>(self.kind)];
                             })
      .def_readonly("log_end_offset", &storage::RecoveryReport::log_end_offset)
      .def_readonly("torn_bytes", &storage::RecoveryReport::torn_bytes)
      .def_readonly("corrupt_records", &storage::RecoveryReport::corrupt_records);
}

std::shared_ptr<storage::Log> open_log(const std::string& directory, bool read_only,
                                       int64_t sync_interval_us, int64_t lock_timeout_us,
                                       int64_t prewrite_bytes, std::shared_ptr<ManualClock> clock) {
  storage::LogOptions options;
  options.read_only = read_only;
  options.sync_interval_us = sync_interval_us;
  options.lock_timeout_us = lock_timeout_us;
  options.prewrite_bytes = prewrite_bytes;
  options.clock = std::move(clock);
  const py::gil_scoped_release release;
  return storage::Log::open(directory, options);
}

PartitionHandle open_partition(storage::Log& self, std::string topic, const py::bytes& topic_id,
                               int32_t partition, const SchemaHandle& schema, uint32_t schema_id,
                               int64_t segment_bytes) {
  storage::PartitionOptions options;
  options.topic = std::move(topic);
  options.topic_id = parse_topic_id(topic_id);
  options.partition = partition;
  options.segment_bytes = segment_bytes;
  options.schema_id = schema_id;
  options.schema = schema;
  const py::gil_scoped_release release;
  return self.open_partition(options);
}

bool wait_any(const storage::Log& self, const std::vector<PartitionHandle>& partitions,
              const std::vector<int64_t>& offsets, int64_t timeout_us,
              const storage::TailWatch* watch, uint32_t interrupts) {
  if (partitions.size() != offsets.size()) {
    throw py::value_error("wait_any() needs one offset per partition");
  }
  std::optional<FutexWait> interrupt;
  if (watch != nullptr) interrupt = watch->interrupt_word(interrupts);
  return wait_in_slices(timeout_us, [&](int64_t slice_us) {
    return self.wait_any(partitions, offsets, slice_us, interrupt ? &*interrupt : nullptr);
  });
}

void bind_log(py::module_& module) {
  py::class_<ManualClock, std::shared_ptr<ManualClock>>(module, "ManualClock")
      .def(py::init<int64_t>(), py::arg("now_us"))
      .def_property(
          "now_us", [](const ManualClock& self) { return self.load(); },
          [](ManualClock& self, int64_t now_us) { self.store(now_us); });
  const storage::LogOptions defaults;
  const storage::PartitionOptions partition_defaults;
  // Its destructor syncs and joins a thread.
  py::class_<storage::Log, std::shared_ptr<storage::Log>>(module, "Log",
                                                          py::release_gil_before_calling_cpp_dtor())
      .def_static("open", &open_log, py::arg("directory"), py::kw_only(),
                  py::arg("read_only") = defaults.read_only,
                  py::arg("sync_interval_us") = defaults.sync_interval_us,
                  py::arg("lock_timeout_us") = defaults.lock_timeout_us,
                  py::arg("prewrite_bytes") = defaults.prewrite_bytes,
                  py::arg("clock") = py::none())
      .def("open_partition", &open_partition, py::kw_only(), py::arg("topic"), py::arg("topic_id"),
           py::arg("partition"), py::arg("schema"), py::arg("schema_id"),
           py::arg("segment_bytes") = partition_defaults.segment_bytes)
      .def(
          "frontier",
          [](const storage::Log& self, const std::vector<PartitionHandle>& partitions) {
            const py::gil_scoped_release release;
            storage::OrderFrontier frontier = self.frontier(partitions);
            return std::pair(frontier.frontier, std::move(frontier.log_end_offsets));
          },
          py::arg("partitions"))
      .def(
          "cut",
          [](const storage::Log& self, const std::vector<PartitionHandle>& partitions) {
            const py::gil_scoped_release release;
            return self.cut(partitions);
          },
          py::arg("partitions"))
      .def("wait_any", &wait_any, py::arg("partitions"), py::arg("offsets"), py::arg("timeout_us"),
           py::arg("watch") = nullptr, py::arg("interrupts") = 0)
      .def("tail_watch", &storage::Log::tail_watch, Unlocked())
      .def("close", &storage::Log::close, Unlocked())
      .def("stop_compactions", &storage::Log::stop_compactions)
      .def_property_readonly("is_closed", &storage::Log::is_closed)
      .def_property_readonly("directory", &storage::Log::directory);
}

// Waits until all below the offset is durable. What a signal handler raises leaves the records
// published and unacknowledged.
void sync_in_slices(Partition& self, int64_t end_offset) {
  const auto sync = [&](int64_t slice_us) { return self.sync_to(end_offset, slice_us); };
  if (!wait_in_slices(self.sync_timeout_us(), sync)) self.throw_sync_timeout();
}

storage::AppendResult append(Partition& self, const RecordBatch& batch,
                             const TimestampsArgument& timestamps,
                             const std::optional<Array>& headers, const std::string& acks,
                             const std::string& codec, bool dictionary,
                             std::vector<int> key_columns) {
  storage::EncodeOptions options = encode_options(codec, dictionary);
  options.key_columns = std::move(key_columns);
  options.schema_id = self.options().schema_id;
  const storage::Acks parsed_acks = parse_acks(acks);
  const bool is_durable = parsed_acks == storage::Acks::kDurable;
  const storage::Timestamps times = timestamps_of(timestamps, headers, batch);
  storage::AppendResult result;
  {
    const py::gil_scoped_release release;
    storage::EncodedBatch encoded =
        storage::encode_batch(batch, times, headers ? &*headers : nullptr, options);
    result = self.append(&encoded, is_durable ? storage::Acks::kPublished : parsed_acks);
  }
  if (is_durable) sync_in_slices(self, result.base_offset + batch.num_rows);
  return result;
}

// Syncs each partition up to its end offset; the error of each, or None. Without the interpreter
// lock while it syncs; Ctrl-C is answered between two slices.
py::list sync_partitions(const std::vector<PartitionHandle>& partitions,
                         const std::vector<int64_t>& ends) {
  if (partitions.size() != ends.size()) {
    throw py::value_error("sync_partitions() needs one end offset per partition");
  }
  py::list errors;
  for (size_t i = 0; i < partitions.size(); ++i) {
    try {
      sync_in_slices(*partitions[i], ends[i]);
      errors.append(py::none());
    } catch (const Error& error) {
      set_python_error(error);
      py::error_already_set raised;
      errors.append(raised.value());
    }
  }
  return errors;
}

void bind_partition(py::module_& module) {
  py::class_<Partition, PartitionHandle>(module, "Partition")
      .def_property_readonly("topic", [](const Partition& self) { return self.options().topic; })
      .def_property_readonly("partition",
                             [](const Partition& self) { return self.options().partition; })
      .def_property_readonly("schema",
                             [](const Partition& self) { return to_handle(self.options().schema); })
      .def_property_readonly("schema_id",
                             [](const Partition& self) { return self.options().schema_id; })
      .def("append", &append, py::arg("batch"), py::kw_only(), py::arg("timestamps"),
           py::arg("headers") = py::none(), py::arg("acks") = "interval", py::arg("codec") = "none",
           py::arg("dictionary") = true, py::arg("key_columns") = std::vector<int>())
      .def("ends", &Partition::ends, Unlocked())
      .def(
          "wait",
          [](const Partition& self, int64_t offset, int64_t timeout_us) {
            return wait_in_slices(timeout_us,
                                  [&](int64_t slice_us) { return self.wait(offset, slice_us); });
          },
          py::arg("offset"), py::arg("timeout_us"))
      .def(
          "reader",
          [](const PartitionHandle& self, int64_t offset, const std::string& on_corruption,
             const std::string& isolation_level) {
            const storage::OnCorruption policy = parse_on_corruption(on_corruption);
            const storage::Isolation isolation = parse_isolation(isolation_level);
            const py::gil_scoped_release release;
            ReaderHandle handle{self, self->reader(offset)};
            handle.reader->set_on_corruption(policy);
            handle.reader->set_isolation(isolation);
            return handle;
          },
          py::arg("offset"), py::kw_only(), py::arg("on_corruption") = "raise",
          py::arg("isolation_level") = "everything")
      .def("last_stable_offset", &Partition::last_stable_offset, Unlocked())
      .def("open_transactions", &Partition::open_transactions, Unlocked())
      .def(
          "end_transaction",
          [](Partition& self, int64_t transaction_id, int64_t producer_id, int32_t producer_epoch,
             bool is_commit) {
            return self.end_transaction({transaction_id, producer_id, producer_epoch, is_commit},
                                        storage::Acks::kInterval);
          },
          py::arg("transaction_id"), py::kw_only(), py::arg("producer_id"),
          py::arg("producer_epoch"), py::arg("is_commit"), Unlocked())
      .def(
          "find_time",
          [](Partition& self, int64_t value, int column) {
            const auto id = column < 0 ? storage::kTimestampColumn : static_cast<uint16_t>(column);
            std::optional<storage::OffsetAndTime> found;
            {
              const py::gil_scoped_release release;
              found = self.find_time(id, value);
            }
            return found ? py::object(py::make_tuple(found->offset, found->time)) : py::none();
          },
          py::arg("value"), py::kw_only(), py::arg("column") = -1)
      .def("segment_facts", &Partition::segment_facts, Unlocked())
      .def("delete_records", &Partition::delete_records, py::arg("offset"), Unlocked())
      .def("end_segment", &Partition::end_segment, Unlocked())
      .def(
          "compact",
          [](Partition& self, std::vector<int> key_columns, int64_t now_us,
             int64_t delete_retention_us, int64_t min_compaction_lag_us,
             double min_cleanable_ratio) {
            storage::CompactionOptions options;
            options.key_columns = std::move(key_columns);
            options.now_us = now_us;
            options.delete_retention_us = delete_retention_us;
            options.min_compaction_lag_us = min_compaction_lag_us;
            options.min_cleanable_ratio = min_cleanable_ratio;
            return self.compact(options);
          },
          py::arg("key_columns"), py::kw_only(), py::arg("now_us"), py::arg("delete_retention_us"),
          py::arg("min_compaction_lag_us") = 0, py::arg("min_cleanable_ratio") = 0.0, Unlocked())
      .def("set_segment_bytes", &Partition::set_segment_bytes, py::arg("bytes"))
      .def("pinned_bytes", &Partition::pinned_bytes, Unlocked())
      .def("sync", &Partition::sync, Unlocked())
      .def("backup", &Partition::backup, py::arg("directory"), py::arg("cut"), Unlocked())
      .def_property_readonly("recovery", [](const Partition& self) { return self.recovery(); })
      .def(
          "set_schema",
          [](Partition& self, uint32_t schema_id, const SchemaHandle& schema) {
            self.set_schema(schema_id, schema);
          },
          py::arg("schema_id"), py::arg("schema"), Unlocked());
}

// Statistics are kept as the bits of int64, uint64 or double.
py::object statistic(const DataType& type, uint64_t bits) {
  if (type.is_floating()) return py::float_(std::bit_cast<double>(bits));
  if (type.is_integer() && !type.is_signed_integer()) return py::int_(bits);
  return py::int_(std::bit_cast<int64_t>(bits));
}

uint16_t column_id(const LogBatch& batch, int64_t index) {
  if (index < 0 || index >= batch.schema()->size()) {
    throw py::index_error("column " + std::to_string(index) + " does not exist in " +
                          std::to_string(batch.schema()->size()) + " columns");
  }
  return static_cast<uint16_t>(index);
}

Array column(const LogBatch& self, int64_t index, int64_t begin, std::optional<int64_t> wanted) {
  const uint16_t id = column_id(self, index);
  const int64_t length = wanted.value_or(self.record_count() - begin);
  check_range(begin, length, self.record_count());
  std::optional<py::gil_scoped_release> release;
  if (!self.is_at_hand(id)) release.emplace();
  Array whole = self.column(id);
  return length == whole.length ? whole : slice(whole, begin, length);
}

int64_t offset_of(const LogBatch& self, int64_t row) {
  check_range(row, 1, self.record_count());
  const py::gil_scoped_release release;
  return self.offset_of(row);
}

py::object statistics(const LogBatch& self, int64_t index) {
  const auto found = self.statistics(column_id(self, index));
  if (!found) return py::none();
  if (!found->has_min_max) return py::make_tuple(found->null_count, py::none(), py::none());
  const DataType& type = self.schema()->fields[static_cast<size_t>(index)].type;
  return py::make_tuple(found->null_count, statistic(type, found->minimum),
                        statistic(type, found->maximum));
}

RecordBatch read(const LogBatch& self, const std::optional<std::vector<int>>& indices) {
  if (indices) {
    for (const int index : *indices) column_id(self, index);
  }
  const py::gil_scoped_release release;
  return indices ? self.read(*indices) : self.read_all();
}

void bind_entries(py::module_& module) {
  py::class_<storage::ColumnEntry>(module, "ColumnEntry")
      .def_readonly("id", &storage::ColumnEntry::id)
      .def_readonly("type", &storage::ColumnEntry::type)
      .def_property_readonly(
          "encoding",
          [](const storage::ColumnEntry& self) { return static_cast<int>(self.encoding); })
      .def_readonly("null_count", &storage::ColumnEntry::null_count)
      .def_readonly("dictionary_length", &storage::ColumnEntry::dictionary_length)
      .def_readonly("first_buffer", &storage::ColumnEntry::first_buffer)
      .def_readonly("buffer_count", &storage::ColumnEntry::buffer_count);
  py::class_<storage::BufferEntry>(module, "BufferEntry")
      .def_readonly("offset", &storage::BufferEntry::offset)
      .def_readonly("stored_length", &storage::BufferEntry::stored_length)
      .def_readonly("raw_length", &storage::BufferEntry::raw_length)
      .def_readonly("crc", &storage::BufferEntry::crc)
      .def_property_readonly(
          "codec", [](const storage::BufferEntry& self) { return static_cast<int>(self.codec); })
      .def_property_readonly(
          "kind", [](const storage::BufferEntry& self) { return static_cast<int>(self.kind); });
}

void bind_log_batch(py::module_& module) {
  const auto header = [](auto member) {
    return [member](const LogBatch& self) { return self.header().*member; };
  };
  py::class_<LogBatch>(module, "LogBatch")
      .def_property_readonly("base_offset", &LogBatch::base_offset)
      .def_property_readonly("next_offset", &LogBatch::next_offset)
      .def_property_readonly("record_count", &LogBatch::record_count)
      .def_property_readonly("append_sequence", &LogBatch::append_sequence)
      .def_property_readonly("append_time_us", header(&storage::BatchHeader::append_time_us))
      .def_property_readonly("min_timestamp_us", header(&storage::BatchHeader::min_timestamp))
      .def_property_readonly("max_timestamp_us", header(&storage::BatchHeader::max_timestamp))
      .def_property_readonly("flags", header(&storage::BatchHeader::flags))
      .def_property_readonly("transaction_id", header(&storage::BatchHeader::transaction_id))
      .def_property_readonly("schema_id", header(&storage::BatchHeader::schema_id))
      .def_property_readonly("producer_id", header(&storage::BatchHeader::producer_id))
      .def_property_readonly("producer_epoch", header(&storage::BatchHeader::producer_epoch))
      .def_property_readonly("base_sequence", header(&storage::BatchHeader::base_sequence))
      .def_property_readonly("sequence_lag", header(&storage::BatchHeader::sequence_lag))
      .def_property_readonly("last_sequence", &LogBatch::last_sequence)
      .def_property_readonly("stored_bytes", header(&storage::BatchHeader::total_length))
      .def_property_readonly("schema",
                             [](const LogBatch& self) { return to_handle(self.schema()); })
      .def_property_readonly("topic", [](const LogBatch& self) { return self.place().topic; })
      .def_property_readonly("partition",
                             [](const LogBatch& self) { return self.place().partition; })
      .def_property_readonly("path", [](const LogBatch& self) { return self.place().path; })
      .def_property_readonly("file_position",
                             [](const LogBatch& self) { return self.place().file_position; })
      .def("column", &column, py::arg("index"), py::arg("begin") = 0,
           py::arg("length") = py::none())
      .def("read", &read, py::arg("indices") = py::none())
      .def(
          "timestamps", [](const LogBatch& self) { return self.timestamps(); }, Unlocked())
      .def(
          "headers", [](const LogBatch& self) { return self.headers(); }, Unlocked())
      .def_property_readonly("durable_offset", header(&storage::BatchHeader::durable_offset))
      .def_property_readonly("incarnation", header(&storage::BatchHeader::incarnation))
      .def_property_readonly("header_crc", header(&storage::BatchHeader::header_crc))
      .def_property_readonly("previous_header_crc",
                             header(&storage::BatchHeader::previous_header_crc))
      .def_property_readonly("column_entries",
                             [](const LogBatch& self) {
                               const auto entries = self.column_entries();
                               return std::vector(entries.begin(), entries.end());
                             })
      .def_property_readonly("buffer_entries",
                             [](const LogBatch& self) {
                               const auto entries = self.buffer_entries();
                               return std::vector(entries.begin(), entries.end());
                             })
      .def(
          "verify", [](const LogBatch& self) { self.verify(storage::Verify::kAlways); }, Unlocked())
      .def(
          "sequences", [](const LogBatch& self) { return self.sequences(); }, Unlocked())
      .def_property_readonly("has_gaps", &LogBatch::has_gaps)
      .def(
          "offset_deltas", [](const LogBatch& self) { return self.offset_deltas(); }, Unlocked())
      .def("offset_of", &offset_of, py::arg("row"))
      .def("row_from", &LogBatch::row_from, py::arg("offset"), Unlocked())
      .def("statistics", &statistics, py::arg("index"));
}

}  // namespace

void bind_storage(py::module_& module) {
  module.def(
      "crc32c",
      [](const py::bytes& bytes) {
        const std::string_view view = bytes;
        return crc32c(0, view.data(), view.size());
      },
      py::arg("data"));
  bind_results(module);
  bind_log(module);
  bind_partition(module);
  bind_entries(module);
  bind_log_batch(module);
  module.def("sync_partitions", &sync_partitions, py::arg("partitions"), py::arg("ends"));
}

}  // namespace pystream::python
