#include "windows/side_state.hpp"

#include <cassert>

#include "windows/text_extreme.hpp"

namespace pystream::windows {

std::unique_ptr<SideState> make_side(const SideLayout& side, const InputLayout&) {
  switch (side.kind) {
    case SideKind::kMinText:
      return std::make_unique<TextExtreme>(false);
    case SideKind::kMaxText:
      return std::make_unique<TextExtreme>(true);
  }
  assert(false);
  return nullptr;
}

}  // namespace pystream::windows
