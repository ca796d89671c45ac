#pragma once
// Which partition a record belongs to: Kafka's murmur2 over the bytes of its key. What those bytes
// are for each column type is specified in docs/formats/partitioning.md and stable for ever: it
// decides where the records of a key are, in this process, in others and in Kafka clients.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/murmur2.hpp"
#include "columns/record_batch.hpp"
#include "columns/row_builder.hpp"

namespace pystream::storage {

// The partition of a key's bytes, 0 <= result < partitions.
inline int32_t partition_of_key(std::string_view key, int32_t partitions) {
  return static_cast<int32_t>((murmur2(key.data(), key.size()) & 0x7fffffffu) %
                              static_cast<uint32_t>(partitions));
}

// The partition of a record without a key that has a sequence: runs of sequences go to one
// partition after the other, so that a record that is sent again comes to the same place.
inline constexpr int64_t kSequenceRun = 4096;
inline int32_t partition_of_sequence(int64_t sequence, int32_t partitions) {
  return static_cast<int32_t>(sequence / kSequenceRun % partitions);
}

// Appends the bytes of one key value to `out`: strings and binary as they are, numbers big endian
// in the width of their type.
void append_key_bytes(const Array& column, int64_t row, std::string* out);
void append_key_bytes(const DataType& type, const Cell& cell, std::string* out);

// As append_key_bytes, for a part of a key of several columns: int32 length, big endian, before
// the bytes; -1 alone for null.
void append_key_part(const Array& column, int64_t row, std::string* out);
void append_key_part(std::optional<std::string_view> bytes, std::string* out);

// The partition of each row. A row whose one key column is null, and every row when there are no
// key columns, has no key: it gets `keyless`.
std::vector<int32_t> partition_rows(const RecordBatch& batch, std::span<const int> key_columns,
                                    int32_t partitions, int32_t keyless);

// The rows of each partition, ascending; one entry per partition.
std::vector<std::vector<int32_t>> rows_by_partition(std::span<const int32_t> partition_of_row,
                                                    int32_t partitions);

}  // namespace pystream::storage
