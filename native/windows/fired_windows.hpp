#pragma once
// Windows that have fired and take rows until the watermark is allowed lateness past them: what
// each has shown, by key, to which a row is added before it fires a pane of its own.
//
// Windows are kept whole and not as slices: as many as end within the allowed lateness, and a row
// is added to each of its windows once, however many slices they have.
//
// Owned by one operator; one thread at a time. Snapshotable: the tables.

#include <cstdint>
#include <map>

#include "windows/accumulator_table.hpp"

namespace pystream::windows {

class FiredWindows {
 public:
  explicit FiredWindows(const AccumulatorLayout* layout) : layout_(layout) {}

  // A window has fired with this content.
  void keep(int64_t window, AccumulatorTable&& total) {
    state::LargeArray<uint8_t> freed;
    total.compress(&freed);
    windows_.emplace(window, std::move(total));
  }

  // The content of a window that has fired; empty when it had no rows.
  AccumulatorTable* content(int64_t window) {
    return &windows_.try_emplace(window, layout_).first->second;
  }

  // No row comes to windows up to `window` any more.
  void forget_through(int64_t window) {
    windows_.erase(windows_.begin(), windows_.upper_bound(window));
  }

  // Calls visit(AccumulatorTable&) for each table held.
  template <typename Visit>
  void for_each_table(Visit visit) {
    for (auto& [window, table] : windows_) visit(table);
  }

  // Calls visit(window, const AccumulatorTable&) for each, in order.
  template <typename Visit>
  void for_each(Visit visit) const {
    for (const auto& [window, table] : windows_) visit(window, table);
  }

 private:
  const AccumulatorLayout* layout_;
  std::map<int64_t, AccumulatorTable> windows_;
};

}  // namespace pystream::windows
