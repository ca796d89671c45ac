#pragma once
// When panes fire: Flink's contract of a trigger, and the one that TriggerSpec describes.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "windows/pane_table.hpp"
#include "windows/window_aggregation.hpp"

namespace pystream::windows {

// Bits: a pane fires, and then loses what it holds.
enum class TriggerResult : uint8_t { kContinue = 0, kFire = 1, kPurge = 2, kFireAndPurge = 3 };

constexpr bool fires(TriggerResult result) { return (static_cast<uint8_t>(result) & 1) != 0; }
constexpr bool purges(TriggerResult result) { return (static_cast<uint8_t>(result) & 2) != 0; }

class PaneTrigger {
 public:
  virtual ~PaneTrigger() = default;

  // Row `row` of the batch at work, of event time `time`, has been added to the pane.
  virtual TriggerResult on_element(PaneTable& panes, uint32_t pane, int64_t row, int64_t time) = 0;
  // The watermark has reached a timer of the pane, or the time at which it is forgotten.
  virtual TriggerResult on_event_time(PaneTable& panes, uint32_t pane, int64_t time) = 0;
  // Pane `target`, one of `merged`, has taken in the others, which are in order of time, or it has
  // grown; its bounds are the new ones. The timers of all of them are gone.
  virtual void on_merge(PaneTable& panes, uint32_t target, std::span<const uint32_t> merged) = 0;
  // The pane is forgotten.
  virtual void clear(PaneTable& panes, uint32_t pane) = 0;

  virtual int64_t bytes() const { return 0; }
  // Of one of the caller's own: state is restored where this is the same.
  virtual std::string name() const { return {}; }

  // What it knows of panes: columns of a snapshot, with a row for each of `panes`, and back, when
  // all that it knew of others is forgotten.
  virtual std::vector<Field> state_fields() const { return {}; }
  virtual std::vector<Array> snapshot(const PaneTable&, std::span<const uint32_t>) const {
    return {};
  }
  virtual void restore(PaneTable&, std::span<const uint32_t>, std::span<const Array>) {}
  virtual void forget_all() {}
};

// Flink's EventTimeTrigger, CountTrigger and ContinuousEventTimeTrigger, as the spec joins them.
// Windows without end close when the input ends.
//
// Owned by one operator; one thread at a time. Snapshotable: a count and a time per pane.
class SpecTrigger final : public PaneTrigger {
 public:
  explicit SpecTrigger(const TriggerSpec& spec) : spec_(spec) {}

  TriggerResult on_element(PaneTable& panes, uint32_t pane, int64_t row, int64_t time) override;
  TriggerResult on_event_time(PaneTable& panes, uint32_t pane, int64_t time) override;
  void on_merge(PaneTable& panes, uint32_t target, std::span<const uint32_t> merged) override;
  void clear(PaneTable& panes, uint32_t pane) override;
  int64_t bytes() const override;
  std::vector<Field> state_fields() const override;
  std::vector<Array> snapshot(const PaneTable& panes,
                              std::span<const uint32_t> numbers) const override;
  void restore(PaneTable& panes, std::span<const uint32_t> numbers,
               std::span<const Array> columns) override;
  void forget_all() override { states_.clear(); }

 private:
  struct State {
    int64_t since_fired = 0;  // records, of a trigger that counts them
    int64_t next_fire = 0;    // of a trigger of event time, when is_timed
    bool is_timed = false;
  };
  State& of(uint32_t pane);
  void fire_next(PaneTable& panes, uint32_t pane, int64_t multiple);

  TriggerSpec spec_;
  std::vector<State> states_;  // by pane
};

}  // namespace pystream::windows
