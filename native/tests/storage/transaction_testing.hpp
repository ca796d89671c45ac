#pragma once
// Transactions in a partition, for tests: records of them, their ends, and what readers are given.

#include "format_testing.hpp"
#include "log_crash_testing.hpp"
#include "log_testing.hpp"
#include "storage/control_page.hpp"
#include "storage/segment.hpp"

namespace pystream::storage {

inline constexpr int64_t kProducer = 4711;

inline TransactionMarker commit(int64_t id) { return {id, kProducer, 1, true}; }
inline TransactionMarker abort(int64_t id) { return {id, kProducer, 1, false}; }

inline AppendResult append_in(Partition& partition, int64_t transaction, int64_t first,
                              int64_t count = 1) {
  FixedBuilder<int64_t> values(DataType::of(TypeId::kInt64));
  for (int64_t value = first; value < first + count; ++value) values.append(value);
  EncodeOptions options;
  options.schema_id = 1;
  options.flags = kFlagTransactional;
  options.transaction_id = transaction;
  options.producer_id = kProducer;
  options.producer_epoch = 0;
  options.base_sequence = 0;
  EncodedBatch batch =
      encode_batch({test_schema(), count, {values.finish()}}, {}, nullptr, options);
  return partition.append(&batch, Acks::kPublished);
}

inline std::unique_ptr<PartitionReader> reader_of(Partition& partition, Isolation isolation,
                                                  int64_t offset = 0) {
  auto reader = partition.reader(offset);
  reader->set_isolation(isolation);
  return reader;
}

inline std::vector<int64_t> rest_of(PartitionReader& reader) {
  std::vector<int64_t> result;
  while (const auto batch = reader.next()) {
    for (const int64_t value : values_of(*batch)) result.push_back(value);
  }
  return result;
}

inline std::vector<int64_t> committed(Partition& partition, int64_t offset = 0) {
  return rest_of(*reader_of(partition, Isolation::kReadCommitted, offset));
}

using Values = std::vector<int64_t>;

class LogTransactionsTest : public ::testing::Test {
 protected:
  void SetUp() override { open(); }
  void open() {
    log_ = Log::open(directory_.path());
    partition_ = log_->open_partition(test_options(0, 8192));
  }
  Partition& partition() { return *partition_; }
  // Of three batches, the records of the second; and opens the log again.
  void damage_second_of_three() {
    partition().sync();
    log_->close();
    const std::string path = segment_file(directory_.path(), 0);
    const auto files = std::make_shared<FileLayer>();
    int64_t position = 0;
    {
      const auto segment = Segment::open_file(files, path);
      segment->extend_index({segment->file_size(), 3}, 3);
      position = segment->index().at(1).position;
    }
    const uint8_t rubbish[4] = {1, 2, 3, 4};
    File::open(files, path, O_RDWR).write(std::span<const uint8_t>(rubbish), position + 8);
    open();
  }
  ControlPage control_page() const {
    const std::string path = directory_ / "topics/ab000000000000000000000000000007/0/control";
    return {File::open(std::make_shared<FileLayer>(), path, O_RDWR), true};
  }

  TemporaryDirectory directory_{Medium::kMemory};
  std::shared_ptr<Log> log_;
  std::shared_ptr<Partition> partition_;
};

}  // namespace pystream::storage
