#include <cstring>

#include "columns/array.hpp"

namespace pystream {

namespace {

// Where the value of row i stands: in the array itself or in its dictionary.
struct Cell {
  const Array* values;
  int64_t at;
};

Cell cell(const Array& array, int64_t i) {
  if (array.is_encoded()) return {array.dictionary.get(), array.codes()[i]};
  return {&array, i};
}

bool equal_lists(const Cell& left, const Cell& right);

bool equal_cells(const Cell& left, const Cell& right) {
  const DataType& type = left.values->type;
  if (type.is_list()) return equal_lists(left, right);
  if (type.is_var_binary()) return left.values->view(left.at) == right.values->view(right.at);
  if (type.is_bool()) {
    return get_bit(left.values->values.data, left.at) ==
           get_bit(right.values->values.data, right.at);
  }
  const int64_t width = type.byte_width();
  return std::memcmp(left.values->values.data + left.at * width,
                     right.values->values.data + right.at * width, static_cast<size_t>(width)) == 0;
}

// Rows [left_at, left_at + count) and [right_at, ...).
bool equal_ranges(const Array& left, int64_t left_at, const Array& right, int64_t right_at,
                  int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const bool is_valid = left.is_valid(left_at + i);
    if (is_valid != right.is_valid(right_at + i)) return false;
    if (is_valid && !equal_cells(cell(left, left_at + i), cell(right, right_at + i))) return false;
  }
  return true;
}

bool equal_lists(const Cell& left, const Cell& right) {
  const int32_t* a = left.values->offsets.as<int32_t>() + left.at;
  const int32_t* b = right.values->offsets.as<int32_t>() + right.at;
  return a[1] - a[0] == b[1] - b[0] &&
         equal_ranges(*left.values->elements, a[0], *right.values->elements, b[0], a[1] - a[0]);
}

}  // namespace

bool equal_rows(const Array& left, const Array& right) {
  if (left.type != right.type || left.length != right.length ||
      left.null_count != right.null_count) {
    return false;
  }
  return equal_ranges(left, 0, right, 0, left.length);
}

}  // namespace pystream
