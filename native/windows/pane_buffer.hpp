#pragma once
// Panes on their way out: single rows of results, each of its own window, until there are enough of
// them for a batch. A pane is a copy of the accumulators as they were when it fired, or what they
// showed then.
//
// Owned by one operator; one thread at a time. Empty whenever the operator rests, so that nothing
// of it is checkpointed.

#include <cstdint>
#include <span>
#include <vector>

#include "state/key_dictionary.hpp"
#include "windows/accumulator_table.hpp"
#include "windows/window_results.hpp"

namespace pystream::windows {

class PaneBuffer {
 public:
  explicit PaneBuffer(const AccumulatorLayout* layout) : layout_(layout), table_(layout) {}

  // Copies the row `slot` of `table`, which is of key id `key`. `watermark`: the last one up to
  // this value is what operators below see it at; never less than that of the pane before.
  struct Place {
    uint32_t key;
    int64_t start;
    int64_t end;
    int64_t watermark;
  };
  void add(const AccumulatorTable& table, uint32_t slot, const Place& place);
  // The same for several rows of one window, each of the key keys[slot].
  void add_all(const AccumulatorTable& table, std::span<const uint32_t> slots, const uint64_t* keys,
               const Place& place);

  // Whether it is time for flush(), which will throw if a result has failed.
  bool is_full() const { return keys_.size() >= kBatchRows || has_failed_; }

  // Emits what is held. Throws kOperator, naming key and window, when a sum does not fit its type.
  void flush(const WindowResults& results, const state::KeyDictionary& keys, const EmitPanes& emit);

  int64_t bytes() const;

 private:
  static constexpr size_t kBatchRows = 4096;

  void prepare(size_t panes);

  const AccumulatorLayout* layout_;
  AccumulatorTable table_;  // by number of the pane
  bool has_failed_ = false;
  size_t prepared_ = 0;  // panes that the table has empty rows for
  std::vector<uint32_t> slots_;
  std::vector<uint32_t> keys_;
  std::vector<int64_t> starts_;
  std::vector<int64_t> ends_;
  std::vector<int64_t> watermarks_;
};

}  // namespace pystream::windows
