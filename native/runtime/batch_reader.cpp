#include "runtime/batch_reader.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "runtime/event_times.hpp"
#include "runtime/source_state.hpp"
#include "runtime/stateless_operators.hpp"
#include "windows/event_times.hpp"

namespace pystream::runtime {

namespace {

// A table may come as one batch of any size; parts keep rounds within their limits.
constexpr int64_t kPartRows = 65536;

}  // namespace

BatchReader::BatchReader(std::string name, const BatchSourceSpec& spec,
                         const std::vector<std::string>& columns)
    : name_(std::move(name)),
      spec_(spec),
      tracker_(1, spec.watermark ? delay_of(*spec.watermark) : 0) {
  auto schema = std::make_shared<Schema>();
  for (const std::string& column : columns) {
    columns_.push_back(spec_.schema->index_of(column));
    schema->fields.push_back(spec_.schema->fields[static_cast<size_t>(columns_.back())]);
  }
  schema_ = std::move(schema);
  if (!spec_.watermark) return;
  time_column_ = spec_.schema->index_of(spec_.watermark->event_time_column);
  const DataType& type = spec_.schema->fields[static_cast<size_t>(time_column_)].type;
  if (spec_.watermark->max_ahead) {
    latest_ = end_of_calendar(windows::tick_type(type, spec_.watermark->int64_unit));
  }
  if (!spec_.watermark->expression) return;
  expression_.emplace(*spec_.watermark->expression, *spec_.schema);
  for (const Field& field : expression_->schema()->fields) {
    expression_columns_.push_back(spec_.schema->index_of(field.name));
  }
}

bool BatchReader::has_more() {
  if (has_ended_) return false;
  while (used_rows_ >= current_.num_rows) {
    RecordBatch next;
    if (!spec_.next(&next)) {
      if (rows_to_skip_ > 0) fail_too_short();
      has_ended_ = true;
      return false;
    }
    if (next.schema != spec_.schema && !(*next.schema == *spec_.schema)) {
      throw Error(ErrorCode::kSchema,
                  "operator '" + name_ + "': a batch has (" + next.schema->to_string() +
                      "), but the source has (" + spec_.schema->to_string() +
                      "). Give batches of one schema.",
                  {{"operator", name_}});
    }
    current_ = std::move(next);
    used_rows_ = std::min(rows_to_skip_, current_.num_rows);
    rows_to_skip_ -= used_rows_;
  }
  return true;
}

void BatchReader::take(int64_t rows, std::vector<SourceBatch>* round) {
  SourceBatch batch;
  const int64_t length = std::min({rows, kPartRows, current_.num_rows - used_rows_});
  const bool is_whole = length == current_.num_rows;
  batch.memory = is_whole ? current_ : current_.slice(used_rows_, length);
  used_rows_ += length;
  batch.num_rows = length;
  batch.marks = observe(&batch);
  for (const Array& column : batch.memory.columns) batch.bytes += referenced_bytes(column);
  first_row_ += length;
  round->push_back(std::move(batch));
}

void BatchReader::next_round(const RoundLimits& limits, std::vector<SourceBatch>* round) {
  int64_t rows = 0;
  int64_t bytes = 0;
  for (int64_t batches = 0; rows < limits.rows && bytes < limits.bytes && batches < limits.batches;
       ++batches) {
    if (!has_more() || !limits.may_take(*round)) return;
    take(kPartRows, round);
    rows += round->back().num_rows;
    bytes += round->back().bytes;
  }
}

BatchWatermarks BatchReader::observe(SourceBatch* batch) {
  if (time_column_ < 0) return {};
  const Array time = event_time(*batch);
  const bool has_nulls = time.null_count > 0;
  if (has_nulls && requires_event_times_) fail_null_event_time(time);
  Extremes extremes{windows::kMinWatermark, windows::kMinWatermark};
  if (!has_nulls) extremes = extremes_of(time);
  if (expression_ || has_nulls || extremes.maximum > latest_) {
    Progress progress = progress_of(expression_ ? watermarks(*batch) : time, latest_);
    extremes.maximum = progress.maximum;
    ahead_records_ += progress.ahead;
    batch->progress = std::move(progress.rows);
  }
  return tracker_.observe(0, extremes.minimum, extremes.maximum);
}

void BatchReader::fail_null_event_time(const Array& time) const {
  int64_t row = 0;
  while (time.is_valid(row)) ++row;
  throw Error(ErrorCode::kOperator,
              "operator '" + name_ + "': the event time of row " +
                  std::to_string(first_row_ + row) + " is null: column '" +
                  spec_.watermark->event_time_column + "'. Filter such rows out behind the source.",
              {{"operator", name_}, {"row", first_row_ + row}});
}

Array BatchReader::watermarks(const SourceBatch& batch) const {
  return expression_->evaluate(
      select_columns(batch.memory, expression_columns_, expression_->schema()));
}

std::string BatchReader::state_layout() const { return layout_of(spec_.watermark, *spec_.schema); }

void BatchReader::write_state(state::StateWriter* writer) const {
  writer->set_fact("rows_read", first_row_);
  writer->set_fact("has_ended", has_ended_ ? 1 : 0);
  writer->set_fact("rows_ahead", ahead_records_);
  writer->set_fact("max_event_time", tracker_.state().partitions[0].maximum);
}

void BatchReader::read_state(const state::StateReader& reader) {
  first_row_ = reader.fact("rows_read");
  if (first_row_ < 0) {
    throw Error(ErrorCode::kCheckpoint,
                "operator '" + name_ + "': the snapshot has read " + std::to_string(first_row_) +
                    " rows. It is damaged.",
                {{"operator", name_}});
  }
  rows_to_skip_ = first_row_;
  has_ended_ = reader.fact("has_ended") != 0;
  ahead_records_ = reader.fact("rows_ahead");
  WatermarkState state;
  state.partitions.push_back({reader.fact("max_event_time"), {}});
  tracker_.restore(state);
}

void BatchReader::fail_too_short() const {
  throw Error(ErrorCode::kCheckpoint,
              "operator '" + name_ + "': the snapshot was taken behind row " +
                  std::to_string(first_row_) + " of its input, which now ends after " +
                  std::to_string(first_row_ - rows_to_skip_) + ". Give the input that the job had.",
              {{"operator", name_}});
}

RecordBatch BatchReader::read(const SourceBatch& batch) const {
  return select_columns(batch.memory, columns_, schema_);
}

Array BatchReader::event_time(const SourceBatch& batch) const {
  return decode_dictionary(batch.memory.columns[static_cast<size_t>(time_column_)]);
}

}  // namespace pystream::runtime
