#pragma once
// Windows of counted records that overlap many times, each out of two merges.
//
// The slices that a key holds are two stacks. The back has the newer ones as they came, and their
// total in a row of its own; each slice of the front is the merge of itself and all later ones of
// the front. A window is the oldest of the front merged with the total of the back. When the front
// is empty and the back has to give a slice away, the back becomes the front: so a slice is merged
// four times, however many windows it is in, also for min and max, which cannot be subtracted.
// (sliding_merge.hpp does the same for windows of time, and names the paper.)
//
// When what is merged depends only on how many records the key had, so sums of floats do not depend
// on how the input was cut. Merges are noted as steps, for the rows of a batch are added to their
// slices first, and then run in that order within one table. Side states do not take that, and
// would hold all values of a window many times over: windows of aggregates that have any, and those
// of few slices, are merged slice by slice instead.
//
// Owned by one CountAggregation; one thread at a time. Holds scratch only: the stacks are part of
// CountSlices.

#include <cstdint>
#include <vector>

#include "windows/accumulator_table.hpp"
#include "windows/count_slices.hpp"

namespace pystream::windows {

class CountStacks {
 public:
  static bool are_worth(int64_t slices_per_window, const AccumulatorLayout& layout);

  explicit CountStacks(CountSlices* slices) : slices_(slices) {}

  // The least and the greatest event time of a window.
  struct Times {
    int64_t first;
    int64_t last;
  };

  // Notes the steps of the window `number` (0, 1, ... since run()) that the key's slices are, and
  // takes away those that begin before `next_begin`. What has its row no more is added to
  // `evicted`.
  Times complete(uint32_t key, uint32_t number, int64_t next_begin, std::vector<uint32_t>* evicted);

  // Merges windows into rows first_result + number, which are empty, and forgets the steps.
  void run(AccumulatorTable* table, uint32_t first_result);

 private:
  struct Step {
    uint32_t target;  // a slice, or the number of a window
    uint32_t source;
    bool is_window;
  };

  void push(uint32_t key);
  void evict(uint32_t key, int64_t next_begin, std::vector<uint32_t>* evicted);
  void turn_over(uint32_t key);
  void merge(uint32_t target, uint32_t source);

  CountSlices* slices_;
  std::vector<Step> steps_;
  std::vector<uint32_t> turned_, targets_, sources_;
};

}  // namespace pystream::windows
