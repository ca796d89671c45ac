#pragma once
// Physical dictionary encoding of a column within one batch: the distinct values once, an int32
// code per row. Readers then hash and compare per entry instead of per row.
//
// All functions are pure and may be called from any thread.

#include <optional>

#include "columns/array.hpp"

namespace pystream::storage {

// String, binary, and fixed-width types of at least 4 bytes. Narrower ones would grow.
bool can_encode_dictionary(TypeId id);

// `array` (plain) dictionary-encoded, or nullopt where that does not pay: more than a quarter of
// the rows are distinct, or strings and their dictionary would take more bytes than before. Looks
// at a sample first, so that hopeless columns cost about 1,000 hashes.
std::optional<Array> encode_if_it_pays(const Array& array);

// The same without the question.
Array encode_always(const Array& array);

// An encoded array whose codes are all within the dictionary (also below nulls) and whose
// dictionary is rebuilt when more than half of its entries are unused; or any, in a type that has
// statistics, for these are taken from the entries. Returns `array` itself (shared) when nothing
// had to change.
Array compact_dictionary(const Array& array);

}  // namespace pystream::storage
