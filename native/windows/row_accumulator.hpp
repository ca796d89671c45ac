#pragma once
// Adds rows of a batch to an accumulator table: loads each input column chunk by chunk into one of
// four value types, sets nulls and NaNs aside, and calls the kernels and side states.
//
// Owned by one thread of the operator; holds scratch only, so nothing of it survives or needs to.

#include <cstdint>
#include <vector>

#include "columns/record_batch.hpp"
#include "windows/accumulator_table.hpp"

namespace pystream::windows {

// Rows of a batch: [begin, begin + count), or, with `indices`, the rows indices[begin ...].
struct RowRange {
  int64_t begin = 0;
  int64_t count = 0;
  const int32_t* indices = nullptr;
  // Of the whole batch, for aggregates that ask for an order: event times in ticks, and the number
  // of its first row in the order of arrival.
  const int64_t* times = nullptr;
  int64_t first_arrival = 0;
};

class RowAccumulator {
 public:
  explicit RowAccumulator(const AccumulatorLayout* layout);

  // ids[row] is the key id of each row of `batch`; table->prepare() has been called for them.
  void add(AccumulatorTable* table, const RecordBatch& batch, const uint32_t* ids, RowRange rows);

 private:
  // The rows of one chunk that go to one input: where they lie in the batch, and their slots.
  struct Chunk {
    const int32_t* indices;  // null: rows [begin, begin + count)
    int64_t begin;
    int64_t count;
    const uint32_t* slots;
    const RecordBatch* batch;
    const RowRange* rows;
  };

  void add_chunk(AccumulatorTable* table, const RecordBatch& batch, const uint32_t* ids,
                 RowRange rows);
  bool add_input(AccumulatorTable* table, int index, const Array& column, Chunk chunk,
                 bool should_count);
  void add_sides(AccumulatorTable* table, const InputLayout& input, const Array& column,
                 const Chunk& chunk) const;
  Chunk without_nulls(AccumulatorTable* table, int index, const Array& column, const Chunk& chunk);
  template <typename V>
  void add_values(AccumulatorTable* table, const InputLayout& input, const Array& column,
                  const Chunk& chunk, bool should_count);
  bool add_floats(AccumulatorTable* table, int index, const Array& column, Chunk chunk,
                  bool should_count);
  int64_t set_nans_aside(AccumulatorTable* table, int index, const Chunk& chunk,
                         const double* values);

  const AccumulatorLayout* layout_;
  std::vector<uint32_t> chunk_ids_;
  std::vector<uint32_t> slots_;
  std::vector<int32_t> valid_rows_;
  std::vector<uint32_t> valid_slots_;
  std::vector<double> number_values_;
  std::vector<uint32_t> number_slots_;
  std::vector<uint8_t> value_scratch_;
};

}  // namespace pystream::windows
