#pragma once
// The accumulators of a user's aggregate function, by slot. Where slots are copied, moved, emptied
// or counted the function is not asked; so a table may change its form at any time. Rows that are
// added wait, and go to the function together: when something is asked of their accumulators, or
// when settle() is called, once a round. So one call does for all rows of a round, and threads that
// add rows never wait for each other there.
//
// What is asked of merge(): merging the parts of some rows, however they are cut and whatever comes
// first, gives what those rows give. A slot without rows is as good as none: what is merged into it
// is copied. Objects that are to be shown while rows go on coming to them give their results at
// once: what refers to an object that is about to change would have it copied.
//
// Content: the columns, or objects, and which slots have had rows.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "windows/side_state.hpp"
#include "windows/user_aggregate.hpp"

namespace pystream::windows {

class UserState final : public SideState {
 public:
  // `others`: columns of the batch that hold the arguments behind the first.
  UserState(std::shared_ptr<const UserAggregate> function, std::vector<int> others);

  std::unique_ptr<SideState> clone() const override {
    settle();  // once, not here and there
    return std::make_unique<UserState>(*this);
  }
  void resize(int64_t slots) override;
  void add(const SideRows& rows) override;
  void merge(const SideState& other, const uint32_t* slots, const uint32_t* other_slots,
             int64_t count) override;
  bool show(const SideState& other, const uint32_t* slots, const uint32_t* other_slots,
            int64_t count) override;
  void take_over(const SideState& other, const uint32_t* slots, const uint32_t* other_slots,
                 int64_t count) override;
  void settle() const override;
  void clear(uint32_t slot) override;
  Array emit(const ResultLayout& result, std::span<const uint32_t> slots) const override;
  int64_t bytes() const override;
  std::vector<Field> state_fields() const override;
  std::vector<Array> snapshot(std::span<const uint32_t> slots) const override;
  void restore(std::span<const Array> columns) override;

 private:
  // Rows that were added and wait: pieces of each argument, one slot per row.
  struct Waiting {
    std::vector<std::vector<Array>> arguments;
    std::vector<uint32_t> slots;
  };
  using Slots = std::span<const uint32_t>;

  UserStates gather(const UserStates& from, Slots places) const;
  void scatter(const UserStates& from, Slots places, UserStates* to) const;
  void copy_slot(const UserState& from, uint32_t from_slot, uint32_t slot);
  void drop_objects(Slots places, UserStates* from) const;
  void merge_into(const UserState& from, Slots targets, Slots sources);
  void merge_many(const UserState& from, Slots targets, Slots sources);
  // The slots, each once, as they first appear; `groups` gets the index of each.
  std::vector<uint32_t> distinct(Slots slots, std::vector<uint32_t>* groups) const;

  // Configuration.
  std::shared_ptr<const UserAggregate> function_;
  std::vector<int> others_;

  // State that is checkpointed. Handing over rows that wait changes nothing that can be asked.
  mutable UserStates states_;
  std::vector<uint8_t> has_rows_;  // by slot
  mutable Waiting waiting_;        // empty after settle()

  // Results of show(), by slot.
  std::vector<Array> shown_;
  std::optional<UserAggregateError> failure_;

  // Scratch: by slot, one more than its group; all zero between calls.
  mutable std::vector<uint32_t> numbers_;
};

}  // namespace pystream::windows
