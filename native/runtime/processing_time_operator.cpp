#include "runtime/processing_time_operator.hpp"

#include <algorithm>
#include <utility>

namespace pystream::runtime {

void ProcessingTimeOperator::process(Rows&& rows, Lane& lane) {
  const int64_t count = rows.batch.num_rows;
  MutableBuffer times(count * static_cast<int64_t>(sizeof(int64_t)));
  std::fill_n(times.as<int64_t>(), count, lane.now_ms);
  Array time;
  time.type = output_->fields.back().type;
  time.length = count;
  time.values = times.freeze();
  rows.batch.columns.push_back(std::move(time));
  rows.batch.schema = output_;
  rows.watermarks.all = waits_ ? windows::kMinWatermark : lane.now_ms - 1;
  rows.watermarks.per_row = {};
  emit(0, std::move(rows), lane);
}

void ProcessingTimeOperator::on_watermark(int64_t watermark, Lane&) {
  has_ended_ = watermark == windows::kMaxWatermark;
}

std::optional<int64_t> ProcessingTimeOperator::next_timer() const {
  if (waits_ || has_ended_) return std::nullopt;
  const std::optional<int64_t> next = next_timer_below();
  // One that was registered for a time that is over fires when the clock moves on.
  if (next && *next <= passed_) return passed_ + 1;
  return next;
}

bool ProcessingTimeOperator::pass_time(int64_t now_ms, Lane& lane) {
  const std::optional<int64_t> next = next_timer();
  if (!next || *next >= now_ms) return false;
  Operator* caller = lane.enter(this);
  passed_ = now_ms - 1;
  forward_watermark(passed_, lane);
  lane.leave(caller);
  return true;
}

void ProcessingTimeOperator::write_state(state::StateWriter* writer) {
  writer->set_operator(kind(), layout());
  writer->set_fact("passed", passed_);
  writer->set_fact("has_ended", has_ended_ ? 1 : 0);
}

void ProcessingTimeOperator::read_state(const state::StateReader& reader, state::KeyGroupRange) {
  reader.check_operator(kind(), layout());
  passed_ = reader.fact("passed");
  has_ended_ = reader.fact("has_ended") != 0;
}

}  // namespace pystream::runtime
