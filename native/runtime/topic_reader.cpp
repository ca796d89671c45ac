#include "runtime/topic_reader.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/error.hpp"
#include "runtime/event_times.hpp"
#include "windows/event_times.hpp"

namespace pystream::runtime {

namespace {

// Stands for the append time of the batch's header; nothing is stored under this id.
constexpr uint16_t kAppendTimeColumn = 0xFFF0;

Array constant_time(int64_t time, int64_t length, const DataType& type) {
  MutableBuffer values(length * static_cast<int64_t>(sizeof(int64_t)));
  std::fill_n(values.as<int64_t>(), length, time);
  Array array;
  array.type = type;
  array.length = length;
  array.values = values.freeze();
  return array;
}

// "orders-3", as Kafka names a partition.
std::string place_of(const storage::LogBatch& batch) {
  return batch.place().topic + "-" + std::to_string(batch.place().partition);
}

std::vector<ErrorFact> facts_of(const std::string& name, const storage::LogBatch& batch,
                                int64_t offset) {
  return {{"operator", name},
          {"topic", batch.place().topic},
          {"partition", int64_t{batch.place().partition}},
          {"offset", offset}};
}

// While records are deleted, the log start offset may rise between two looks.
std::unique_ptr<storage::PartitionReader> reader_from_start(storage::Partition& partition) {
  for (;;) {
    const int64_t log_start = partition.ends().log_start_offset;
    try {
      return partition.reader(log_start);
    } catch (const Error& error) {
      const bool has_risen = partition.ends().log_start_offset > log_start;
      if (error.code() != ErrorCode::kOffsetOutOfRange || !has_risen) throw;
    }
  }
}

}  // namespace

TopicReader::TopicReader(std::string name, const TopicSourceSpec& spec,
                         const std::vector<std::string>& columns)
    : name_(std::move(name)),
      spec_(spec),
      topic_schema_(spec.schema),
      tracker_(static_cast<int>(spec.partitions.size()),
               spec.watermark ? delay_of(*spec.watermark) : 0) {
  const Schema& stored = *topic_schema_;
  auto schema = std::make_shared<Schema>();
  const auto id_of = [&](const std::string& column) {
    if (column == spec_.timestamp_column) return storage::kTimestampColumn;
    if (column == spec_.append_time_column) return kAppendTimeColumn;
    return static_cast<uint16_t>(stored.index_of(column));
  };
  const DataType micros = DataType::timestamp(TimeUnit::kMicro);
  const Field timestamp{spec_.timestamp_column, micros, false};
  const Field append_time{spec_.append_time_column, micros, false};
  const auto field_of = [&](uint16_t id) {
    if (id == storage::kTimestampColumn) return timestamp;
    return id == kAppendTimeColumn ? append_time : stored.fields[id];
  };
  for (const std::string& column : columns) {
    column_ids_.push_back(id_of(column));
    schema->fields.push_back(field_of(column_ids_.back()));
  }
  schema_ = std::move(schema);
  if (spec_.watermark) {
    time_id_ = id_of(spec_.watermark->event_time_column);
    time_type_ = field_of(*time_id_).type;
    tick_type_ = windows::tick_type(time_type_, spec_.watermark->int64_unit);
    if (spec_.watermark->expression) {
      Schema all = stored;
      if (!timestamp.name.empty()) all.fields.push_back(timestamp);
      if (!append_time.name.empty()) all.fields.push_back(append_time);
      expression_.emplace(*spec_.watermark->expression, all);
      for (const Field& field : expression_->schema()->fields) {
        expression_ids_.push_back(id_of(field.name));
      }
    }
    if (spec_.watermark->idleness) tracker_.set_idleness(*spec_.watermark->idleness, tick_type_);
  }
  for (size_t p = 0; p < spec_.partitions.size(); ++p) {
    Input input;
    input.reader = spec_.start_offsets.empty() ? set_up(reader_from_start(*spec_.partitions[p]))
                                               : open(p, spec_.start_offsets[p]);
    input.position = input.reader->position();
    inputs_.push_back(std::move(input));
  }
  note_positions();
}

std::unique_ptr<storage::PartitionReader> TopicReader::set_up(
    std::unique_ptr<storage::PartitionReader> reader) const {
  reader->set_on_corruption(spec_.on_corruption);
  reader->set_isolation(spec_.isolation);
  return reader;
}

std::unique_ptr<storage::PartitionReader> TopicReader::open(size_t partition,
                                                            int64_t offset) const {
  return set_up(spec_.partitions[partition]->reader(offset));
}

void TopicReader::note_positions() {
  int64_t sum = 0;
  for (const Input& input : inputs_) sum += input.position;
  positions_sum_.store(sum, std::memory_order_relaxed);
}

std::optional<int64_t> TopicReader::pending_records() const {
  const int64_t position = positions_sum_.load(std::memory_order_relaxed);
  int64_t end = ends_sum_.load(std::memory_order_relaxed);
  if (end < 0) {
    end = 0;
    for (const auto& partition : spec_.partitions) end += partition->ends().log_end_offset;
  }
  return std::max<int64_t>(0, end - position);
}

std::vector<int64_t> TopicReader::positions() const {
  std::vector<int64_t> positions;
  for (const Input& input : inputs_) positions.push_back(input.position);
  return positions;
}

bool TopicReader::has_ended() const {
  return spec_.bounded && has_ends_ &&
         std::all_of(inputs_.begin(), inputs_.end(),
                     [](const Input& input) { return input.position >= input.end; });
}

void TopicReader::next_round(const RoundLimits& limits, std::vector<SourceBatch>* round) {
  if (inputs_.size() == 1) {
    // Offsets are the order of a single partition: whatever is published may go.
    begin_round({UINT64_MAX, {spec_.partitions[0]->ends().log_end_offset}});
  } else {
    begin_round(spec_.log->frontier(spec_.partitions));
  }
  int64_t rows = 0;
  int64_t bytes = 0;
  int64_t batches = 0;
  while (rows < limits.rows && bytes < limits.bytes && batches < limits.batches) {
    Input* input = first_in_order();
    if (input == nullptr || !limits.may_take(*round)) break;
    take(input, round);
    rows += round->back().num_rows;
    bytes += round->back().bytes;
    ++batches;
  }
  note_positions();
}

void TopicReader::begin_round(storage::OrderFrontier frontier) {
  frontier_ = std::move(frontier);
  if (!has_ends_) {
    for (size_t p = 0; p < inputs_.size(); ++p) {
      inputs_[p].end = frontier_.log_end_offsets[p];
      // What is not decided by now is not there.
      if (spec_.bounded && spec_.isolation == storage::Isolation::kReadCommitted) {
        inputs_[p].end = std::min(inputs_[p].end, spec_.partitions[p]->last_stable_offset());
      }
    }
    set_ends(true);
  }
  for (Input& input : inputs_) fill_head(&input);
  note_positions();
}

void TopicReader::set_ends(bool are_known) {
  has_ends_ = are_known;
  if (!spec_.bounded || !are_known) return;
  int64_t sum = 0;
  for (const Input& input : inputs_) sum += input.end;
  ends_sum_.store(sum, std::memory_order_relaxed);
}

const storage::LogBatch* TopicReader::next_in_order() {
  const Input* input = first_in_order();
  return input == nullptr ? nullptr : &*input->head;
}

void TopicReader::take_next(std::vector<SourceBatch>* round) {
  take(first_in_order(), round);
  note_positions();
}

void TopicReader::take(Input* input, std::vector<SourceBatch>* round) {
  const auto bytes = static_cast<int64_t>(input->head->header().total_length);
  round->push_back(hand_out(static_cast<int>(input - inputs_.data()), input));
  round->back().bytes = bytes;
  fill_head(input);
}

void TopicReader::fill_head(Input* input) {
  while (!input->head) {
    if (spec_.bounded && input->reader->position() >= input->end) {
      input->position = std::max(input->position, input->end);
      return;
    }
    std::optional<storage::LogBatch> batch = input->reader->next();
    for (const storage::SkippedRange& range : input->reader->take_skipped()) {
      skipped_records_ += range.next_offset - range.offset;
    }
    if (!batch) {
      // Behind offsets that hold no record.
      input->position = std::max(input->position, input->reader->position());
      return;
    }
    check_schema(input, *batch);
    if (batch->schema()->size() < topic_schema_->size()) batch->widen(topic_schema_);
    input->head = std::move(batch);
  }
}

// A batch of a transaction has its place in the order where it was appended, and comes there when
// it is decided: so nothing behind it may go before.
uint64_t TopicReader::undecided_sequence() const {
  uint64_t least = UINT64_MAX;
  for (const Input& input : inputs_) {
    if (input.head) continue;
    const auto undecided = input.reader->undecided();
    if (undecided) least = std::min(least, undecided->append_sequence);
  }
  return least;
}

TopicReader::Input* TopicReader::first_in_order() {
  Input* first = nullptr;
  const uint64_t frontier = std::min(frontier_.frontier, undecided_sequence());
  for (Input& input : inputs_) {
    if (!input.head || input.head->append_sequence() >= frontier) continue;
    if (first == nullptr || input.head->append_sequence() < first->head->append_sequence()) {
      first = &input;
    }
  }
  return first;
}

SourceBatch TopicReader::hand_out(int partition, Input* input) {
  SourceBatch batch;
  batch.partition = partition;
  batch.stored = std::move(input->head);
  input->head.reset();
  batch.skip_rows = batch.stored->row_from(input->position);
  batch.num_rows = batch.stored->record_count() - batch.skip_rows;
  batch.marks = observe(&batch);
  input->position = batch.stored->next_offset();
  return batch;
}

BatchWatermarks TopicReader::observe(SourceBatch* batch) {
  if (!time_id_) return {};
  const std::optional<Extremes> known = time_extremes(*batch);
  Extremes extremes = known.value_or(Extremes{windows::kMinWatermark, windows::kMinWatermark});
  const int64_t append_time_us = batch->stored->header().append_time_us;
  const std::optional<int64_t>& max_ahead = spec_.watermark->max_ahead;
  const int64_t latest =
      max_ahead ? plus_ticks(append_time_us, *max_ahead, tick_type_) : windows::kMaxWatermark;
  if (expression_ || !known || extremes.maximum > latest) {
    Progress progress = progress_of(expression_ ? watermarks(*batch) : event_time(*batch), latest);
    extremes.maximum = progress.maximum;
    ahead_records_ += progress.ahead;
    batch->progress = std::move(progress.rows);
  }
  return tracker_.observe(batch->partition, extremes.minimum, extremes.maximum,
                          batch->stored->header().append_time_us);
}

// The clock may stand for the time of the log only if no batch with an earlier append time is still
// to come: nothing is in flight after the clock was read, and nothing is left to read after that.
bool TopicReader::pass_idle_time() {
  if (spec_.bounded || !tracker_.has_idleness()) return false;
  const int64_t now_us = spec_.log->clock_us();
  return is_drained() && tracker_.pass_idle_time(now_us);
}

bool TopicReader::is_drained() const {
  if (!spec_.log->is_quiet(spec_.partitions)) return false;
  for (size_t p = 0; p < inputs_.size(); ++p) {
    const Input& input = inputs_[p];
    if (input.head || input.reader->position() < spec_.partitions[p]->ends().log_end_offset) {
      return false;
    }
  }
  return true;
}

SourceStatus TopicReader::status() const {
  const std::optional<int64_t> since_us = tracker_.idle_since_us();
  return {watermark(), since_us.has_value(), since_us.value_or(0), has_ended(),
          tracker_.goes_on_with_time()};
}

std::optional<Extremes> TopicReader::time_extremes(const SourceBatch& batch) const {
  const storage::BatchHeader& header = batch.stored->header();
  if (*time_id_ == kAppendTimeColumn) {
    return Extremes{header.append_time_us, header.append_time_us};
  }
  const auto statistics = batch.stored->statistics(*time_id_);
  if (*time_id_ == storage::kTimestampColumn && batch.skip_rows == 0) {
    return Extremes{header.min_timestamp, header.max_timestamp};
  }
  if (statistics && statistics->has_min_max && statistics->null_count == 0 &&
      batch.skip_rows == 0) {
    return Extremes{static_cast<int64_t>(statistics->minimum),
                    static_cast<int64_t>(statistics->maximum)};
  }
  const Array time = event_time(batch);
  if (time.null_count == 0) return extremes_of(time);
  if (requires_event_times_) fail_null_event_time(batch, time);
  return std::nullopt;
}

void TopicReader::fail_null_event_time(const SourceBatch& batch, const Array& time) const {
  int64_t row = 0;
  while (time.is_valid(row)) ++row;
  const int64_t offset = batch.stored->offset_of(batch.skip_rows + row);
  throw Error(ErrorCode::kOperator,
              "the event time of " + place_of(*batch.stored) + " at offset " +
                  std::to_string(offset) + " is null: column '" +
                  spec_.watermark->event_time_column +
                  "'. Filter such records out behind the source; a column that is not null "
                  "tells producers.",
              facts_of(name_, *batch.stored, offset));
}

// Batches of an older schema lack trailing columns (they read as nulls); anything else that
// differs cannot be read under this schema.
void TopicReader::check_schema(Input* input, const storage::LogBatch& batch) const {
  if (batch.schema() == input->checked_schema) return;
  const Schema& expected = *topic_schema_;
  const Schema& got = *batch.schema();
  for (int i = 0; i < std::min(expected.size(), got.size()); ++i) {
    const Field& left = expected.fields[static_cast<size_t>(i)];
    const Field& right = got.fields[static_cast<size_t>(i)];
    if (left.name == right.name && left.type == right.type) continue;
    throw Error(ErrorCode::kSchema,
                place_of(batch) + " holds '" + right.name + "' " + right.type.to_string() +
                    " at offset " + std::to_string(batch.base_offset()) + " where the topic has '" +
                    left.name + "' " + left.type.to_string() +
                    ". Read it with the schema that it was written with.",
                facts_of(name_, batch, batch.base_offset()));
  }
  input->checked_schema = batch.schema();
}

Array TopicReader::column(const SourceBatch& batch, uint16_t id, const DataType& type) const {
  const storage::LogBatch& stored = *batch.stored;
  Array array;
  if (id == kAppendTimeColumn) {
    return constant_time(stored.header().append_time_us, batch.num_rows, type);
  }
  if (id == storage::kTimestampColumn) {
    array = stored.timestamps();
    array.type = type;
  } else {
    array = stored.column(id);
  }
  return batch.skip_rows == 0 ? array : slice(array, batch.skip_rows, batch.num_rows);
}

RecordBatch TopicReader::read(const SourceBatch& batch) const {
  return read(batch, column_ids_, schema_);
}

RecordBatch TopicReader::read(const SourceBatch& batch, const std::vector<uint16_t>& ids,
                              const SchemaPtr& schema) const {
  RecordBatch rows;
  rows.schema = schema;
  rows.num_rows = batch.num_rows;
  rows.columns.reserve(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    rows.columns.push_back(column(batch, ids[i], schema->fields[i].type));
  }
  return rows;
}

Array TopicReader::watermarks(const SourceBatch& batch) const {
  return expression_->evaluate(read(batch, expression_ids_, expression_->schema()));
}

Array TopicReader::event_time(const SourceBatch& batch) const {
  return decode_dictionary(column(batch, *time_id_, time_type_));
}

// Those of the whole batch also bound a part of it.
std::optional<storage::ColumnStatistics> TopicReader::statistics(const SourceBatch& batch,
                                                                 int column) const {
  if (column_ids_[static_cast<size_t>(column)] == kAppendTimeColumn) {
    const auto time = static_cast<uint64_t>(batch.stored->header().append_time_us);
    return storage::ColumnStatistics{0, true, time, time};
  }
  return batch.stored->statistics(column_ids_[static_cast<size_t>(column)]);
}

}  // namespace pystream::runtime
