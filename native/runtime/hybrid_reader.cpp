#include "runtime/hybrid_reader.hpp"

#include <algorithm>

namespace pystream::runtime {

HybridReader::HybridReader(const std::string& name, const TopicSourceSpec& spec,
                           const std::vector<std::string>& columns)
    : history_(name, {spec.schema, spec.history, spec.watermark}, columns),
      topic_(name, spec, columns),
      delay_(spec.watermark ? delay_of(*spec.watermark) : 0) {}

void HybridReader::next_round(const RoundLimits& limits, std::vector<SourceBatch>* round) {
  if (!has_begun_) {
    topic_.next_round({0, 0, 0}, round);  // a bounded topic ends where it ends now
    has_begun_ = true;
  }
  if (!history_.has_ended()) {
    history_.next_round(limits, round);
    if (!round->empty() || !history_.has_ended()) return;
  }
  topic_.next_round(limits, round);
  for (SourceBatch& batch : *round) carry_over(&batch);
}

void HybridReader::carry_over(SourceBatch* batch) {
  if (!batch->stored) return;
  const int64_t reached = history_.watermark();
  const int64_t latest = reached == windows::kMinWatermark ? reached : reached + 1 + delay_;
  BatchWatermarks& marks = batch->marks;
  marks.own_before = std::max(marks.own_before, latest);
  marks.others = std::max(marks.others, latest);
  marks.before = std::max(marks.before, reached);
  marks.after = std::max(marks.after, reached);
}

void HybridReader::write_state(state::StateWriter* writer) const {
  history_.write_state(writer);
  topic_.write_state(writer);
}

void HybridReader::read_state(const state::StateReader& reader) {
  history_.read_state(reader);
  topic_.read_state(reader);
  has_begun_ = topic_.has_ends();
}

SourceStatus HybridReader::status() const {
  SourceStatus status = topic_.status();
  status.watermark = watermark();
  if (!history_.has_ended()) status.is_idle = false;
  status.has_ended = has_ended();
  return status;
}

int64_t HybridReader::watermark() const {
  return std::max(history_.watermark(), topic_.watermark());
}

}  // namespace pystream::runtime
