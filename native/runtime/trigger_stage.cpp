#include "runtime/trigger_stage.hpp"

#include <utility>

#include "base/clock.hpp"
#include "runtime/stateless_operators.hpp"

namespace pystream::runtime {

namespace {

windows::PaneAggregationSpec with_trigger(windows::PaneAggregationSpec spec,
                                          const std::shared_ptr<TriggerCalls>& calls) {
  spec.own_trigger = calls;
  return spec;
}

// While it lives, the trigger may do something with panes.
class Run {
 public:
  Run(TriggerCalls* calls, const windows::PaneAggregation& aggregation) : calls_(calls) {
    calls->begin(aggregation);
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  ~Run() { calls_->end(); }

 private:
  TriggerCalls* calls_;
};

}  // namespace

TriggerStageOperator::TriggerStageOperator(std::string name, const char* kind,
                                           WindowInput::Plan input,
                                           windows::PaneAggregationSpec aggregation,
                                           std::shared_ptr<TriggerCalls> calls)
    : StageOperator(std::move(name), kind),
      input_(std::move(input)),
      calls_(std::move(calls)),
      aggregation_(with_trigger(input_.with_event_time(std::move(aggregation)), calls_),
                   input_.schema()) {}

void TriggerStageOperator::deliver(Rows&& rows, Lane&) {
  queue_.push_back(
      {0, std::move(rows.batch), std::move(rows.watermarks), std::move(rows.positions)});
}

void TriggerStageOperator::on_watermark(int64_t watermark, Lane&) {
  windows::RowWatermarks watermarks;
  watermarks.all = watermark;
  queue_.push_back({0, std::nullopt, std::move(watermarks)});
}

bool TriggerStageOperator::run() {
  if (queue_.empty()) return false;
  const int64_t begin_ns = monotonic_ns();
  Entry entry = std::move(queue_.front());
  queue_.pop_front();
  const Run running(calls_.get(), aggregation_);
  const windows::EmitPanes emit = [this](RecordBatch&& panes, Buffer&& in_force) {
    outbox_.push_back({0, std::move(panes), watermarks_of(std::move(in_force)), {}, own_position_});
  };
  if (entry.batch) {
    const Rows rows{std::move(*entry.batch), std::move(entry.watermarks),
                    std::move(entry.positions)};
    if (needs_positions()) {
      // As in OrderedWindowOperator::deliver().
      for (int32_t row = 0; row < rows.batch.num_rows; ++row) {
        const Rows one = take(rows, rows.batch.slice(row, 1), {&row, 1});
        const windows::RowWatermarks& seen = one.watermarks;
        aggregation_.advance(seen.per_row ? seen.per_row.as<int64_t>()[0] : seen.all, emit);
        own_position_ = one.positions.as<int64_t>()[0] + 1;
        add(one, emit);
        own_position_.reset();
      }
    } else {
      add(rows, emit);
    }
  } else {
    const bool is_dropped = drops_at_end() && entry.watermarks.all == windows::kMaxWatermark;
    if (is_dropped) note_dropped();
    if (!is_dropped) aggregation_.advance(entry.watermarks.all, emit);
    outbox_.push_back(std::move(entry));
  }
  trigger_bytes_ = calls_->bytes();
  OperatorMetrics::add(metrics_.busy_ns, monotonic_ns() - begin_ns);
  return !queue_.empty();
}

void TriggerStageOperator::add(const Rows& rows, const windows::EmitPanes& emit) {
  calls_->next_batch(rows.batch);
  std::vector<int32_t> late;
  const int64_t behind = aggregation_.add(input_.shifted(rows.batch), rows.watermarks, &late, emit);
  if (behind > 0) OperatorMetrics::add(metrics_.accepted_late_records, behind);
  if (late.empty()) return;
  OperatorMetrics::add(metrics_.late_records, static_cast<int64_t>(late.size()));
  if (!has_consumer(1)) return;
  Rows out = input_.late_rows(rows, late);
  outbox_.push_back({1, std::move(out.batch), std::move(out.watermarks), std::move(out.positions)});
}

void TriggerStageOperator::write_state(state::StateWriter* writer) {
  const Run running(calls_.get(), aggregation_);
  aggregation_.snapshot(writer);
  writer->set_fact(kRowsEmitted, arrivals_);
}

void TriggerStageOperator::read_state(const state::StateReader& reader,
                                      state::KeyGroupRange range) {
  const Run running(calls_.get(), aggregation_);
  aggregation_.restore(reader, range);
  trigger_bytes_ = calls_->bytes();
  arrivals_ = reader.highest_fact(kRowsEmitted);
}

void TriggerStageOperator::drain(Lane& lane) {
  Operator* caller = lane.enter(this);
  for (Entry& entry : std::exchange(outbox_, {})) {
    if (!entry.batch) {
      forward_watermark(entry.watermarks.all, lane);
      continue;
    }
    if (entry.output == 0) {
      entry.watermarks.first_arrival = arrivals_;
      arrivals_ += entry.batch->num_rows;
      entry.watermarks = in_force(std::move(entry.watermarks), entry.batch->num_rows);
    }
    lane.position = entry.position;
    emit(entry.output,
         {std::move(*entry.batch), std::move(entry.watermarks), std::move(entry.positions)}, lane);
  }
  lane.leave(caller);
}

}  // namespace pystream::runtime
