#include "runtime/topic_sink.hpp"

#include <utility>

#include "base/error.hpp"
#include "runtime/record_timestamps.hpp"
#include "storage/batch_encoder.hpp"
#include "storage/batch_limits.hpp"
#include "storage/partitioner.hpp"

namespace pystream::runtime {

namespace {

storage::TopicWriterOptions writer_options(const TopicSinkSpec& spec) {
  storage::TopicWriterOptions options;
  options.key_columns = spec.key_columns;
  options.encode.codec = spec.codec;
  if (spec.timestamp_column < 0) options.encode.flags = storage::kFlagAppendTime;
  return options;
}

// The topic's columns as far as the input has them.
SchemaPtr input_schema(const TopicSinkSpec& spec) {
  const SchemaPtr topic = spec.partitions[0]->options().schema;
  if (topic->size() == spec.column_count) return topic;
  auto first = std::make_shared<Schema>(*topic);
  first->fields.resize(static_cast<size_t>(spec.column_count));
  return first;
}

}  // namespace

TopicSinkOperator::TopicSinkOperator(std::string name, TopicSinkSpec spec)
    : OrderedOperator(std::move(name), "topic sink"),
      spec_(std::move(spec)),
      schema_(input_schema(spec_)),
      writer_(spec_.partitions, writer_options(spec_)) {}

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
  // What would be refused is found before anything is appended to any partition.
  storage::check_nulls(rows);
  storage::check_record_sizes(rows, nullptr, {});
  storage::Timestamps timestamps;
  if (spec_.timestamp_column >= 0) {
    const auto column = static_cast<size_t>(spec_.timestamp_column);
    timestamps.per_record = record_timestamps(rows.columns[column], spec_.timestamp_offset,
                                              schema_->fields[column].name, spec_.int64_unit);
  }
  if (spec_.partitions.size() == 1) {
    append_to(0, rows, timestamps);
  } else {
    const auto count = static_cast<int32_t>(spec_.partitions.size());
    const auto by_partition = storage::rows_by_partition(partitions_of(rows), count);
    for (int32_t p = 0; p < count; ++p) {
      const std::vector<int32_t>& own = by_partition[static_cast<size_t>(p)];
      if (own.empty()) continue;
      storage::Timestamps own_timestamps;
      if (timestamps.per_record) own_timestamps.per_record = take(*timestamps.per_record, own);
      append_to(p, rows.take(own), own_timestamps);
    }
  }
  appended_rows_ += rows.num_rows;
}

void TopicSinkOperator::append_to(int32_t partition, const RecordBatch& rows,
                                  const storage::Timestamps& timestamps) {
  storage::TopicAppendResult result;
  writer_.append(rows, timestamps, nullptr, partition, spec_.acks, &result);
}

}  // namespace pystream::runtime
