#include "row_indices.hpp"

#include <string>

namespace pystream::python {

namespace {

std::vector<int32_t> checked_indices(
    const py::array_t<int64_t, py::array::c_style | py::array::forcecast>& given, int64_t rows) {
  std::vector<int32_t> indices(static_cast<size_t>(given.size()));
  for (size_t i = 0; i < indices.size(); ++i) {
    const int64_t row = given.data()[i];
    if (row < 0 || row >= rows) {
      throw py::index_error("row " + std::to_string(row) + " does not exist in " +
                            std::to_string(rows) + " rows");
    }
    indices[i] = static_cast<int32_t>(row);
  }
  return indices;
}

}  // namespace

void check_range(int64_t begin, int64_t length, int64_t rows) {
  if (begin >= 0 && length >= 0 && begin <= rows && length <= rows - begin) return;
  throw py::index_error("rows [" + std::to_string(begin) + ", " + std::to_string(begin) + " + " +
                        std::to_string(length) + ") do not lie within " + std::to_string(rows) +
                        " rows");
}

std::vector<int32_t> indices_of(const py::array& given, int64_t rows) {
  // Only integers: numpy would round floats silently.
  const char kind = given.dtype().kind();
  if (given.ndim() != 1 || (kind != 'i' && kind != 'u')) {
    throw py::type_error("take() needs a one-dimensional array of integers");
  }
  return checked_indices(given, rows);
}

}  // namespace pystream::python
