#include "windows/side_state.hpp"

#include <cassert>

#include "windows/best_values.hpp"
#include "windows/collected_values.hpp"
#include "windows/dd_sketch.hpp"
#include "windows/distinct_values.hpp"
#include "windows/hyper_log_log.hpp"
#include "windows/ordered_values.hpp"
#include "windows/text_extreme.hpp"
#include "windows/user_state.hpp"

namespace pystream::windows {

std::unique_ptr<SideState> make_side(const SideLayout& side, const InputLayout& input) {
  DataType type = input.type;
  type.is_dictionary = false;  // single values are held plain
  switch (side.kind) {
    case SideKind::kMinText:
      return std::make_unique<TextExtreme>(false, type);
    case SideKind::kMaxText:
      return std::make_unique<TextExtreme>(true, type);
    case SideKind::kFirst:
    case SideKind::kLast:
    case SideKind::kArgMin:
    case SideKind::kArgMax:
      return make_ordered_values(side, type);
    case SideKind::kDistinct:
      return std::make_unique<DistinctValues>(type);
    case SideKind::kHyperLogLog:
      return std::make_unique<HyperLogLog>();
    case SideKind::kDDSketch:
      return std::make_unique<DDSketch>(side.relative_error, type);
    case SideKind::kUser:
      return std::make_unique<UserState>(side.user, side.others);
    case SideKind::kCollected:
      return make_collected_values(type);
    case SideKind::kTopK:
    case SideKind::kBottomK:
      return make_best_values(side, type);
  }
  assert(false);
  return nullptr;
}

}  // namespace pystream::windows
