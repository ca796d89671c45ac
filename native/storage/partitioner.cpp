#include "storage/partitioner.hpp"

#include <bit>
#include <cmath>
#include <limits>

namespace pystream::storage {

namespace {

__extension__ using Wide = unsigned __int128;

uint16_t big_endian(uint16_t value) { return __builtin_bswap16(value); }
uint32_t big_endian(uint32_t value) { return __builtin_bswap32(value); }
uint64_t big_endian(uint64_t value) { return __builtin_bswap64(value); }
Wide big_endian(Wide value) {
  return (Wide{__builtin_bswap64(static_cast<uint64_t>(value))} << 64) |
         __builtin_bswap64(static_cast<uint64_t>(value >> 64));
}

template <typename T>
T load(const Array& column, int64_t row) {
  T value;
  std::memcpy(&value, column.values.data + row * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

// Equal numbers must meet in one partition: -0.0 is 0.0, and every NaN is one.
template <typename T>
T canonical(T value) {
  if (std::isnan(value)) return std::numeric_limits<T>::quiet_NaN();
  return value == T{0} ? T{0} : value;
}

// Calls body(key_of), where key_of(row) is an integer whose memory is the key's bytes: the type is
// looked at once per column, and murmur2 knows the length.
template <typename Body>
void with_fixed_keys(const Array& column, const Body& body) {
  switch (column.type.id) {
    case TypeId::kBool:
      return body([&](int64_t row) { return uint8_t{get_bit(column.values.data, row)}; });
    case TypeId::kFloat32:
      return body([&](int64_t row) {
        return big_endian(std::bit_cast<uint32_t>(canonical(load<float>(column, row))));
      });
    case TypeId::kFloat64:
      return body([&](int64_t row) {
        return big_endian(std::bit_cast<uint64_t>(canonical(load<double>(column, row))));
      });
    default:
      break;
  }
  switch (column.type.byte_width()) {
    case 1:
      return body([&](int64_t row) { return load<uint8_t>(column, row); });
    case 2:
      return body([&](int64_t row) { return big_endian(load<uint16_t>(column, row)); });
    case 4:
      return body([&](int64_t row) { return big_endian(load<uint32_t>(column, row)); });
    case 8:
      return body([&](int64_t row) { return big_endian(load<uint64_t>(column, row)); });
    default:
      return body([&](int64_t row) { return big_endian(load<Wide>(column, row)); });
  }
}

template <typename T>
void append_bytes(T value, std::string* out) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out->append(bytes, sizeof(T));
}

std::vector<int32_t> partition_plain(const Array& column, int32_t partitions, int32_t keyless) {
  std::vector<int32_t> result(static_cast<size_t>(column.length), keyless);
  if (column.type.is_var_binary()) {
    for (int64_t i = 0; i < column.length; ++i) {
      if (!column.is_valid(i)) continue;
      result[static_cast<size_t>(i)] = partition_of_key(column.view(i), partitions);
    }
    return result;
  }
  with_fixed_keys(column, [&](const auto& key_of) {
    for (int64_t i = 0; i < column.length; ++i) {
      if (!column.is_valid(i)) continue;
      const auto key = key_of(i);
      result[static_cast<size_t>(i)] =
          partition_of_key({reinterpret_cast<const char*>(&key), sizeof(key)}, partitions);
    }
  });
  return result;
}

// One hash per dictionary entry instead of one per row.
std::vector<int32_t> partition_encoded(const Array& column, int32_t partitions, int32_t keyless) {
  const std::vector<int32_t> of_entry = partition_plain(*column.dictionary, partitions, keyless);
  std::vector<int32_t> result(static_cast<size_t>(column.length), keyless);
  const int32_t* codes = column.codes();
  for (int64_t i = 0; i < column.length; ++i) {
    if (column.is_valid(i)) {
      result[static_cast<size_t>(i)] = of_entry[static_cast<size_t>(codes[i])];
    }
  }
  return result;
}

}  // namespace

void append_key_bytes(const Array& column, int64_t row, std::string* out) {
  if (column.is_encoded()) return append_key_bytes(*column.dictionary, column.codes()[row], out);
  if (column.type.is_var_binary()) {
    out->append(column.view(row));
  } else {
    with_fixed_keys(column, [&](const auto& key_of) { append_bytes(key_of(row), out); });
  }
}

void append_key_bytes(const DataType& type, const Cell& cell, std::string* out) {
  if (type.is_var_binary()) {
    out->append(cell.data, static_cast<size_t>(cell.size));
    return;
  }
  // The value as it would lie in a column; integers are little endian there, whatever their width.
  uint8_t value[16];
  std::memcpy(value, &cell.integer, 8);
  std::memcpy(value + 8, &cell.high, 8);
  if (type.id == TypeId::kFloat64) std::memcpy(value, &cell.real, 8);
  if (type.id == TypeId::kFloat32) {
    const auto single = static_cast<float>(cell.real);
    std::memcpy(value, &single, 4);
  }
  Array column;
  column.type = type;
  column.length = 1;
  column.values = {value, sizeof(value), nullptr};
  append_key_bytes(column, 0, out);
}

void append_key_part(std::optional<std::string_view> bytes, std::string* out) {
  const int32_t length = bytes ? static_cast<int32_t>(bytes->size()) : -1;
  append_bytes(big_endian(static_cast<uint32_t>(length)), out);
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
