#include "state/column_dictionary.hpp"

#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "state/key_words.hpp"

namespace pystream::state {

ColumnDictionary::ColumnDictionary(DataType type)
    : type_(std::move(type)), is_bytes_(type_.is_var_binary() || type_.id == TypeId::kDecimal128) {}

void ColumnDictionary::find_or_insert(const Array& column, uint32_t* ids) {
  if (column.is_encoded()) {
    find_or_insert_encoded(column, ids);
  } else {
    find_or_insert_plain(column, ids);
  }
}

void ColumnDictionary::find_or_insert_plain(const Array& column, uint32_t* ids) {
  if (column.null_count == 0) {
    find_or_insert_values(column, {}, true, ids);
    return;
  }
  rows_.clear();
  for (int64_t i = 0; i < column.length; ++i) {
    ids[i] = 0;
    if (column.is_valid(i)) rows_.push_back(static_cast<int32_t>(i));
  }
  found_.resize(rows_.size());
  find_or_insert_values(column, rows_, false, found_.data());
  for (size_t i = 0; i < rows_.size(); ++i) ids[rows_[i]] = found_[i];
}

// Rows without nulls: all of a plain column, or those listed.
void ColumnDictionary::find_or_insert_values(const Array& column, std::span<const int32_t> rows,
                                             bool all_rows, uint32_t* ids) {
  const auto count = all_rows ? column.length : static_cast<int64_t>(rows.size());
  if (is_bytes_) {
    collect_strings(column, rows, all_rows, &string_scratch_);
    strings_.find_or_insert(string_scratch_, ids);
    return;
  }
  const uint64_t* words = words_in_place(column, all_rows);
  if (words == nullptr) {
    collect_words(column, rows, all_rows, &word_scratch_);
    words = word_scratch_.data();
  }
  words_.find_or_insert(words, count, ids);
}

void ColumnDictionary::find_or_insert_encoded(const Array& column, uint32_t* ids) {
  const bool is_known = column.dictionary == dictionary_;
  if (!is_known) {
    dictionary_ = column.dictionary;
    entry_ids_.assign(static_cast<size_t>(dictionary_->length), kNoId);
  }
  if (is_known && translate(column, ids)) return;
  resolve_entries(column);
  translate(column, ids);
}

// Gives ids to the entries that rows of `column` use, in the order of the rows: entries may be in
// any, and how a column is encoded makes no difference.
void ColumnDictionary::resolve_entries(const Array& column) {
  const int32_t* codes = column.codes();
  used_.assign(entry_ids_.size(), 0);
  rows_.clear();
  const bool has_nulls = column.null_count > 0;
  for (int64_t i = 0; i < column.length; ++i) {
    if (has_nulls && !column.is_valid(i)) continue;
    const auto code = static_cast<size_t>(codes[i]);
    if (used_[code] != 0) continue;
    used_[code] = 1;
    if (entry_ids_[code] == kNoId) rows_.push_back(codes[i]);
  }
  found_.resize(rows_.size());
  find_or_insert_values(*dictionary_, rows_, false, found_.data());
  for (size_t i = 0; i < rows_.size(); ++i) {
    entry_ids_[static_cast<size_t>(rows_[i])] = found_[i];
  }
}

// False when some row's entry has no id yet; `ids` is then incomplete.
bool ColumnDictionary::translate(const Array& column, uint32_t* ids) const {
  const int32_t* codes = column.codes();
  const uint32_t* entry_ids = entry_ids_.data();
  bool is_complete = true;
  if (column.null_count == 0) {
    for (int64_t i = 0; i < column.length; ++i) {
      const uint32_t id = entry_ids[codes[i]];
      is_complete &= id != kNoId;
      ids[i] = id;
    }
    return is_complete;
  }
  for (int64_t i = 0; i < column.length; ++i) {
    const uint32_t id = column.is_valid(i) ? entry_ids[codes[i]] : 0;
    is_complete &= id != kNoId;
    ids[i] = id;
  }
  return is_complete;
}

Array ColumnDictionary::gather(std::span<const uint32_t> ids) const {
  return is_bytes_ ? array_of_strings(type_, strings_, ids) : array_of_words(type_, words_, ids);
}

void ColumnDictionary::keep(std::span<const uint32_t> ids) {
  dictionary_.reset();
  entry_ids_.clear();
  if (is_bytes_) {
    strings_.keep(ids);
    return;
  }
  std::vector<uint64_t> kept;
  kept.reserve(ids.size());
  for (const uint32_t id : ids) kept.push_back(words_.keys()[id]);
  words_.assign(kept);
}

int64_t ColumnDictionary::bytes() const {
  return words_.bytes() + strings_.bytes() +
         static_cast<int64_t>(entry_ids_.capacity() * sizeof(uint32_t));
}

}  // namespace pystream::state
