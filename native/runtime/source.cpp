#include "runtime/source.hpp"

#include <algorithm>
#include <utility>

#include "runtime/timeline.hpp"
#include "runtime/window_operator.hpp"

namespace pystream::runtime {

namespace {

Buffer positions_from(int64_t arrival, int64_t rows) {
  MutableBuffer out(rows * static_cast<int64_t>(sizeof(int64_t)));
  for (int64_t row = 0; row < rows; ++row) {
    out.as<int64_t>()[row] = position_of_arrival(arrival + row);
  }
  return out.freeze();
}

}  // namespace

SourceOperator::SourceOperator(std::string name, const char* kind, SourceReader* reader)
    : Operator(std::move(name), kind), reader_(reader) {}

bool SourceOperator::needs_row_watermarks(const BatchWatermarks& marks) const {
  if (!plan_.has_watermark) return false;
  if (plan_.needs_row_watermarks) return true;
  return std::any_of(plan_.windows.begin(), plan_.windows.end(), [&](const WindowOperator* window) {
    return window->may_be_late(marks.minimum, marks.after);
  });
}

bool SourceOperator::can_skip(const SourceBatch& batch) const {
  return plan_.skip &&
         plan_.skip->can_skip([&](int column) { return reader_->statistics(batch, column); });
}

// Everything counts as if the filter had seen the rows. The watermark moves on already: it was
// computed from the batch's extremes.
void SourceOperator::skip(const SourceBatch& batch) {
  OperatorMetrics::add(metrics_.records_out, batch.num_rows);
  OperatorMetrics::add(plan_.filter->metrics().records_in, batch.num_rows);
  OperatorMetrics::add(plan_.filter->metrics().batches_in, 1);
}

void SourceOperator::write_state(state::StateWriter* writer) {
  writer->set_operator(kind(), reader_->state_layout());
  reader_->write_state(writer);
}

void SourceOperator::read_state(const state::StateReader& reader, state::KeyGroupRange) {
  reader.check_operator(kind(), reader_->state_layout());
  reader_->read_state(reader);
}

void SourceOperator::run(SourceBatch* batch, Lane& lane) {
  Operator* caller = lane.enter(this);
  lane.emissions = &batch->emissions;
  lane.scopes = batch->scopes.data();
  OperatorMetrics::add(metrics_.batches_in, 1);
  OperatorMetrics::add(metrics_.records_in, batch->num_rows);
  if (can_skip(*batch)) {
    skip(*batch);
  } else {
    run_rows(*batch, lane);
  }
  lane.leave(caller);
}

void SourceOperator::run_rows(const SourceBatch& batch, Lane& lane) {
  const RecordBatch rows = reader_->read(batch);
  const bool exact = needs_row_watermarks(batch.marks);
  Array time;
  if (exact) time = batch.progress ? *batch.progress : reader_->event_time(batch);
  int64_t own_before = batch.marks.own_before;
  for (int64_t begin = 0; begin < rows.num_rows; begin += plan_.chunk_rows) {
    lane.check_stop();
    const int64_t length = std::min(plan_.chunk_rows, rows.num_rows - begin);
    Rows chunk;
    chunk.batch = length == rows.num_rows ? rows : rows.slice(begin, length);
    // Not above any row's own watermark: where no row is late, it makes none late.
    chunk.watermarks.all = batch.marks.before;
    chunk.watermarks.first_arrival = batch.first_arrival + begin;
    if (exact) {
      const Array part = length == rows.num_rows ? time : slice(time, begin, length);
      if (plan_.needs_row_watermarks || batch.progress ||
          !keeps_to_delay(part, &own_before, plan_.delay)) {
        chunk.watermarks.per_row =
            row_watermarks(part, &own_before, batch.marks.others, plan_.delay);
      }
    }
    if (needs_positions()) chunk.positions = positions_from(batch.first_arrival + begin, length);
    emit(0, std::move(chunk), lane);
  }
}

}  // namespace pystream::runtime
