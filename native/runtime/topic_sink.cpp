#include "runtime/topic_sink.hpp"

#include <utility>

#include "base/error.hpp"
#include "runtime/record_timestamps.hpp"
#include "storage/batch_encoder.hpp"
#include "storage/partitioner.hpp"

namespace pystream::runtime {

TopicSinkOperator::TopicSinkOperator(std::string name, TopicSinkSpec spec)
    : OrderedOperator(std::move(name), "topic sink"),
      spec_(std::move(spec)),
      schema_(spec_.partitions[0]->options().schema) {}

void TopicSinkOperator::deliver(Rows&& rows, Lane&) {
  rows.batch.schema = schema_;
  gathered_rows_ += rows.batch.num_rows;
  gathered_.push_back(std::move(rows.batch));
  if (gathered_rows_ >= kAppendRows) on_flush();
}

void TopicSinkOperator::on_flush() {
  if (gathered_rows_ == 0) return;
  gathered_rows_ = 0;
  const std::vector<RecordBatch> rows = std::exchange(gathered_, {});
  append(rows.size() == 1 ? rows[0] : concat(rows));
}

std::vector<int32_t> TopicSinkOperator::partitions_of(const RecordBatch& rows) {
  constexpr int32_t kKeyless = -1;
  const auto count = static_cast<int32_t>(spec_.partitions.size());
  std::vector<int32_t> partition =
      spec_.key_columns.empty() ? std::vector<int32_t>(static_cast<size_t>(rows.num_rows), kKeyless)
                                : storage::partition_rows(rows, spec_.key_columns, count, kKeyless);
  for (size_t row = 0; row < partition.size(); ++row) {
    if (partition[row] != kKeyless) continue;
    const int64_t block = (appended_rows_ + static_cast<int64_t>(row)) / kKeylessBlockRows;
    partition[row] = static_cast<int32_t>(block % count);
  }
  return partition;
}

void TopicSinkOperator::append(const RecordBatch& rows) {
  if (spec_.partitions.size() == 1) {
    append_to(0, rows);
  } else {
    const auto by_partition = storage::rows_by_partition(
        partitions_of(rows), static_cast<int32_t>(spec_.partitions.size()));
    for (size_t p = 0; p < by_partition.size(); ++p) {
      if (!by_partition[p].empty()) append_to(p, rows.take(by_partition[p]));
    }
  }
  appended_rows_ += rows.num_rows;
}

void TopicSinkOperator::append_to(size_t partition, const RecordBatch& rows) {
  storage::Partition& target = *spec_.partitions[partition];
  storage::EncodeOptions options;
  options.codec = spec_.codec;
  options.key_columns = spec_.key_columns;
  options.schema_id = target.options().schema_id;
  storage::Timestamps timestamps;
  if (spec_.timestamp_column < 0) {
    options.flags = storage::kFlagAppendTime;
  } else {
    timestamps.per_record =
        record_timestamps(rows.columns[static_cast<size_t>(spec_.timestamp_column)],
                          schema_->fields[static_cast<size_t>(spec_.timestamp_column)].name);
  }
  storage::EncodedBatch encoded;
  try {
    encoded = storage::encode_batch(rows, timestamps, nullptr, options);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kRecordTooLarge || rows.num_rows == 1) throw;
    const int64_t half = rows.num_rows / 2;
    append_to(partition, rows.slice(0, half));
    append_to(partition, rows.slice(half, rows.num_rows - half));
    return;
  }
  target.append(&encoded, spec_.acks);
}

}  // namespace pystream::runtime
