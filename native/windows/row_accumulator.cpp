#include "windows/row_accumulator.hpp"

#include <algorithm>
#include <type_traits>

#include "windows/accumulate.hpp"
#include "windows/accumulator_values.hpp"
#include "windows/load_values.hpp"
#include "windows/moments.hpp"

namespace pystream::windows {

namespace {
// Small enough that the rows of a chunk stay in the second-level cache from one input to the next.
constexpr int64_t kChunkRows = 2048;
}  // namespace

RowAccumulator::RowAccumulator(const AccumulatorLayout* layout)
    : layout_(layout),
      chunk_ids_(kChunkRows),
      slots_(kChunkRows),
      valid_rows_(kChunkRows),
      valid_slots_(kChunkRows),
      number_values_(kChunkRows),
      number_slots_(kChunkRows),
      value_scratch_(kChunkRows * sizeof(__int128)) {}

void RowAccumulator::add(AccumulatorTable* table, const RecordBatch& batch, const uint32_t* ids,
                         RowRange rows) {
  for (int64_t done = 0; done < rows.count; done += kChunkRows) {
    const int64_t count = std::min(kChunkRows, rows.count - done);
    add_chunk(table, batch, ids,
              {rows.begin + done, count, rows.indices, rows.times, rows.first_arrival});
  }
}

void RowAccumulator::add_chunk(AccumulatorTable* table, const RecordBatch& batch,
                               const uint32_t* ids, RowRange rows) {
  Chunk chunk{nullptr, rows.begin, rows.count, nullptr, &batch, &rows};
  const uint32_t* chunk_ids = ids + rows.begin;
  if (rows.indices != nullptr) {
    chunk.indices = rows.indices + rows.begin;
    chunk.begin = 0;
    for (int64_t i = 0; i < rows.count; ++i) {
      chunk_ids_[static_cast<size_t>(i)] = ids[chunk.indices[i]];
    }
    chunk_ids = chunk_ids_.data();
  }
  chunk.slots = table->slots(chunk_ids, rows.count, slots_.data());
  bool is_counted = false;
  for (int index = 0; index < static_cast<int>(layout_->inputs.size()); ++index) {
    const InputLayout& input = layout_->inputs[static_cast<size_t>(index)];
    const Array& column = batch.columns[static_cast<size_t>(input.column)];
    is_counted |= add_input(table, index, column, chunk, !is_counted);
  }
  if (is_counted) return;
  if (layout_->is_keyed) {
    count_rows(table->rows(), chunk.slots, chunk.count);
  } else {
    uint8_t* row = table->rows().at(0);
    store(row, load<int64_t>(row) + chunk.count);
  }
}

// Returns whether it counted the chunk's rows, which it may do when asked to and all have a value.
bool RowAccumulator::add_input(AccumulatorTable* table, int index, const Array& column, Chunk chunk,
                               bool should_count) {
  const InputLayout& input = layout_->inputs[static_cast<size_t>(index)];
  if (!layout_->is_keyed) should_count = false;  // one addition per chunk does
  if (column.null_count > 0) {
    const Chunk valid = without_nulls(table, index, column, chunk);
    if (valid.count < chunk.count) should_count = false;
    chunk = valid;
  }
  if (!input.sides.empty()) add_sides(table, input, column, chunk);
  switch (input.value_class) {
    case ValueClass::kNone:
      return false;
    case ValueClass::kInt64:
      add_values<int64_t>(table, input, column, chunk, should_count);
      break;
    case ValueClass::kUInt64:
      add_values<uint64_t>(table, input, column, chunk, should_count);
      break;
    case ValueClass::kDecimal:
      add_values<__int128>(table, input, column, chunk, should_count);
      break;
    case ValueClass::kFloat64:
      return add_floats(table, index, column, chunk, should_count);
  }
  return should_count;
}

RowAccumulator::Chunk RowAccumulator::without_nulls(AccumulatorTable* table, int index,
                                                    const Array& column, const Chunk& chunk) {
  int64_t* nulls = nullptr;
  size_t valid = 0;
  for (int64_t i = 0; i < chunk.count; ++i) {
    const int64_t row = chunk.indices == nullptr ? chunk.begin + i : chunk.indices[i];
    if (get_bit(column.validity.data, row)) {
      valid_rows_[valid] = static_cast<int32_t>(row);
      valid_slots_[valid++] = chunk.slots[i];
    } else {
      if (nulls == nullptr) nulls = table->add_nulls(index);
      ++nulls[chunk.slots[i]];
    }
  }
  if (static_cast<int64_t>(valid) == chunk.count) return chunk;
  return {valid_rows_.data(),  0,           static_cast<int64_t>(valid),
          valid_slots_.data(), chunk.batch, chunk.rows};
}

void RowAccumulator::add_sides(AccumulatorTable* table, const InputLayout& input,
                               const Array& column, const Chunk& chunk) const {
  for (const int side : input.sides) {
    const int by = layout_->sides[static_cast<size_t>(side)].by;
    table->side(side)->add({column, chunk.indices, chunk.begin, chunk.count, chunk.slots,
                            by < 0 ? nullptr : &chunk.batch->columns[static_cast<size_t>(by)],
                            chunk.rows->times, chunk.rows->first_arrival, chunk.batch->columns});
  }
}

template <typename V>
void RowAccumulator::add_values(AccumulatorTable* table, const InputLayout& input,
                                const Array& column, const Chunk& chunk, bool should_count) {
  const V* values = load_values<V>(column, chunk.indices, chunk.begin, chunk.count,
                                   reinterpret_cast<V*>(value_scratch_.data()));
  if (layout_->is_keyed) {
    accumulate<V>(input, should_count, table->rows(), chunk.slots, values, chunk.count);
  } else {
    accumulate_one<V>(input, table->rows().at(0), values, chunk.count);
  }
}

bool RowAccumulator::add_floats(AccumulatorTable* table, int index, const Array& column,
                                Chunk chunk, bool should_count) {
  const InputLayout& input = layout_->inputs[static_cast<size_t>(index)];
  const double* values = load_values<double>(column, chunk.indices, chunk.begin, chunk.count,
                                             reinterpret_cast<double*>(value_scratch_.data()));
  if ((input.min_at >= 0 || input.max_at >= 0) && has_nan(values, chunk.count)) {
    chunk.count = set_nans_aside(table, index, chunk, values);
    chunk.slots = number_slots_.data();
    values = number_values_.data();
    should_count = false;
  }
  if (layout_->is_keyed) {
    accumulate<double>(input, should_count, table->rows(), chunk.slots, values, chunk.count);
  } else {
    accumulate_one<double>(input, table->rows().at(0), values, chunk.count);
  }
  return should_count;
}

// NaN makes a sum NaN and is ignored by min and max, unless there is nothing else: so it is counted
// and added to sum and moments here, and the rest goes on as numbers. Returns how many those are.
int64_t RowAccumulator::set_nans_aside(AccumulatorTable* table, int index, const Chunk& chunk,
                                       const double* values) {
  const InputLayout& input = layout_->inputs[static_cast<size_t>(index)];
  const RowBlock rows = table->rows();
  int64_t* nans = table->add_nans(index);
  size_t numbers = 0;
  for (int64_t i = 0; i < chunk.count; ++i) {
    const double value = values[i];
    if (value == value) {
      number_values_[numbers] = value;
      number_slots_[numbers++] = chunk.slots[i];
      continue;
    }
    ++nans[chunk.slots[i]];
    uint8_t* row = rows.at(chunk.slots[i]);
    if (input.sum_at >= 0) store(row + input.sum_at, value);
    if (input.moments_at >= 0) {
      auto moments = load<Moments>(row + input.moments_at);
      moments.add(value);
      store(row + input.moments_at, moments);
    }
  }
  return static_cast<int64_t>(numbers);
}

}  // namespace pystream::windows
