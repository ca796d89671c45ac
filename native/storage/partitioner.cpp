#include "storage/partitioner.hpp"

#include <bit>
#include <cmath>
#include <limits>

namespace pystream::storage {

namespace {

template <typename T>
void append_big_endian(T value, std::string* out) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out->append(std::reverse_iterator(bytes + sizeof(T)), std::reverse_iterator(bytes));
}

// Equal numbers must meet in one partition: -0.0 is 0.0, and every NaN is one.
template <typename T>
T canonical(T value) {
  if (std::isnan(value)) return std::numeric_limits<T>::quiet_NaN();
  return value == T{0} ? T{0} : value;
}

void append_fixed(const Array& column, int64_t row, std::string* out) {
  switch (column.type.id) {
    case TypeId::kBool:
      out->push_back(get_bit(column.values.data, row) ? '\1' : '\0');
      return;
    case TypeId::kFloat32:
      append_big_endian(canonical(column.data<float>()[row]), out);
      return;
    case TypeId::kFloat64:
      append_big_endian(canonical(column.data<double>()[row]), out);
      return;
    default:
      break;
  }
  switch (column.type.byte_width()) {
    case 1:
      append_big_endian(column.data<uint8_t>()[row], out);
      return;
    case 2:
      append_big_endian(column.data<uint16_t>()[row], out);
      return;
    case 4:
      append_big_endian(column.data<uint32_t>()[row], out);
      return;
    case 8:
      append_big_endian(column.data<uint64_t>()[row], out);
      return;
    default: {
      __extension__ using Wide = unsigned __int128;
      Wide value;
      std::memcpy(&value, column.values.data + row * 16, sizeof(value));
      append_big_endian(value, out);
    }
  }
}

// One hash per dictionary entry instead of one per row.
std::vector<int32_t> partition_encoded(const Array& column, int32_t partitions, int32_t keyless) {
  const Array& dictionary = *column.dictionary;
  std::vector<int32_t> of_entry(static_cast<size_t>(dictionary.length));
  std::string key;
  for (int64_t i = 0; i < dictionary.length; ++i) {
    key.clear();
    append_key_bytes(dictionary, i, &key);
    of_entry[static_cast<size_t>(i)] = partition_of_key(key, partitions);
  }
  std::vector<int32_t> result(static_cast<size_t>(column.length), keyless);
  const int32_t* codes = column.codes();
  for (int64_t i = 0; i < column.length; ++i) {
    if (column.is_valid(i)) {
      result[static_cast<size_t>(i)] = of_entry[static_cast<size_t>(codes[i])];
    }
  }
  return result;
}

std::vector<int32_t> partition_plain(const Array& column, int32_t partitions, int32_t keyless) {
  std::vector<int32_t> result(static_cast<size_t>(column.length), keyless);
  std::string key;
  for (int64_t i = 0; i < column.length; ++i) {
    if (!column.is_valid(i)) continue;
    if (column.type.is_var_binary()) {
      result[static_cast<size_t>(i)] = partition_of_key(column.view(i), partitions);
      continue;
    }
    key.clear();
    append_key_bytes(column, i, &key);
    result[static_cast<size_t>(i)] = partition_of_key(key, partitions);
  }
  return result;
}

}  // namespace

void append_key_bytes(const Array& column, int64_t row, std::string* out) {
  if (column.is_encoded()) return append_key_bytes(*column.dictionary, column.codes()[row], out);
  if (column.type.is_var_binary()) {
    out->append(column.view(row));
  } else {
    append_fixed(column, row, out);
  }
}

void append_key_part(std::optional<std::string_view> bytes, std::string* out) {
  append_big_endian(bytes ? static_cast<int32_t>(bytes->size()) : int32_t{-1}, out);
  if (bytes) out->append(*bytes);
}

void append_key_part(const Array& column, int64_t row, std::string* out) {
  if (!column.is_valid(row)) return append_key_part(std::nullopt, out);
  std::string bytes;
  append_key_bytes(column, row, &bytes);
  append_key_part(std::string_view(bytes), out);
}

std::vector<int32_t> partition_rows(const RecordBatch& batch, std::span<const int> key_columns,
                                    int32_t partitions, int32_t keyless) {
  if (key_columns.empty()) {
    return std::vector<int32_t>(static_cast<size_t>(batch.num_rows), keyless);
  }
  if (key_columns.size() == 1) {
    const Array& column = batch.columns[static_cast<size_t>(key_columns[0])];
    return column.is_encoded() ? partition_encoded(column, partitions, keyless)
                               : partition_plain(column, partitions, keyless);
  }
  std::vector<int32_t> result(static_cast<size_t>(batch.num_rows));
  std::string key;
  for (int64_t i = 0; i < batch.num_rows; ++i) {
    key.clear();
    for (const int index : key_columns) {
      append_key_part(batch.columns[static_cast<size_t>(index)], i, &key);
    }
    result[static_cast<size_t>(i)] = partition_of_key(key, partitions);
  }
  return result;
}

std::vector<std::vector<int32_t>> rows_by_partition(std::span<const int32_t> partition_of_row,
                                                    int32_t partitions) {
  std::vector<size_t> counts(static_cast<size_t>(partitions));
  for (const int32_t partition : partition_of_row) ++counts[static_cast<size_t>(partition)];
  std::vector<std::vector<int32_t>> rows(static_cast<size_t>(partitions));
  for (size_t p = 0; p < rows.size(); ++p) rows[p].reserve(counts[p]);
  for (size_t i = 0; i < partition_of_row.size(); ++i) {
    rows[static_cast<size_t>(partition_of_row[i])].push_back(static_cast<int32_t>(i));
  }
  return rows;
}

}  // namespace pystream::storage
