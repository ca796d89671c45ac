#include "storage/batch_limits.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "base/error.hpp"

namespace pystream::storage {

namespace {

// Per row, apart from string and binary content. A validity bit counts as a byte.
int64_t fixed_bytes(const Array& column) {
  const int64_t validity = column.null_count > 0 ? 1 : 0;
  if (column.is_encoded() || column.type.is_var_binary()) return validity + 4;
  return validity + std::max(1, column.type.byte_width());
}

int64_t var_bytes_between(const Array& column, int64_t begin, int64_t end) {
  if (column.is_encoded() || !column.type.is_var_binary()) return 0;
  const int32_t* offsets = column.offsets.as<int32_t>();
  return offsets[end] - offsets[begin];
}

void add_var_bytes(const Array& column, std::vector<int64_t>* sizes) {
  if (!column.type.is_var_binary()) return;
  const Array& values = column.is_encoded() ? *column.dictionary : column;
  const int32_t* offsets = values.offsets.as<int32_t>();
  for (int64_t row = 0; row < column.length; ++row) {
    if (!column.is_valid(row)) continue;
    const int64_t at = column.is_encoded() ? column.codes()[row] : row;
    (*sizes)[static_cast<size_t>(row)] += offsets[at + 1] - offsets[at];
  }
}

}  // namespace

void check_record_sizes(const RecordBatch& batch, const Array* headers, const BatchLimits& limits) {
  int64_t total = 0;
  int64_t row_bytes = 8;
  const auto count = [&](const Array& column) {
    total += referenced_bytes(column);
    row_bytes += fixed_bytes(column);
  };
  for (const Array& column : batch.columns) count(column);
  if (headers != nullptr) count(*headers);
  if (total + row_bytes <= limits.max_record_bytes) return;  // no record is larger than all of them

  std::vector<int64_t> sizes(static_cast<size_t>(batch.num_rows), row_bytes);
  for (const Array& column : batch.columns) add_var_bytes(column, &sizes);
  if (headers != nullptr) add_var_bytes(*headers, &sizes);
  const auto largest = std::max_element(sizes.begin(), sizes.end());
  if (largest == sizes.end() || *largest <= limits.max_record_bytes) return;
  const int64_t row = largest - sizes.begin();
  throw Error(ErrorCode::kRecordTooLarge,
              "record " + std::to_string(row) + " of the batch takes " + std::to_string(*largest) +
                  " bytes, more than max_record_bytes=" + std::to_string(limits.max_record_bytes) +
                  ". Send smaller records, or raise the limit.",
              {{"row", row}, {"size", *largest}, {"limit", limits.max_record_bytes}});
}

BatchCutter::BatchCutter(const RecordBatch& batch, const Array* headers, const BatchLimits& limits)
    : batch_(batch), headers_(headers), limits_(limits) {
  const auto add = [&](const Array& column) {
    row_bytes_ += fixed_bytes(column);
    if (column.is_encoded()) dictionary_bytes_ += referenced_bytes(*column.dictionary);
  };
  for (const Array& column : batch.columns) add(column);
  if (headers != nullptr) add(*headers);
}

int64_t BatchCutter::next_end(int64_t begin) const {
  int64_t longest = std::min(batch_.num_rows, begin + limits_.max_batch_rows);
  const int64_t budget = limits_.max_batch_bytes - dictionary_bytes_;
  if (bytes_between(begin, longest) <= budget) return longest;
  int64_t fits = begin + 1;
  while (longest - fits > 1) {  // [begin, fits) is allowed, [begin, longest) is too much
    const int64_t middle = fits + (longest - fits) / 2;
    (bytes_between(begin, middle) <= budget ? fits : longest) = middle;
  }
  return fits;
}

int64_t BatchCutter::bytes_between(int64_t begin, int64_t end) const {
  int64_t bytes = (end - begin) * row_bytes_;
  for (const Array& column : batch_.columns) bytes += var_bytes_between(column, begin, end);
  if (headers_ != nullptr) bytes += var_bytes_between(*headers_, begin, end);
  return bytes;
}

RecordBatch without_large_dictionaries(const RecordBatch& batch, const BatchLimits& limits) {
  RecordBatch result = batch;
  int64_t budget = limits.max_batch_bytes / 2;
  for (Array& column : result.columns) {
    if (!column.is_encoded()) continue;
    const int64_t bytes = referenced_bytes(*column.dictionary);
    if (bytes > budget) {
      column = decode_dictionary(column);
    } else {
      budget -= bytes;
    }
  }
  return result;
}

}  // namespace pystream::storage
