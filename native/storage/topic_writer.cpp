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

// Sequences that leave no gap need no column.
bool are_dense(const Array& sequences) {
  const int64_t* values = sequences.data<int64_t>();
  return values[sequences.length - 1] - values[0] == sequences.length - 1;
}

int32_t saturated_lag(int64_t last, int64_t complete) {
  const int64_t lag = last - complete;
  if (lag >= kUnknownSequenceLag) return kUnknownSequenceLag;
  return static_cast<int32_t>(std::max<int64_t>(lag, INT32_MIN));  // less than it could say
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

int64_t TopicAppendResult::duplicate_count() const {
  int64_t count = 0;
  for (const TopicAppend& append : appends) count += append.is_duplicate ? append.record_count : 0;
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
    const int64_t base = append.result.base_offset;
    offsets[row] = base < 0 ? -1 : base + cursor.used;
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
  ProducerIdentity& producer = options_.producer;
  assert(!producer.is_named() || options_.positions.size() == partitions_.size());
  if (producer.id < 0) producer.id = random_producer_id();
  options_.encode.key_columns = options_.key_columns;
  options_.encode.producer_id = producer.id;
  options_.encode.producer_epoch = producer.epoch;
  options_.positions.resize(partitions_.size());
  for (size_t p = 0; p < partitions_.size(); ++p) {
    producers_.push_back(partitions_[p]->open_producer(producer, options_.positions[p]));
  }
}

// The rows that are appended to one partition, with what belongs to them.
struct TopicWriter::Rows {
  RecordBatch batch;
  Timestamps timestamps;
  std::optional<Array> headers;
  std::optional<Array> sequences;  // of a producer with a name
  // All sequences of the topic up to it are stored, once these rows are.
  int64_t complete = -1;

  template <typename Pick>
  Rows with(RecordBatch picked, const Pick& pick) const {
    Rows rows{std::move(picked), timestamps, std::nullopt, std::nullopt, complete};
    if (timestamps.per_record) rows.timestamps.per_record = pick(*timestamps.per_record);
    if (headers) rows.headers = pick(*headers);
    if (sequences) rows.sequences = pick(*sequences);
    return rows;
  }
  int64_t sequence(int64_t row) const { return sequences->data<int64_t>()[row]; }
};

void TopicWriter::append(const RecordBatch& batch, const Timestamps& timestamps,
                         const Array* headers, int32_t partition, Acks acks,
                         TopicAppendResult* result, const RecordSequences* sequences) {
  assert((sequences != nullptr) == options_.producer.is_named());
  *result = {};
  result->row_count = batch.num_rows;
  if (batch.num_rows == 0) return;
  check(batch, headers);
  assign_rows(batch, partition, sequences, result);
  Rows rows{without_large_dictionaries(batch, options_.limits), timestamps, std::nullopt,
            std::nullopt, -1};
  if (headers != nullptr) rows.headers = *headers;
  if (sequences != nullptr) {
    assert(sequences->of_row.length == batch.num_rows);
    rows.sequences = sequences->of_row;
    rows.complete = sequences->complete;
  }
  // One sync for all batches of a partition.
  const Acks each = acks == Acks::kDurable ? Acks::kPublished : acks;
  try {
    if (result->partition_of_row.empty()) {
      append_to(result->only_partition, rows, each, result);
    } else {
      append_split(rows, each, result);
    }
  } catch (const Error& error) {
    throw with_published(error, *result);
  }
  if (acks == Acks::kDurable && !sync(result, sync_timeout_us())) throw_sync_timeout(result);
}

void TopicWriter::set_transaction(int64_t transaction_id, int32_t producer_epoch) {
  assert(options_.producer.is_transactional);
  options_.encode.flags |= kFlagTransactional;
  options_.encode.transaction_id = transaction_id;
  options_.encode.producer_epoch = producer_epoch;
  for (const auto& producer : producers_) producer->set_epoch(producer_epoch);
}

std::vector<int32_t> TopicWriter::sync_all(const TopicAppendResult& result, int64_t timeout_us,
                                           std::map<int32_t, Error>* failures) {
  std::map<int32_t, int64_t> ends;
  for (const TopicAppend& append : result.appends) {
    int64_t& end = ends[append.partition];
    end = std::max(end, append.end_offset);
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

void TopicWriter::check(const RecordBatch& batch, const Array* headers) const {
  check_nulls(batch);
  check_record_sizes(batch, headers, options_.limits);
}

void TopicWriter::assign_rows(const RecordBatch& batch, int32_t partition,
                              const RecordSequences* sequences, TopicAppendResult* result) {
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
  result->only_partition = partition_count() == 1 ? 0 : keyless;
  if (partition_count() == 1) return;
  if (options_.key_columns.empty() && sequences == nullptr) return;
  std::vector<int32_t>& assigned = result->partition_of_row;
  constexpr int32_t kBySequence = -1;
  assigned = partition_rows(batch, options_.key_columns, partition_count(),
                            sequences == nullptr ? keyless : kBySequence);
  if (sequences != nullptr) {
    const int64_t* values = sequences->of_row.data<int64_t>();
    for (size_t row = 0; row < assigned.size(); ++row) {
      if (assigned[row] != kBySequence) continue;
      assigned[row] = partition_of_sequence(values[row], partition_count());
    }
  }
  if (std::adjacent_find(assigned.begin(), assigned.end(), std::not_equal_to<>()) ==
      assigned.end()) {
    result->only_partition = assigned[0];
    assigned.clear();
  }
}

void TopicWriter::append_split(const Rows& rows, Acks acks, TopicAppendResult* result) {
  const auto by_partition = rows_by_partition(result->partition_of_row, partition_count());
  // From partition p on, all up to it is stored, but for those that are appended now.
  std::vector<int64_t> complete_before(by_partition.size() + 1, rows.complete);
  if (rows.sequences) {
    for (size_t p = by_partition.size(); p-- > 0;) {
      complete_before[p] = complete_before[p + 1];
      if (by_partition[p].empty()) continue;
      complete_before[p] = std::min(complete_before[p], rows.sequence(by_partition[p][0]) - 1);
    }
  }
  for (size_t p = 0; p < by_partition.size(); ++p) {
    const std::vector<int32_t>& own = by_partition[p];
    if (own.empty()) continue;
    Rows picked = rows.with(rows.batch.take(own), [&](const Array& a) { return take(a, own); });
    picked.complete = complete_before[p + 1];
    append_to(static_cast<int32_t>(p), picked, acks, result);
  }
}

void TopicWriter::append_to(int32_t partition, const Rows& rows, Acks acks,
                            TopicAppendResult* result) {
  const Array* headers = rows.headers ? &*rows.headers : nullptr;
  const BatchCutter cutter(rows.batch, headers, options_.limits);
  for (int64_t begin = 0; begin < rows.batch.num_rows;) {
    const int64_t count = cutter.next_end(begin) - begin;
    Rows run = rows.with(rows.batch.slice(begin, count),
                         [&](const Array& array) { return slice(array, begin, count); });
    if (rows.sequences && begin + count < rows.batch.num_rows) {
      run.complete = std::min(run.complete, rows.sequence(begin + count) - 1);
    }
    begin += append_run(partition, run, acks, result);
  }
}

int64_t TopicWriter::append_run(int32_t partition, const Rows& run, Acks acks,
                                TopicAppendResult* result) {
  const auto p = static_cast<size_t>(partition);
  const int64_t count = run.batch.num_rows;
  EncodeOptions encode = options_.encode;
  encode.schema_id = partitions_[p]->options().schema_id;
  const Array* explicit_sequences = nullptr;
  if (run.sequences) {
    encode.base_sequence = run.sequence(0);
    encode.sequence_lag = saturated_lag(run.sequence(count - 1), run.complete);
    if (!are_dense(*run.sequences)) explicit_sequences = &*run.sequences;
  }
  EncodedBatch encoded = encode_batch(
      run.batch, run.timestamps, run.headers ? &*run.headers : nullptr, encode, explicit_sequences);
  const AppendResult appended = partitions_[p]->append(&encoded, acks, producers_[p].get());
  if (appended.duplicates_up_to >= 0) {
    return answer_duplicates(partition, *run.sequences, appended.duplicates_up_to, result);
  }
  result->appends.push_back({partition, count, appended, false, appended.base_offset + count});
  return count;
}

int64_t TopicWriter::answer_duplicates(int32_t partition, const Array& sequences, int64_t up_to,
                                       TopicAppendResult* result) {
  const auto p = static_cast<size_t>(partition);
  const int64_t* begin = sequences.data<int64_t>();
  const int64_t* end = std::upper_bound(begin, begin + sequences.length, up_to);
  const std::vector<int64_t> offsets =
      partitions_[p]->stored_offsets(*producers_[p], std::span(begin, end));
  const int64_t log_end_offset = partitions_[p]->ends().log_end_offset;
  for (size_t i = 0; i < offsets.size();) {
    size_t next = i + 1;  // behind the run of offsets that follow each other, or are not known
    const auto follows = [&] {
      return offsets[i] < 0 ? offsets[next] < 0
                            : offsets[next] == offsets[i] + static_cast<int64_t>(next - i);
    };
    while (next < offsets.size() && follows()) ++next;
    AppendResult before;
    before.base_offset = offsets[i];
    result->appends.push_back(
        {partition, static_cast<int64_t>(next - i), before, true, log_end_offset});
    i = next;
  }
  return end - begin;
}

int64_t TopicWriter::complete_sequence() const {
  int64_t complete = -1;
  int64_t surviving = INT64_MAX;
  for (const auto& producer : producers_) {
    complete = std::max(complete, producer->complete_sequence());
    surviving = std::min(surviving, producer->surviving_sequence());
  }
  return std::min(complete, surviving);
}

std::vector<ProducerPosition> TopicWriter::positions() const {
  std::vector<ProducerPosition> positions;
  for (const auto& producer : producers_) positions.push_back(producer->position());
  return positions;
}

}  // namespace pystream::storage
