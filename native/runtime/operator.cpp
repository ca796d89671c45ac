#include "runtime/operator.hpp"

#include "base/clock.hpp"
#include "runtime/timeline.hpp"
#include "runtime/watermark_path.hpp"

namespace pystream::runtime {

Operator* Lane::enter(Operator* op) {
  const int64_t now = monotonic_ns();
  if (current != nullptr) OperatorMetrics::add(current->metrics().busy_ns, now - since_ns);
  since_ns = now;
  return std::exchange(current, op);
}

void Operator::connect(int output, Operator* consumer) {
  if (static_cast<size_t>(output) >= outputs_.size())
    outputs_.resize(static_cast<size_t>(output) + 1);
  outputs_[static_cast<size_t>(output)].push_back(consumer);
}

void Operator::emit(int output, Rows&& rows, Lane& lane) {
  const std::optional<int64_t> position = std::exchange(lane.position, std::nullopt);
  if (output == 0) OperatorMetrics::add(metrics_.records_out, rows.batch.num_rows);
  if (!has_consumer(output)) return;
  if (timeline_ == nullptr) {
    rows.positions = {};
  } else if (!rows.positions) {
    rows.positions = timeline_->positions(scope_, position, rows);
  }
  const auto& consumers = outputs_[static_cast<size_t>(output)];
  for (size_t i = 0; i + 1 < consumers.size(); ++i) consumers[i]->push(Rows(rows), lane);
  consumers.back()->push(std::move(rows), lane);
}

void Operator::find_readers() {
  for (const auto& consumers : outputs_) {
    for (const Operator* consumer : consumers) {
      has_readers_ |=
          consumer->reads_watermarks() || (consumer->has_readers_ && consumer->passes_watermarks());
    }
  }
}

windows::RowWatermarks Operator::in_force(windows::RowWatermarks&& moments, int64_t rows) const {
  if (has_readers_ && path_ != nullptr) return path_->last_until(moments, rows);
  if (has_readers_ && scope_path_ != nullptr) return scope_path_->last_until(scope_, moments, rows);
  return std::move(moments);
}

void Operator::advance(int64_t watermark, Lane& lane) {
  Operator* caller = lane.enter(this);
  OperatorMetrics::set(metrics_.watermark, watermark);
  const bool is_dropped = drops_at_end_ && watermark == windows::kMaxWatermark;
  if (is_dropped && forwards_watermark()) {
    note_dropped();
  } else {
    on_watermark(watermark, lane);
  }
  if (forwards_watermark()) forward_watermark(watermark, lane);
  lane.leave(caller);
}

void Operator::on_watermark(int64_t, Lane&) {}

void Operator::note_dropped() {
  if (next_timer()) OperatorMetrics::set(metrics_.has_dropped, 1);
}

std::optional<int64_t> Operator::next_timer_below() const {
  std::optional<int64_t> next;
  for (const auto& consumers : outputs_) {
    for (const Operator* consumer : consumers) {
      const std::optional<int64_t> own = consumer->next_timer();
      if (own && (!next || *own < *next)) next = own;
    }
  }
  return next;
}

void Operator::forward_watermark(int64_t watermark, Lane& lane) {
  for (const auto& consumers : outputs_) {
    for (Operator* consumer : consumers) consumer->advance(watermark, lane);
  }
}

void Operator::flush(Lane& lane) {
  Operator* caller = lane.enter(this);
  on_flush();
  for (const auto& consumers : outputs_) {
    for (Operator* consumer : consumers) consumer->flush(lane);
  }
  lane.leave(caller);
}

void Operator::write_nothing(state::StateWriter* writer) const {
  writer->set_operator(kind_, "no state");
}

void Operator::read_nothing(const state::StateReader& reader) const {
  reader.check_operator(kind_, "no state");
}

void Operator::write_number(const char* fact, int64_t number, state::StateWriter* writer) const {
  writer->set_operator(kind_, fact);
  writer->set_fact(fact, number);
}

// Instances count for themselves.
int64_t Operator::read_number(const char* fact, const state::StateReader& reader) const {
  reader.check_operator(kind_, fact);
  return reader.highest_fact(fact);
}

MetricsSnapshot Operator::snapshot() const {
  MetricsSnapshot reading;
  reading.name = name_;
  reading.kind = kind_;
  reading.records_in = metrics_.records_in.load(std::memory_order_relaxed);
  reading.records_out = metrics_.records_out.load(std::memory_order_relaxed);
  reading.batches_in = metrics_.batches_in.load(std::memory_order_relaxed);
  reading.late_records = metrics_.late_records.load(std::memory_order_relaxed);
  reading.accepted_late_records = metrics_.accepted_late_records.load(std::memory_order_relaxed);
  reading.skipped_records = metrics_.skipped_records.load(std::memory_order_relaxed);
  reading.ahead_records = metrics_.ahead_records.load(std::memory_order_relaxed);
  const int64_t drift = metrics_.alignment_drift_ns.load(std::memory_order_relaxed);
  if (drift != kNoDrift) reading.alignment_drift_ns = drift;
  reading.alignment_pauses = metrics_.alignment_pauses.load(std::memory_order_relaxed);
  reading.watermark = metrics_.watermark.load(std::memory_order_relaxed);
  reading.state_bytes = metrics_.state_bytes.load(std::memory_order_relaxed);
  reading.has_dropped = metrics_.has_dropped.load(std::memory_order_relaxed) != 0;
  reading.busy_ns = metrics_.busy_ns.load(std::memory_order_relaxed);
  reading.threads = threads_;
  reading.pending_records = pending_records();
  reading.watermark_type = watermark_type_;
  return reading;
}

void OrderedOperator::process(Rows&& rows, Lane& lane) {
  if (lane.emissions == nullptr) {
    deliver(std::move(rows), lane);
  } else {
    lane.emissions->push_back({this, std::move(rows)});
  }
}

}  // namespace pystream::runtime
