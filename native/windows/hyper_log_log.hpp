#pragma once
// How many distinct values each slot has had, estimated in at most 16 KiB: HyperLogLog with 64-bit
// hashes and a sparse form for few values (Heule, Nunkesser, Hall, "HyperLogLog in practice",
// 2013), estimated as in Ertl, "New cardinality estimation algorithms for HyperLogLog sketches",
// 2017, which needs no tables and has no bias between small and large numbers.
//
// Dense: 2^14 registers of a byte; the standard error is 1.04 / sqrt(2^14) = 0.81 %. Sparse: up to
// 2048 registers out of 2^25, which are nearly exact. Which form a slot has depends on its values
// alone, and both merge by the larger of two registers: so do results.
//
// Content: the registers of each slot.

#include "windows/side_state.hpp"
#include "windows/slot_table.hpp"

namespace pystream::windows {

class HyperLogLog final : public SideState {
 public:
  HyperLogLog() = default;

  std::unique_ptr<SideState> clone() const override { return std::make_unique<HyperLogLog>(*this); }
  void resize(int64_t slots) override;
  void add(const SideRows& rows) override;
  void merge(const SideState& other, const uint32_t* slots, const uint32_t* other_slots,
             int64_t count) override;
  void clear(uint32_t slot) override;
  Array emit(const ResultLayout& result, std::span<const uint32_t> slots) const override;
  int64_t bytes() const override { return sparse_.bytes() + dense_.bytes(); }
  std::vector<Field> state_fields() const override;
  std::vector<Array> snapshot(std::span<const uint32_t> slots) const override;
  void restore(std::span<const Array> columns) override;

 private:
  // A sparse register: its number and, in the low six bits, its value.
  struct Register {
    uint32_t word;

    uint32_t key() const { return word == kNoKey ? kNoKey : word >> 6; }
    uint32_t value() const { return word & 63; }
    static Register of(uint32_t key) { return {key == kNoKey ? kNoKey : key << 6}; }
  };

  void add_hash(uint32_t slot, uint64_t hash);
  void raise_sparse(uint32_t slot, uint32_t number, uint32_t value);
  void raise_dense(uint32_t slot, uint32_t number, uint32_t value);
  void make_dense(uint32_t slot);
  int64_t estimate(uint32_t slot) const;

  SlotTable<Register> sparse_;
  SlotArena<uint8_t> dense_;
};

}  // namespace pystream::windows
