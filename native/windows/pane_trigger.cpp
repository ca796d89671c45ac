#include "windows/pane_trigger.hpp"

#include <algorithm>

#include "windows/state_columns.hpp"

namespace pystream::windows {

namespace {

// The last multiple of the interval up to a time; the least time when there is none.
int64_t multiple_before(int64_t time, int64_t interval) {
  int64_t within = time % interval;
  if (within < 0) within += interval;
  int64_t multiple;
  return __builtin_sub_overflow(time, within, &multiple) ? kMinWatermark : multiple;
}

}  // namespace

SpecTrigger::State& SpecTrigger::of(uint32_t pane) {
  if (pane >= states_.size()) states_.resize(pane + 1);
  return states_[pane];
}

TriggerResult SpecTrigger::on_element(PaneTable& panes, uint32_t pane, int64_t, int64_t time) {
  if (panes.has_ended(pane)) return TriggerResult::kFire;
  if (spec_.fires_on_close) panes.register_timer(pane, panes[pane].last);
  if (spec_.every == 0 && spec_.every_ticks == 0) return TriggerResult::kContinue;
  State& state = of(pane);
  const bool is_full = spec_.every > 0 && ++state.since_fired >= spec_.every;
  if (is_full) state.since_fired = 0;
  if (spec_.every_ticks > 0 && !state.is_timed) {
    fire_next(panes, pane, multiple_before(time, spec_.every_ticks));
  }
  return is_full ? TriggerResult::kFire : TriggerResult::kContinue;
}

// One interval after `multiple`, or at the end of the window if that comes first.
void SpecTrigger::fire_next(PaneTable& panes, uint32_t pane, int64_t multiple) {
  State& state = of(pane);
  state.is_timed = true;
  if (__builtin_add_overflow(multiple, spec_.every_ticks, &state.next_fire)) {
    state.next_fire = INT64_MAX;
  }
  state.next_fire = std::min(state.next_fire, panes[pane].last);
  // The end of time is no multiple: it is the end of the input.
  if (state.next_fire != kEndless) panes.register_timer(pane, state.next_fire);
}

TriggerResult SpecTrigger::on_event_time(PaneTable& panes, uint32_t pane, int64_t time) {
  const int64_t last = panes[pane].last;
  if (time == last) {
    return spec_.fires_on_close ? TriggerResult::kFire : TriggerResult::kContinue;
  }
  if (spec_.every_ticks == 0 || !of(pane).is_timed || of(pane).next_fire != time) {
    return TriggerResult::kContinue;
  }
  // Of a window without end no multiple would be the last.
  if (last == kEndless && panes.watermark() == kMaxWatermark) return TriggerResult::kContinue;
  if (panes[pane].held == 0) {
    // Nothing is shown until another record comes: the multiples up to then are passed at once.
    const auto passed = static_cast<uint64_t>(panes.watermark()) - static_cast<uint64_t>(time);
    const auto interval = static_cast<uint64_t>(spec_.every_ticks);
    time += static_cast<int64_t>(passed / interval * interval);
  }
  fire_next(panes, pane, time);
  return TriggerResult::kFire;
}

void SpecTrigger::on_merge(PaneTable& panes, uint32_t target, std::span<const uint32_t> merged) {
  State whole;
  for (const uint32_t pane : merged) {
    State& part = of(pane);
    whole.since_fired += part.since_fired;
    if (part.is_timed) {
      whole.next_fire = whole.is_timed ? std::min(whole.next_fire, part.next_fire) : part.next_fire;
      whole.is_timed = true;
    }
    part = {};
  }
  of(target) = whole;
  if (whole.is_timed) panes.register_timer(target, whole.next_fire);
}

void SpecTrigger::clear(PaneTable&, uint32_t pane) { of(pane) = {}; }

int64_t SpecTrigger::bytes() const {
  return static_cast<int64_t>(states_.capacity() * sizeof(State));
}

std::vector<Field> SpecTrigger::state_fields() const {
  return {{"since_fired", DataType::of(TypeId::kInt64), false},
          {"next_fire", DataType::of(TypeId::kInt64), false},
          {"is_timed", DataType::of(TypeId::kBool), false}};
}

std::vector<Array> SpecTrigger::snapshot(const PaneTable&,
                                         std::span<const uint32_t> numbers) const {
  std::vector<int64_t> since_fired, next_fire, is_timed;
  for (const uint32_t pane : numbers) {
    const State state = pane < states_.size() ? states_[pane] : State{};
    since_fired.push_back(state.since_fired);
    next_fire.push_back(state.next_fire);
    is_timed.push_back(state.is_timed ? 1 : 0);
  }
  return {narrowed(DataType::of(TypeId::kInt64), since_fired),
          narrowed(DataType::of(TypeId::kInt64), next_fire),
          narrowed(DataType::of(TypeId::kBool), is_timed)};
}

void SpecTrigger::restore(PaneTable&, std::span<const uint32_t> numbers,
                          std::span<const Array> columns) {
  const auto since_fired = widened<int64_t>(columns[0]);
  const auto next_fire = widened<int64_t>(columns[1]);
  const auto is_timed = widened<int64_t>(columns[2]);
  for (size_t i = 0; i < numbers.size(); ++i) {
    of(numbers[i]) = {since_fired[i], next_fire[i], is_timed[i] != 0};
  }
}

}  // namespace pystream::windows
