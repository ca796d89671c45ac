#pragma once
// Shared by the format tests: random columns of every type, and a batch as the log would store it.

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "columns/builder.hpp"
#include "golden_batches.hpp"
#include "storage/batch_encoder.hpp"
#include "storage/log_batch.hpp"

namespace pystream::storage {

using Random = std::mt19937_64;

inline std::vector<DataType> all_types() {
  std::vector<DataType> types;
  for (const char* text :
       {"bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32",
        "float64", "decimal128(30, 4)", "timestamp[ms, UTC]", "timestamp[ns]", "date32",
        "duration[s]", "string", "binary", "dictionary<string>"}) {
    types.push_back(DataType::parse(text));
  }
  return types;
}

struct ColumnShape {
  int64_t length = 0;
  double null_share = 0;
  uint64_t distinct = 0;  // 0: any value
};

template <typename T>
Array random_fixed(const DataType& type, const ColumnShape& shape, Random& random) {
  FixedBuilder<T> builder(type);
  for (int64_t i = 0; i < shape.length; ++i) {
    if (static_cast<double>(random() % 1000) < shape.null_share * 1000) {
      builder.append_null();
      continue;
    }
    const uint64_t pick = shape.distinct == 0 ? random() : random() % shape.distinct;
    if constexpr (std::is_floating_point_v<T>) {
      builder.append(pick % 17 == 3 ? std::numeric_limits<T>::quiet_NaN()
                                    : static_cast<T>(static_cast<int64_t>(pick)) / T{7});
    } else {
      builder.append(static_cast<T>(pick));
    }
  }
  return builder.finish();
}

inline Array random_strings(const DataType& type, const ColumnShape& shape, Random& random) {
  DataType plain = type;
  plain.is_dictionary = false;
  VarBinaryBuilder builder(plain);
  for (int64_t i = 0; i < shape.length; ++i) {
    if (static_cast<double>(random() % 1000) < shape.null_share * 1000) {
      builder.append_null();
      continue;
    }
    const uint64_t pick = shape.distinct == 0 ? random() : random() % shape.distinct;
    std::string value(pick % 30, static_cast<char>('a' + pick % 26));
    if (pick % 5 != 0) value += std::to_string(pick);
    builder.append(value);
  }
  Array array = builder.finish();
  array.type = type;
  return type.is_dictionary ? encode_dictionary(array) : array;
}

inline Array random_bools(const ColumnShape& shape, Random& random) {
  BitmapBuilder values;
  BitmapBuilder validity;
  for (int64_t i = 0; i < shape.length; ++i) {
    values.append((random() & 1) != 0);
    validity.append(static_cast<double>(random() % 1000) >= shape.null_share * 1000);
  }
  Array array;
  array.type = DataType::of(TypeId::kBool);
  array.length = shape.length;
  array.values = values.finish();
  array.null_count = shape.length - validity.ones();
  if (array.null_count > 0) array.validity = validity.finish();
  return array;
}

inline Array random_array(const DataType& type, const ColumnShape& shape, Random& random) {
  if (type.is_var_binary()) return random_strings(type, shape, random);
  switch (type.id) {
    case TypeId::kBool:
      return random_bools(shape, random);
    case TypeId::kInt8:
      return random_fixed<int8_t>(type, shape, random);
    case TypeId::kInt16:
      return random_fixed<int16_t>(type, shape, random);
    case TypeId::kInt32:
    case TypeId::kDate32:
      return random_fixed<int32_t>(type, shape, random);
    case TypeId::kUInt8:
      return random_fixed<uint8_t>(type, shape, random);
    case TypeId::kUInt16:
      return random_fixed<uint16_t>(type, shape, random);
    case TypeId::kUInt32:
      return random_fixed<uint32_t>(type, shape, random);
    case TypeId::kUInt64:
      return random_fixed<uint64_t>(type, shape, random);
    case TypeId::kFloat32:
      return random_fixed<float>(type, shape, random);
    case TypeId::kFloat64:
      return random_fixed<double>(type, shape, random);
    case TypeId::kDecimal128:
      return random_fixed<__int128>(type, shape, random);
    default:
      return random_fixed<int64_t>(type, shape, random);
  }
}

inline RecordBatch make_batch(const std::vector<Array>& columns) {
  auto schema = std::make_shared<Schema>();
  for (size_t i = 0; i < columns.size(); ++i) {
    std::string name = "c";
    name += std::to_string(i);
    schema->fields.push_back({name, columns[i].type, true});
  }
  return {schema, columns.empty() ? 0 : columns[0].length, columns};
}

template <typename T>
Array fixed_array(const DataType& type, const std::vector<T>& values) {
  FixedBuilder<T> builder(type);
  for (T value : values) builder.append(value);
  return builder.finish();
}

inline Array int64_array(const std::vector<int64_t>& values) {
  return fixed_array<int64_t>(DataType::of(TypeId::kInt64), values);
}

inline Array string_array(const std::vector<std::string>& values) {
  VarBinaryBuilder builder(DataType::of(TypeId::kString));
  for (const std::string& value : values) builder.append(value);
  return builder.finish();
}

inline constexpr Stamp kTestStamp = kGoldenStamp;

inline Buffer store(const RecordBatch& batch, const EncodeOptions& options = {},
                    const Timestamps& timestamps = {}, const Array* headers = nullptr) {
  EncodedBatch encoded = encode_batch(batch, timestamps, headers, options);
  stamp_batch(&encoded, kTestStamp);
  return assemble(encoded);
}

inline std::shared_ptr<const SegmentPlace> test_place() {
  return std::make_shared<const SegmentPlace>(SegmentPlace{"orders", 3, "/data/0.seg"});
}

inline HeaderStatus parse(const Buffer& bytes, ParsedHeader* parsed) {
  return parse_header({bytes.data, static_cast<size_t>(bytes.size)}, kTestStamp.salt,
                      kTestStamp.file_position, parsed);
}

// A batch over `bytes`, which must parse.
inline LogBatch open_batch(const Buffer& bytes, const SchemaPtr& schema,
                           std::atomic<uint64_t>* verified = nullptr) {
  ParsedHeader parsed;
  EXPECT_EQ(parse(bytes, &parsed), HeaderStatus::kOk);
  return LogBatch({bytes.data, static_cast<size_t>(bytes.size)}, parsed, bytes.owner, schema,
                  test_place(), kTestStamp.file_position, verified, nullptr);
}

inline void expect_equal_batches(const RecordBatch& left, const RecordBatch& right) {
  ASSERT_EQ(left.num_rows, right.num_rows);
  ASSERT_EQ(left.columns.size(), right.columns.size());
  for (size_t i = 0; i < left.columns.size(); ++i) {
    EXPECT_TRUE(equal_rows(left.columns[i], right.columns[i]))
        << "column " << i << " of type " << left.columns[i].type.to_string();
  }
}

}  // namespace pystream::storage
