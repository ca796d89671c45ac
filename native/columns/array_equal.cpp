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

bool equal_cells(const Cell& left, const Cell& right) {
  const DataType& type = left.values->type;
  if (type.is_var_binary()) return left.values->view(left.at) == right.values->view(right.at);
  if (type.is_bool()) {
    return get_bit(left.values->values.data, left.at) ==
           get_bit(right.values->values.data, right.at);
  }
  const int64_t width = type.byte_width();
  return std::memcmp(left.values->values.data + left.at * width,
                     right.values->values.data + right.at * width, static_cast<size_t>(width)) == 0;
}

}  // namespace

bool equal_rows(const Array& left, const Array& right) {
  if (left.type != right.type || left.length != right.length ||
      left.null_count != right.null_count) {
    return false;
  }
  for (int64_t i = 0; i < left.length; ++i) {
    if (left.is_valid(i) != right.is_valid(i)) return false;
    if (left.is_valid(i) && !equal_cells(cell(left, i), cell(right, i))) return false;
  }
  return true;
}

}  // namespace pystream
