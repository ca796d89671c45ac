#pragma once
// A log in a temporary directory, with topics of test events.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "job_support.hpp"
#include "storage/batch_encoder.hpp"
#include "storage/log.hpp"

namespace pystream::runtime::testing {

using Partitions = std::vector<std::shared_ptr<storage::Partition>>;

class TempLog {
 public:
  // Without a clock, appends have the time of the wall clock.
  explicit TempLog(std::shared_ptr<ManualClock> clock = nullptr) {
    std::string pattern = (std::filesystem::temp_directory_path() / "pystream-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    storage::LogOptions options;
    options.clock = std::move(clock);
    log_ = storage::Log::open(directory_, options);
  }
  ~TempLog() {
    log_->close();
    std::filesystem::remove_all(directory_);
  }

  const std::shared_ptr<storage::Log>& log() const { return log_; }

  Partitions topic(const std::string& name, int partitions, SchemaPtr schema = event_schema()) {
    ++topics_;
    Partitions opened;
    for (int p = 0; p < partitions; ++p) {
      storage::PartitionOptions options;
      options.topic = name;
      options.topic_id.bytes[0] = static_cast<uint8_t>(topics_);
      options.partition = p;
      options.schema = schema;
      opened.push_back(log_->open_partition(options));
    }
    return opened;
  }

 private:
  std::string directory_;
  std::shared_ptr<storage::Log> log_;
  int topics_ = 0;
};

inline void append(storage::Partition& partition, const RecordBatch& batch) {
  storage::Timestamps timestamps;
  timestamps.constant_us = 1;
  storage::EncodedBatch encoded = storage::encode_batch(batch, timestamps, nullptr, {});
  partition.append(&encoded, storage::Acks::kPublished);
}

inline void append(storage::Partition& partition, const std::vector<Event>& events) {
  append(partition, batch_of(events));
}

inline std::vector<RecordBatch> read_partition(storage::Partition& partition) {
  std::vector<RecordBatch> batches;
  const auto reader = partition.reader(partition.ends().log_start_offset);
  while (const auto batch = reader->next()) batches.push_back(batch->read_all());
  return batches;
}

inline TopicSourceSpec topic_source(const TempLog& log, const Partitions& partitions,
                                    int64_t delay) {
  TopicSourceSpec spec;
  spec.log = log.log();
  spec.partitions = partitions;
  spec.watermark = WatermarkSpec{"ts", delay};
  return spec;
}

inline TopicSinkSpec sink_to(const Partitions& partitions) {
  TopicSinkSpec spec;
  spec.partitions = partitions;
  return spec;
}

}  // namespace pystream::runtime::testing
