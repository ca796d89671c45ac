#pragma once
// Key columns to dense ids: the id of a row is the id of its key, whatever the number and types of
// the columns. Accumulators are then plain arrays indexed by id, and keys are looked at again only
// when results are emitted.
//
// Each column has its own dictionary; with several columns, ids are joined pairwise from the left
// through tables of (left id, right id). So a dictionary-encoded column costs one lookup per entry,
// not per row, also as part of a longer key.
//
// Which rows are one key: see ColumnDictionary. Id 0 is null for a single key column, the one group
// for no key columns, and unused for several.
//
// Owned by one operator (per thread); used by one thread at a time. A restart rebuilds it from the
// keys that were checkpointed.

#include <cstdint>
#include <span>
#include <vector>

#include "columns/array.hpp"
#include "state/column_dictionary.hpp"
#include "state/limits.hpp"
#include "state/word_table.hpp"

namespace pystream::state {

class KeyDictionary {
 public:
  // Any number of columns, also none: then every row has id 0.
  explicit KeyDictionary(std::span<const DataType> types);

  // The id of each of `rows` rows; `columns` has one array per key column, plain or encoded. Keys
  // not seen before get the next ids. Throws kOperator at 2^32 - 2 keys.
  void find_or_insert(std::span<const Array* const> columns, int64_t rows, uint32_t* ids);

  // One more than the largest id; at least 1.
  uint32_t size() const;

  // The key columns of `ids`; copies.
  std::vector<Array> gather(std::span<const uint32_t> ids) const;

  // For each id in [begin, end) of `other` the id here of the same key; keys new here are added, in
  // that order. out[i] is for id begin + i.
  void translate(const KeyDictionary& other, uint32_t begin, uint32_t end, uint32_t* out);

  // Forgets the keys whose `live` byte is 0. Ids stay in order but close up; id 0 stays 0. Returns
  // the new id of each old one, kNoId for the forgotten.
  std::vector<uint32_t> compact(std::span<const uint8_t> live);

  int64_t bytes() const;

 private:
  void split(uint32_t pair, std::span<const uint32_t> ids, std::vector<uint32_t>* left,
             std::vector<uint32_t>* right) const;

  std::vector<ColumnDictionary> columns_;
  // pairs_[i] joins the ids of columns 0..i (from pairs_[i - 1], or column 0) with those of column
  // i + 1.
  std::vector<WordTable> pairs_;
  std::vector<uint32_t> column_ids_;  // scratch
  std::vector<uint64_t> words_;       // scratch
};

}  // namespace pystream::state
