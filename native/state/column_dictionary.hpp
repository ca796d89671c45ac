#pragma once
// One key column: its values to dense ids, and ids back to values.
//
// Which values are one key: null is a key of its own (always id 0); all NaNs are one key; -0.0 and
// 0.0 are one key, shown as 0.0. Everything else is equal when it is the same value of its type.
//
// Owned by one KeyDictionary and used by one thread at a time.

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "columns/array.hpp"
#include "state/bytes_table.hpp"
#include "state/limits.hpp"
#include "state/word_table.hpp"

namespace pystream::state {

class ColumnDictionary {
 public:
  explicit ColumnDictionary(DataType type);

  const DataType& type() const { return type_; }

  // The id of each row of `column`, which is of type(), plain or dictionary-encoded; values not
  // seen before get the next ids.
  void find_or_insert(const Array& column, uint32_t* ids);

  // One more than the largest id; at least 1, because id 0 is null whether it occurred or not.
  uint32_t size() const { return is_bytes_ ? strings_.size() : words_.size(); }

  // The values of `ids`; a copy.
  Array gather(std::span<const uint32_t> ids) const;

  // Forgets all values but those of `ids` (ascending, each >= 1), which become ids 1, 2, ...
  void keep(std::span<const uint32_t> ids);

  int64_t bytes() const;

 private:
  void find_or_insert_plain(const Array& column, uint32_t* ids);
  void find_or_insert_values(const Array& column, std::span<const int32_t> rows, bool all_rows,
                             uint32_t* ids);
  void find_or_insert_encoded(const Array& column, uint32_t* ids);
  void resolve_entries(const Array& column);
  bool translate(const Array& column, uint32_t* ids) const;

  // Configuration.
  DataType type_;
  bool is_bytes_;  // string, binary and decimal128 are kept as bytes, all else as one word

  // State that is checkpointed.
  WordTable words_;
  BytesTable strings_;

  // State that is rebuilt. Consecutive batches often share a dictionary, so its entries' ids are
  // kept; an entry gets an id only when a row uses it. Holding the dictionary keeps its address
  // from being used again.
  std::shared_ptr<const Array> dictionary_;
  std::vector<uint32_t> entry_ids_;  // by code; kNoId: not used so far
  std::vector<uint8_t> used_;
  std::vector<int32_t> rows_;
  std::vector<uint32_t> found_;
  std::vector<uint64_t> word_scratch_;
  std::vector<std::string_view> string_scratch_;
};

}  // namespace pystream::state
