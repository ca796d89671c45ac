#include "storage/topic_writer.hpp"

#include <algorithm>
#include <cassert>
#include <optional>
#include <string>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "storage/partitioner.hpp"

namespace pystream::storage {

namespace {

// Timestamps and headers of the rows that a piece of the batch has.
struct RowExtras {
  Timestamps timestamps;
  std::optional<Array> headers;

  const Array* headers_or_null() const { return headers ? &*headers : nullptr; }
};

template <typename Pick>
RowExtras pick_extras(const Timestamps& timestamps, const Array* headers, const Pick& pick) {
  RowExtras extras{timestamps, std::nullopt};
  if (timestamps.per_record) extras.timestamps.per_record = pick(*timestamps.per_record);
  if (headers != nullptr) extras.headers = pick(*headers);
  return extras;
}

Error with_published(const Error& error, const TopicAppendResult& result) {
  std::vector<ErrorFact> facts = error.facts();
  facts.emplace_back("published_records", result.published_count());
  facts.emplace_back("records", result.row_count);
  std::string message = error.what();
  if (result.published_count() > 0) {
    message += ' ';
    message += std::to_string(result.published_count());
    message += " of " + std::to_string(result.row_count);
    message += " records had been published before; do not send those again.";
  }
  return Error(error.code(), message, std::move(facts));
}

}  // namespace

int64_t TopicAppendResult::published_count() const {
  int64_t count = 0;
  for (const TopicAppend& append : appends) count += append.record_count;
  return count;
}

std::vector<int64_t> TopicAppendResult::offsets() const {
  std::vector<int64_t> offsets(static_cast<size_t>(row_count), -1);
  // Rows of a partition are published in their order, so that appends are walked alongside.
  struct Cursor {
    size_t append = 0;  // index into `appends` of this partition's current one
    int64_t used = 0;
  };
  const auto next_of = [&](int32_t partition, size_t from) {
    while (from < appends.size() && appends[from].partition != partition) ++from;
    return from;
  };
  const auto highest = partition_of_row.empty()
                           ? only_partition
                           : *std::max_element(partition_of_row.begin(), partition_of_row.end());
  std::vector<Cursor> cursors(static_cast<size_t>(highest) + 1);
  for (int32_t p = 0; p <= highest; ++p) cursors[static_cast<size_t>(p)].append = next_of(p, 0);
  for (size_t row = 0; row < offsets.size(); ++row) {
    const int32_t partition = partition_of_row.empty() ? only_partition : partition_of_row[row];
    Cursor& cursor = cursors[static_cast<size_t>(partition)];
    if (cursor.append == appends.size()) continue;
    const TopicAppend& append = appends[cursor.append];
    offsets[row] = append.result.base_offset + cursor.used;
    if (++cursor.used == append.record_count) {
      cursor = {next_of(partition, cursor.append + 1), 0};
    }
  }
  return offsets;
}

TopicWriter::TopicWriter(std::vector<std::shared_ptr<Partition>> partitions,
                         TopicWriterOptions options)
    : partitions_(std::move(partitions)),
      options_(std::move(options)),
      keyless_turn_(static_cast<uint32_t>(options_.first_keyless_partition)) {
  assert(!partitions_.empty() && options_.limits.max_batch_rows > 0);
  options_.encode.key_columns = options_.key_columns;
}

void TopicWriter::append(const RecordBatch& batch, const Timestamps& timestamps,
                         const Array* headers, int32_t partition, Acks acks,
                         TopicAppendResult* result) {
  *result = {};
  result->row_count = batch.num_rows;
  if (batch.num_rows == 0) return;
  check_nulls(batch);
  check_record_sizes(batch, headers, options_.limits);
  assign_rows(batch, partition, result);
  const RecordBatch rows = without_large_dictionaries(batch, options_.limits);
  // One sync for all batches of a partition.
  const Acks each = acks == Acks::kDurable ? Acks::kPublished : acks;
  try {
    if (result->partition_of_row.empty()) {
      append_to(result->only_partition, rows, timestamps, headers, each, result);
    } else {
      append_split(rows, timestamps, headers, each, result);
    }
  } catch (const Error& error) {
    throw with_published(error, *result);
  }
  if (acks == Acks::kDurable && !sync(result, sync_timeout_us())) throw_sync_timeout(result);
}

std::vector<int32_t> TopicWriter::sync_all(const TopicAppendResult& result, int64_t timeout_us,
                                           std::map<int32_t, Error>* failures) {
  std::map<int32_t, int64_t> ends;
  for (const TopicAppend& append : result.appends) {
    ends[append.partition] = append.result.base_offset + append.record_count;
  }
  const int64_t deadline_us = monotonic_us() + timeout_us;
  std::vector<int32_t> waiting;
  for (const auto& [partition, end_offset] : ends) {
    try {
      const int64_t left_us = std::max<int64_t>(0, deadline_us - monotonic_us());
      if (!partitions_[static_cast<size_t>(partition)]->sync_to(end_offset, left_us)) {
        waiting.push_back(partition);
      }
    } catch (const Error& error) {
      failures->emplace(partition, error);
    }
  }
  return waiting;
}

bool TopicWriter::sync(TopicAppendResult* result, int64_t timeout_us) {
  std::map<int32_t, Error> failures;
  if (!sync_all(*result, timeout_us, &failures).empty()) return false;
  if (failures.empty()) return true;
  std::erase_if(result->appends,
                [&](const TopicAppend& append) { return failures.contains(append.partition); });
  throw with_published(failures.begin()->second, *result);
}

void TopicWriter::throw_sync_timeout(TopicAppendResult* result) {
  std::map<int32_t, Error> failures;
  const std::vector<int32_t> waiting = sync_all(*result, 0, &failures);
  std::erase_if(result->appends, [&](const TopicAppend& append) {
    return failures.contains(append.partition) ||
           std::find(waiting.begin(), waiting.end(), append.partition) != waiting.end();
  });
  if (!failures.empty()) throw with_published(failures.begin()->second, *result);
  try {
    partitions_[static_cast<size_t>(waiting.empty() ? 0 : waiting[0])]->throw_sync_timeout();
  } catch (const Error& error) {
    throw with_published(error, *result);
  }
}

void TopicWriter::assign_rows(const RecordBatch& batch, int32_t partition,
                              TopicAppendResult* result) {
  if (partition != kPartitionByKey) {
    if (partition < 0 || partition >= partition_count()) {
      throw Error(ErrorCode::kConfig,
                  "partition " + std::to_string(partition) +
                      " does not exist: " + partitions_[0]->options().topic + " has " +
                      std::to_string(partition_count()) + " partitions. Name one of 0 to " +
                      std::to_string(partition_count() - 1) + ", or none to partition by key.",
                  {{"partition", int64_t{partition}}});
    }
    result->only_partition = partition;
    return;
  }
  const uint32_t turn = keyless_turn_.fetch_add(1, std::memory_order_relaxed);
  const auto keyless = static_cast<int32_t>(turn % static_cast<uint32_t>(partition_count()));
  result->only_partition = keyless;
  if (partition_count() == 1 || options_.key_columns.empty()) return;
  result->partition_of_row =
      partition_rows(batch, options_.key_columns, partition_count(), keyless);
  const std::vector<int32_t>& assigned = result->partition_of_row;
  if (std::adjacent_find(assigned.begin(), assigned.end(), std::not_equal_to<>()) ==
      assigned.end()) {
    result->only_partition = assigned[0];
    result->partition_of_row.clear();
  }
}

void TopicWriter::append_split(const RecordBatch& batch, const Timestamps& timestamps,
                               const Array* headers, Acks acks, TopicAppendResult* result) {
  const auto rows = rows_by_partition(result->partition_of_row, partition_count());
  for (int32_t p = 0; p < partition_count(); ++p) {
    const std::vector<int32_t>& of_partition = rows[static_cast<size_t>(p)];
    if (of_partition.empty()) continue;
    const RowExtras extras = pick_extras(
        timestamps, headers, [&](const Array& array) { return take(array, of_partition); });
    append_to(p, batch.take(of_partition), extras.timestamps, extras.headers_or_null(), acks,
              result);
  }
}

void TopicWriter::append_to(int32_t partition, const RecordBatch& batch,
                            const Timestamps& timestamps, const Array* headers, Acks acks,
                            TopicAppendResult* result) {
  Partition& target = *partitions_[static_cast<size_t>(partition)];
  EncodeOptions encode = options_.encode;
  encode.schema_id = target.options().schema_id;
  const BatchCutter cutter(batch, headers, options_.limits);
  for (int64_t begin = 0; begin < batch.num_rows;) {
    const int64_t count = cutter.next_end(begin) - begin;
    const RowExtras extras = pick_extras(
        timestamps, headers, [&](const Array& array) { return slice(array, begin, count); });
    EncodedBatch encoded = encode_batch(batch.slice(begin, count), extras.timestamps,
                                        extras.headers_or_null(), encode);
    result->appends.push_back({partition, count, target.append(&encoded, acks)});
    begin += count;
  }
}

}  // namespace pystream::storage
