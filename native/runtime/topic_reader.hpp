#pragma once
// Reads the partitions of a topic in append order. A batch is handed out when no batch with a
// smaller append sequence can appear any more on any of the partitions; so every run, live or in
// replay, sees one order.

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "runtime/graph.hpp"
#include "runtime/source.hpp"
#include "runtime/watermark_expression.hpp"

namespace pystream::runtime {

struct PartitionState;

class TopicReader final : public SourceReader {
 public:
  // `columns`: names of the source's columns that are needed, in its schema's order. Throws
  // kOffsetOutOfRange when a start offset is.
  TopicReader(std::string name, const TopicSourceSpec& spec,
              const std::vector<std::string>& columns);

  void next_round(const RoundLimits& limits, std::vector<SourceBatch>* round) override;
  void require_event_times() override { requires_event_times_ = true; }
  bool has_ended() const override;
  int64_t watermark() const override { return tracker_.current(); }
  bool pass_idle_time() override;
  std::vector<WatermarkStep> take_steps() override { return tracker_.take_steps(); }
  TopicReader* topic() override { return this; }
  SourceStatus status() const override;

  // For reading in turns with other sources. begin_round() says up to where; next_in_order() is the
  // batch that comes next, null when there is none now, and take_next() hands it out.
  void begin_round(storage::OrderFrontier frontier);
  const storage::LogBatch* next_in_order();
  void take_next(std::vector<SourceBatch>* round);

  // Of the first batch whose transaction is not decided; UINT64_MAX: there is none. Nothing behind
  // it may be handed out.
  uint64_t undecided_sequence() const;

  bool has_idleness() const { return tracker_.has_idleness(); }
  // The time of the log has come to `time_us`. Whether the watermark moved.
  bool pass_log_time(int64_t time_us) { return tracker_.pass_log_time(time_us); }
  // Nothing is left to read and no append is in flight.
  bool is_drained() const;

  int partition_count() const override { return static_cast<int>(spec_.partitions.size()); }
  std::vector<int64_t> positions() const override;
  std::optional<int64_t> pending_records() const override;
  int64_t skipped_records() const override { return skipped_records_; }
  int64_t ahead_records() const override { return ahead_records_; }
  RecordBatch read(const SourceBatch& batch) const override;
  Array event_time(const SourceBatch& batch) const override;
  std::optional<storage::ColumnStatistics> statistics(const SourceBatch& batch,
                                                      int column) const override;
  std::string state_layout() const override;
  void write_state(state::StateWriter* writer) const override;
  // Throws kCheckpoint where the snapshot has partitions that are not read here, or topics that
  // were deleted and made again; kOffsetOutOfRange where records that come next are not there any
  // more. Partitions that it does not have begin at their start.
  void read_state(const state::StateReader& reader) override;

  // Offsets beyond which wait_any() of the log should look, after a round that gave nothing.
  const std::vector<int64_t>& wait_offsets() const { return frontier_.log_end_offsets; }
  const TopicSourceSpec& spec() const { return spec_; }
  // Whether it is known where a bounded source ends.
  bool has_ends() const { return has_ends_; }

 private:
  struct Input {
    std::unique_ptr<storage::PartitionReader> reader;
    std::optional<storage::LogBatch> head;  // read, not handed out
    int64_t position = 0;                   // next offset to hand out
    int64_t end = 0;                        // bounded: stop here
    SchemaPtr checked_schema;               // of the last batch, known to fit
  };

  std::unique_ptr<storage::PartitionReader> set_up(
      std::unique_ptr<storage::PartitionReader> reader) const;
  std::unique_ptr<storage::PartitionReader> open(size_t partition, int64_t offset) const;
  // Fills the head where something is to be had; skips what holds no records.
  void fill_head(Input* input);
  Input* first_in_order();
  void note_positions();
  [[noreturn]] void fail_not_read(const PartitionState& row) const;
  [[noreturn]] void fail_made_again(const PartitionState& row, const std::string& id) const;
  // The inputs know where they end, or are to find it out in the next round.
  void set_ends(bool are_known);
  void take(Input* input, std::vector<SourceBatch>* round);
  SourceBatch hand_out(int partition, Input* input);
  BatchWatermarks observe(SourceBatch* batch);
  // None where an event time is null.
  std::optional<Extremes> time_extremes(const SourceBatch& batch) const;
  void check_schema(Input* input, const storage::LogBatch& batch) const;
  RecordBatch read(const SourceBatch& batch, const std::vector<uint16_t>& ids,
                   const SchemaPtr& schema) const;
  Array watermarks(const SourceBatch& batch) const;  // that the expression gives
  Array column(const SourceBatch& batch, uint16_t id, const DataType& type) const;
  [[noreturn]] void fail_null_event_time(const SourceBatch& batch, const Array& time) const;

  std::string name_;
  TopicSourceSpec spec_;
  SchemaPtr topic_schema_;            // when the source was made; later columns are not read
  SchemaPtr schema_;                  // of what read() gives
  std::vector<uint16_t> column_ids_;  // its columns; kTimestampColumn for the record timestamp
  std::optional<uint16_t> time_id_;   // the event-time column
  DataType time_type_;
  DataType tick_type_;  // in whose ticks it counts
  bool requires_event_times_ = false;
  std::optional<WatermarkExpression> expression_;
  std::vector<uint16_t> expression_ids_;  // its columns
  std::vector<Input> inputs_;
  int64_t skipped_records_ = 0;
  // For pending_records(): sums over the partitions.
  std::atomic<int64_t> positions_sum_{0};
  std::atomic<int64_t> ends_sum_{-1};  // bounded: once they are known
  int64_t ahead_records_ = 0;
  bool has_ends_ = false;
  storage::OrderFrontier frontier_;
  WatermarkTracker tracker_;
};

}  // namespace pystream::runtime
