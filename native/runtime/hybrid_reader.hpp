#pragma once
// History, then live: batches from memory or a stream to their end, then a topic, as one source
// with one watermark.
//
// The watermark of the history is a floor for that of the topic: a partition counts as if the
// latest event time of the history had come from it. So event time does not stand still, or go
// back, where the topic takes over, and what lies behind it is judged as if it had come by the
// topic.

#include <optional>
#include <string>
#include <vector>

#include "runtime/batch_reader.hpp"
#include "runtime/topic_reader.hpp"

namespace pystream::runtime {

class HybridReader final : public SourceReader {
 public:
  // `spec.history` is set.
  HybridReader(const std::string& name, const TopicSourceSpec& spec,
               const std::vector<std::string>& columns);

  void next_round(const RoundLimits& limits, std::vector<SourceBatch>* round) override;
  void require_event_times() override {
    history_.require_event_times();
    topic_.require_event_times();
  }
  bool has_ended() const override { return history_.has_ended() && topic_.has_ended(); }
  int64_t watermark() const override;
  BatchReader* history() override { return &history_; }
  TopicReader* topic() override { return &topic_; }
  void carry_over(SourceBatch* batch) override;
  SourceStatus status() const override;
  bool pass_idle_time() override { return history_.has_ended() && topic_.pass_idle_time(); }
  std::vector<WatermarkStep> take_steps() override { return topic_.take_steps(); }
  int partition_count() const override { return topic_.partition_count(); }
  std::vector<int64_t> positions() const override { return topic_.positions(); }
  std::optional<int64_t> pending_records() const override { return topic_.pending_records(); }
  int64_t skipped_records() const override { return topic_.skipped_records(); }
  int64_t ahead_records() const override {
    return history_.ahead_records() + topic_.ahead_records();
  }
  RecordBatch read(const SourceBatch& batch) const override { return of(batch).read(batch); }
  std::optional<storage::ColumnStatistics> statistics(const SourceBatch& batch,
                                                      int column) const override {
    return of(batch).statistics(batch, column);
  }
  Array event_time(const SourceBatch& batch) const override { return of(batch).event_time(batch); }
  std::string state_layout() const override { return topic_.state_layout(); }
  void write_state(state::StateWriter* writer) const override;
  void read_state(const state::StateReader& reader) override;

 private:
  const SourceReader& of(const SourceBatch& batch) const {
    return batch.stored ? static_cast<const SourceReader&>(topic_) : history_;
  }

  BatchReader history_;
  TopicReader topic_;
  bool has_begun_ = false;
  int64_t delay_;
};

}  // namespace pystream::runtime
