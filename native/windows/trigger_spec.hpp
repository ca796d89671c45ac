#pragma once
// When windows fire, and for how long they take rows.

#include <cstdint>

namespace pystream::windows {

// When windows fire, and what they show. Unless it is_plain(), TriggeredAggregation does it.
struct TriggerSpec {
  int64_t every = 0;        // after so many records of a key in a window; 0: not
  int64_t every_ticks = 0;  // when the watermark passes a multiple of it; 0: not
  bool fires_on_close = true;
  bool is_discarding = false;  // a pane shows what came since the one before

  bool is_plain() const {
    return every == 0 && every_ticks == 0 && fires_on_close && !is_discarding;
  }
};

// Throws kConfig for negative numbers of records or ticks.
void check(const TriggerSpec& trigger);
void check_allowed_lateness(int64_t ticks);

}  // namespace pystream::windows
