#pragma once
// Stands in front of a window of processing time: rows get the time of the clock as a last column,
// and below, time is that of the clock. A watermark T says that nothing at or below T comes any
// more; of the clock that is so of all that lies before the present, so the watermark is one tick
// behind it. (Flink fires timers of processing time one millisecond after their time, for the same
// reason.) Nothing is late.
//
// The watermark of the sources ends here. When the input ends, so does the clock: what it has not
// fired by then is not shown, unless the plan says that it is.

#include <optional>
#include <string>

#include "runtime/operator.hpp"

namespace pystream::runtime {

class ProcessingTimeOperator final : public Operator {
 public:
  // `output`: the input's schema and the time. `waits`: everything fires at the end of the input,
  // and nothing before.
  ProcessingTimeOperator(std::string name, SchemaPtr output, bool waits)
      : Operator(std::move(name), "processing time"), output_(std::move(output)), waits_(waits) {}

  // The time behind which something waits to be fired; an earlier one may be given.
  std::optional<int64_t> next_timer() const override;
  // Serial phase: fires what is due by now; whether anything was.
  bool pass_time(int64_t now_ms, Lane& lane);
  void write_state(state::StateWriter* writer) override;
  void read_state(const state::StateReader& reader, state::KeyGroupRange range) override;

 protected:
  void process(Rows&& rows, Lane& lane) override;
  void on_watermark(int64_t watermark, Lane& lane) override;
  bool forwards_watermark() const override { return has_ended_; }
  bool passes_watermarks() const override { return false; }

 private:
  const char* layout() const { return waits_ ? "end of the input" : "clock"; }

  SchemaPtr output_;
  bool waits_;
  int64_t passed_ = windows::kMinWatermark;  // what was due by then has fired
  bool has_ended_ = false;
};

}  // namespace pystream::runtime
