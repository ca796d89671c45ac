#include "windows/side_state.hpp"

#include <cassert>

#include "windows/ordered_values.hpp"
#include "windows/text_extreme.hpp"

namespace pystream::windows {

std::unique_ptr<SideState> make_side(const SideLayout& side, const InputLayout& input) {
  switch (side.kind) {
    case SideKind::kMinText:
      return std::make_unique<TextExtreme>(false);
    case SideKind::kMaxText:
      return std::make_unique<TextExtreme>(true);
    case SideKind::kFirst:
    case SideKind::kLast:
    case SideKind::kArgMin:
    case SideKind::kArgMax:
      return make_ordered_values(side, input.type);
  }
  assert(false);
  return nullptr;
}

}  // namespace pystream::windows
