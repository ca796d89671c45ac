#include "windows/trigger_spec.hpp"

#include <string>

#include "base/error.hpp"

namespace pystream::windows {

void check(const TriggerSpec& trigger) {
  if (trigger.every >= 0 && trigger.every_ticks >= 0) return;
  throw Error(ErrorCode::kConfig, "a trigger fires every " + std::to_string(trigger.every) +
                                      " records and every " + std::to_string(trigger.every_ticks) +
                                      " ticks. Use positive numbers.");
}

void check_allowed_lateness(int64_t ticks) {
  if (ticks >= 0) return;
  throw Error(ErrorCode::kConfig,
              "the allowed lateness is " + std::to_string(ticks) + " ticks. Use zero or more.");
}

}  // namespace pystream::windows
