#pragma once
// Accumulators to result columns.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "columns/record_batch.hpp"
#include "state/key_dictionary.hpp"
#include "windows/accumulator_table.hpp"

namespace pystream::windows {

// Rows of one emitted batch, at most.
inline constexpr int64_t kMaxResultRows = 65536;

class WindowResults {
 public:
  // Key columns of the input, window_start and window_end of `time_type` (none: windows have no
  // bounds), aggregates. Throws kSchema when two of them have one name.
  WindowResults(const AccumulatorLayout* layout, const Schema& input,
                std::span<const int> key_columns, std::optional<DataType> time_type);

  const SchemaPtr& schema() const { return schema_; }

  // Emits the rows of window [start, end), in the order of key ids or of their first use. Throws
  // kOperator, naming key and window, when a sum does not fit its type, and what a user's function
  // throws. Returns the number of rows.
  int64_t emit(const AccumulatorTable& table, const state::KeyDictionary& keys, int64_t start,
               int64_t end, const std::function<void(RecordBatch&&)>& emit);

  // Rows whose windows differ: of row i the window [starts[i], ends[i]), where windows have bounds;
  // at most kMaxResultRows.
  struct Rows {
    std::span<const uint32_t> ids;  // of keys
    std::span<const uint32_t> slots;
    std::span<const int64_t> starts;
    std::span<const int64_t> ends;
  };
  RecordBatch make_batch(const AccumulatorTable& table, const state::KeyDictionary& keys,
                         const Rows& rows) const;

  // Where a result belongs, for messages.
  struct Place {
    std::string key;     // "user = 'ann', day = 3"; empty without keys
    std::string window;  // after a blank, with brackets; empty where windows have no bounds
  };
  Place place_of(const state::KeyDictionary& keys, uint32_t id, int64_t start, int64_t end) const;

 private:
  RecordBatch make_batch(const AccumulatorTable& table, const state::KeyDictionary& keys,
                         std::span<const uint32_t> ids, std::span<const uint32_t> slots,
                         int64_t start, int64_t end) const;
  RecordBatch begin_batch(const state::KeyDictionary& keys, std::span<const uint32_t> ids) const;
  // The first sum that does not fit its type, or what failed in a user's function, and in which
  // row; none: null.
  struct Failure {
    const ResultLayout* result = nullptr;
    size_t row = 0;
    std::optional<UserAggregateError> user = std::nullopt;
  };
  Failure add_results(const AccumulatorTable& table, std::span<const uint32_t> slots,
                      RecordBatch* batch) const;
  Array make_result(const ResultLayout& result, const AccumulatorTable& table,
                    std::span<const uint32_t> slots, int64_t* first_bad) const;
  [[noreturn]] void throw_failure(const Failure& failure, const state::KeyDictionary& keys,
                                  uint32_t id, int64_t start, int64_t end) const;

  const AccumulatorLayout* layout_;
  SchemaPtr schema_;
  size_t key_count_;
  bool has_bounds_;
  DataType time_type_;
  AccumulatorTable::Places places_;  // scratch
};

}  // namespace pystream::windows
