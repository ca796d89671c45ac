#pragma once
// Finds the place of a time in the chain of a key's windows when that is long.
//
// The windows of a key are chained from the newest to the oldest, and nearly every record belongs
// near the newest. Where a key has many open windows and records come in any order, walking along
// the chain would take as many steps as it has windows: chains that turn out to be long are indexed
// by the windows' starts, which all differ, until they are short again.
//
// Owned by one table of windows; one thread at a time. State that is rebuilt.

#include <cstdint>
#include <iterator>
#include <map>
#include <unordered_map>

#include "state/limits.hpp"

namespace pystream::windows {

class ChainIndex {
 public:
  // A window and the one behind it, which starts later; kNoId: there is none.
  struct Place {
    uint32_t newer;
    uint32_t at;
  };

  // The newest window that starts at `time` or before. `window(number)` gives a window with its
  // `start` and the number of the one that is `older`.
  template <typename Window>
  Place seek(uint32_t key, uint32_t newest, int64_t time, Window window) {
    Place place{state::kNoId, newest};
    for (int steps = 0; place.at != state::kNoId && window(place.at).start > time; ++steps) {
      if (steps == kLongChain) return seek_indexed(key, newest, time, window);
      place = {place.at, window(place.at).older};
    }
    return place;
  }

  // To be told of each window that enters a chain, leaves it, or starts earlier than before.
  void add(uint32_t key, int64_t start, uint32_t number) {
    if (!of_keys_.empty()) add_to(key, start, number);
  }
  void remove(uint32_t key, int64_t start) {
    if (!of_keys_.empty()) remove_from(key, start);
  }
  void move(uint32_t key, int64_t start, int64_t new_start, uint32_t number) {
    if (of_keys_.empty() || start == new_start) return;
    remove_from(key, start);
    add_to(key, new_start, number);
  }
  // Windows or keys have new numbers: chains are indexed anew when they prove to be long.
  void clear() { of_keys_.clear(); }

  int64_t bytes() const;

 private:
  static constexpr int kLongChain = 32;
  using Starts = std::map<int64_t, uint32_t>;

  template <typename Window>
  Place seek_indexed(uint32_t key, uint32_t newest, int64_t time, Window window) {
    Starts& starts = of_keys_[key];
    if (starts.empty()) {
      for (uint32_t at = newest; at != state::kNoId; at = window(at).older) {
        starts.emplace_hint(starts.begin(), window(at).start, at);
      }
    }
    const auto later = starts.upper_bound(time);
    return {later == starts.end() ? state::kNoId : later->second,
            later == starts.begin() ? state::kNoId : std::prev(later)->second};
  }

  void add_to(uint32_t key, int64_t start, uint32_t number);
  void remove_from(uint32_t key, int64_t start);

  std::unordered_map<uint32_t, Starts> of_keys_;  // of keys with long chains only
};

}  // namespace pystream::windows
