#pragma once
// Quantiles of each slot's values with a bound on their relative error: DDSketch (Masson, Rim, Lee,
// "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees", 2019).
//
// A value v > 0 is counted in bucket i with gamma^(i-1) < v <= gamma^i, where gamma = (1 + e) / (1
// - e), and bucket i is shown as the value that is within the relative error e of all of them.
// Negative values have buckets of their own; zero has one, together with what is nearer to it than
// the smallest normal number, and so have both infinities. NaN is counted apart.
//
// Buckets are never collapsed, so the bound holds for every quantile; only those that are not empty
// take memory, and the range of float64 limits them to 709 / e in each direction. Merging adds
// counts: it is exact, whatever the order.
//
// Content: buckets and their counts, of each slot.

#include <vector>

#include "windows/side_state.hpp"
#include "windows/slot_table.hpp"

namespace pystream::windows {

// The buckets for a relative error, numbered in the order of their values.
class QuantileBuckets {
 public:
  explicit QuantileBuckets(double relative_error);

  uint32_t bucket_of(double value) const;
  double value_of(uint32_t bucket) const;
  // Behind all others.
  uint32_t nan_bucket() const { return 4 * most_ + 5; }

 private:
  double log_gamma_;
  double per_log_gamma_;
  double log_middle_;  // of what a bucket is shown as, over its upper end
  uint32_t most_;      // i is in [-most_, most_]
};

class DDSketch final : public SideState {
 public:
  DDSketch(double relative_error, const DataType& type) : buckets_(relative_error), type_(type) {}

  std::unique_ptr<SideState> clone() const override { return std::make_unique<DDSketch>(*this); }
  void resize(int64_t slots) override { counts_.resize(slots); }
  void add(const SideRows& rows) override;
  void merge(const SideState& other, const uint32_t* slots, const uint32_t* other_slots,
             int64_t count) override;
  void clear(uint32_t slot) override { counts_.clear(slot); }
  // ResultLayout::quantile of each slot, or the list of ResultLayout::quantiles: of n values
  // without NaN, in order, the one with floor(quantile * (n - 1)) before it.
  Array emit(const ResultLayout& result, std::span<const uint32_t> slots) const override;
  int64_t bytes() const override { return counts_.bytes(); }
  std::vector<Field> state_fields() const override;
  std::vector<Array> snapshot(std::span<const uint32_t> slots) const override;
  void restore(std::span<const Array> columns) override;

 private:
  struct Bucket {
    uint32_t number;
    int64_t count;

    uint32_t key() const { return number; }
    static Bucket of(uint32_t key) { return {key, 0}; }
  };

  // The buckets of a slot in the order of their values, without NaN if there is anything else.
  void sort_buckets(uint32_t slot, std::vector<Bucket>* sorted) const;
  double quantile_of(const std::vector<Bucket>& sorted, double quantile) const;
  Array emit_lists(const ResultLayout& result, std::span<const uint32_t> slots) const;

  template <typename V>
  void add_values(const SideRows& rows, double unit);

  QuantileBuckets buckets_;
  DataType type_;
  SlotTable<Bucket> counts_;
};

}  // namespace pystream::windows
