#pragma once
// How values of each column type become words or byte strings of the key tables, and back.

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "columns/array.hpp"
#include "state/bytes_table.hpp"
#include "state/word_table.hpp"

namespace pystream::state {

// The column's own values where they are already words (64-bit integers and times), else null.
const uint64_t* words_in_place(const Array& column, bool all_rows);

// One word per row, for all rows or those listed, which are not null. Narrow integers are extended;
// floats become the bits of the float64 with one NaN and one zero. `out` is replaced.
void collect_words(const Array& column, std::span<const int32_t> rows, bool all_rows,
                   std::vector<uint64_t>* out);

// Likewise for string, binary and decimal128 (its 16 bytes); the views point into `column`.
void collect_strings(const Array& column, std::span<const int32_t> rows, bool all_rows,
                     std::vector<std::string_view>* out);

// The values of ids; id 0 is null.
Array array_of_words(const DataType& type, const WordTable& table, std::span<const uint32_t> ids);
Array array_of_strings(const DataType& type, const BytesTable& table,
                       std::span<const uint32_t> ids);

}  // namespace pystream::state
