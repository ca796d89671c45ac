#pragma once
// Builds columns row by row, for producers of single records. A row is staged as cells and then
// appended whole, so that no failure can leave the columns at different lengths.
//
// Owned by one producer; one thread at a time. Nothing survives a crash.

#include <cstdint>
#include <vector>

#include "columns/array.hpp"

namespace pystream {

// One value on its way into a column, already checked against the column's type and range.
struct Cell {
  bool is_null = false;
  int64_t integer = 0;  // bool, integers (unsigned by their bits), times; low half of a decimal
  int64_t high = 0;     // high half of a decimal
  double real = 0;
  const char* data = nullptr;  // string and binary; needed until append() returns
  int64_t size = 0;
};

class RowBuilder {
 public:
  // Of any type that a topic can hold, so not of lists.
  explicit RowBuilder(const std::vector<DataType>& types);

  // Appends one row, a cell per column. Throws kRecordTooLarge when a string or binary column would
  // pass 2 GiB; then, and when memory is short, nothing of the row was appended.
  void append(const Cell* cells);

  int64_t rows() const { return rows_; }
  // Bytes that the rows take, roughly as stored.
  int64_t bytes() const { return rows_ * row_width_ + var_bytes_; }

  // The columns so far; the builder is empty afterwards and may be used again.
  std::vector<Array> finish();

 private:
  // How a value is stored: decided once per column.
  enum class Store : uint8_t { kBit, k1, k2, k4, k8, k16, kFloat, kDouble, kVar };

  struct Column {
    DataType type;
    Store store = Store::k8;
    MutableBuffer values;    // bits, fixed-width values, or the bytes of strings
    MutableBuffer offsets;   // strings: begin of each row, and the end
    MutableBuffer validity;  // filled from the first null on
    int64_t null_count = 0;
  };

  static Store store_of(const DataType& type);
  void grow();
  void reserve_bytes(Column* column, const Cell& cell);
  void set_null(Column* column);
  void store(Column* column, const Cell& cell);
  Array finish_column(Column* column);

  std::vector<Column> columns_;
  int64_t row_width_ = 0;
  int64_t var_bytes_ = 0;
  int64_t rows_ = 0;
  int64_t capacity_ = 0;  // rows that the buffers hold without growing, bytes of strings apart
};

}  // namespace pystream
