#pragma once
// Reads batches from memory or an Arrow stream, as one partition in the order they come.

#include <optional>
#include <string>
#include <vector>

#include "runtime/graph.hpp"
#include "runtime/source.hpp"
#include "runtime/watermark_expression.hpp"

namespace pystream::runtime {

class BatchReader final : public SourceReader {
 public:
  // `columns`: names of the columns that are needed, in the schema's order.
  BatchReader(std::string name, const BatchSourceSpec& spec,
              const std::vector<std::string>& columns);

  void next_round(const RoundLimits& limits, std::vector<SourceBatch>* round) override;
  BatchReader* history() override { return this; }
  // Whether there is a row left; looks ahead. has_ended() is true as soon as this has found none.
  bool has_more();
  // Appends the next batch, of at most `rows` rows; there is one left.
  void take(int64_t rows, std::vector<SourceBatch>* round);
  void require_event_times() override { requires_event_times_ = true; }
  bool has_ended() const override { return has_ended_; }
  int64_t watermark() const override { return tracker_.current(); }
  int64_t ahead_records() const override { return ahead_records_; }
  RecordBatch read(const SourceBatch& batch) const override;
  Array event_time(const SourceBatch& batch) const override;
  std::string state_layout() const override;
  void write_state(state::StateWriter* writer) const override;
  // Rows that were read before are stepped over when the next ones are asked for. Where the input
  // has fewer, that throws kCheckpoint.
  void read_state(const state::StateReader& reader) override;

 private:
  [[noreturn]] void fail_too_short() const;
  [[noreturn]] void fail_null_event_time(const Array& time) const;
  BatchWatermarks observe(SourceBatch* batch);
  Array watermarks(const SourceBatch& batch) const;  // that the expression gives

  std::string name_;
  BatchSourceSpec spec_;
  std::vector<int> columns_;
  SchemaPtr schema_;  // of what read() gives
  int time_column_ = -1;
  bool requires_event_times_ = false;
  std::optional<WatermarkExpression> expression_;
  std::vector<int> expression_columns_;
  int64_t latest_ = windows::kMaxWatermark;  // event time that moves the watermark
  RecordBatch current_;                      // the batch being cut
  int64_t used_rows_ = 0;                    // of it
  int64_t rows_to_skip_ = 0;                 // before anything else: a snapshot has read them
  int64_t first_row_ = 0;  // of the next part, counted from the start of the input
  bool has_ended_ = false;
  int64_t ahead_records_ = 0;
  WatermarkTracker tracker_;
};

}  // namespace pystream::runtime
