#pragma once
// Minimum and maximum of a column, as its ColumnEntry stores them. Computed while the values are
// being checksummed, block by block, so that memory is read once.

#include <cstdint>

#include "columns/array.hpp"

namespace pystream::storage {

struct MinMax {
  bool has_value = false;  // false: no non-null value, or only NaN
  uint64_t minimum = 0;    // bits of int64, uint64 or double, by the column's type
  uint64_t maximum = 0;
};

// Fixed-width types except bool and decimal128.
bool has_statistics(TypeId id);

// Of the non-null values of a plain array whose type has_statistics(). NaN is left out. A minimum
// of zero is stored as -0.0 and a maximum as +0.0, so that the result does not depend on order.
MinMax min_max(const Array& array);

// The same, and the CRC32C of the array's values (nulls' bytes included).
MinMax min_max_and_crc(const Array& array, uint32_t* crc);

}  // namespace pystream::storage
