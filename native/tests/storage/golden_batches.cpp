#include "golden_batches.hpp"

#include <cassert>
#include <cstring>
#include <limits>

#include "columns/builder.hpp"

namespace pystream::storage {

namespace {

template <typename T>
Array fixed(const char* type, const std::vector<std::optional<T>>& values) {
  FixedBuilder<T> builder(DataType::parse(type));
  for (const auto& value : values) value ? builder.append(*value) : builder.append_null();
  return builder.finish();
}

Array text(const char* type, const std::vector<std::optional<std::string>>& values) {
  VarBinaryBuilder builder(DataType::parse(type));
  for (const auto& value : values) value ? builder.append(*value) : builder.append_null();
  return builder.finish();
}

Array bools(const std::vector<bool>& values) {
  BitmapBuilder builder;
  for (bool value : values) builder.append(value);
  Array array;
  array.type = DataType::of(TypeId::kBool);
  array.length = static_cast<int64_t>(values.size());
  array.values = builder.finish();
  return array;
}

RecordBatch named(std::vector<std::pair<std::string, Array>> columns) {
  auto schema = std::make_shared<Schema>();
  RecordBatch batch;
  for (auto& [name, array] : columns) {
    schema->fields.push_back({name, array.type, true});
    batch.num_rows = array.length;
    batch.columns.push_back(std::move(array));
  }
  batch.schema = std::move(schema);
  return batch;
}

Timestamps at(int64_t us) {
  Timestamps timestamps;
  timestamps.constant_us = us;
  return timestamps;
}

// The worked example of docs/formats/segment.md.
GoldenBatch example() {
  return {.name = "example",
          .batch = named({{"n", fixed<int64_t>("int64", {1, 2})}}),
          .timestamps = at(1'600'000'000'000'000)};
}

GoldenBatch every_type() {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  return {.name = "every-type",
          .batch = named({
              {"bool", bools({true, false, true})},
              {"int8", fixed<int8_t>("int8", {-128, {}, 127})},
              {"int16", fixed<int16_t>("int16", {-1, 0, 1})},
              {"int32", fixed<int32_t>("int32", {1, {}, 3})},
              {"int64", fixed<int64_t>("int64", {INT64_MIN, 0, INT64_MAX})},
              {"uint8", fixed<uint8_t>("uint8", {0, 1, 255})},
              {"uint16", fixed<uint16_t>("uint16", {0, 1, 65535})},
              {"uint32", fixed<uint32_t>("uint32", {0, 1, UINT32_MAX})},
              {"uint64", fixed<uint64_t>("uint64", {0, 1, UINT64_MAX})},
              {"float32", fixed<float>("float32", {-1.5f, {}, 0.25f})},
              {"float64", fixed<double>("float64", {nan, -0.0, 2.5})},
              {"decimal128", fixed<__int128>("decimal128(20, 2)", {{-1}, {0}, {12345}})},
              {"timestamp", fixed<int64_t>("timestamp[ms, UTC]", {-1, 0, 1})},
              {"date32", fixed<int32_t>("date32", {-719162, 0, 20000})},
              {"duration", fixed<int64_t>("duration[ns]", {5, 6, {}})},
              {"string", text("string", {"grün", {}, ""})},
              {"binary", text("binary", {std::string("\0\xff", 2), "x", "yz"})},
          }),
          .timestamps = at(-1)};
}

GoldenBatch dictionaries() {
  Array declared = text("string", {"b", {}, "a", "b", "b", "b", "b", "b"});
  declared.type = DataType::parse("dictionary<string>");
  const std::optional<std::string> ann = "ann";
  const std::optional<std::string> bob = "bob";
  EncodeOptions options;
  options.key_columns = {1};
  return {.name = "dictionaries",
          .batch = named({
              {"user", text("string", {ann, ann, bob, ann, {}, bob, ann, ann})},
              {"account", fixed<int64_t>("int64", {9, 9, -4, 9, -4, 9, 9, 9})},
              {"city", encode_dictionary(declared)},
          }),
          .timestamps = at(0),
          .options = options};
}

GoldenBatch no_buffers() {
  return {.name = "constants-and-nulls",
          .batch = named({
              {"constant", fixed<int64_t>("timestamp[us]", {-7, -7, -7})},
              {"nulls", make_nulls(DataType::parse("float64"), 3)},
              {"null_strings", make_nulls(DataType::parse("string"), 3)},
          }),
          .timestamps = at(5)};
}

GoldenBatch kafka_shaped() {
  GoldenBatch golden{.name = "kafka-shaped",
                     .batch = named({
                         {"key", text("binary", {"k1", {}, "k3"})},
                         {"value", text("binary", {"v1", "value two", {}})},
                     })};
  golden.timestamps.per_record = fixed<int64_t>("int64", {300, 100, 200});
  golden.headers = text("binary", {std::string("\2\2a\2x", 5), {}, ""});
  golden.options.producer_id = 12;
  golden.options.producer_epoch = 3;
  golden.options.base_sequence = 400;
  golden.options.transaction_id = 55;
  golden.options.schema_id = 9;
  golden.options.flags = kFlagTransactional | kFlagTombstones;
  return golden;
}

GoldenBatch append_time() {
  return {.name = "append-time",
          .batch = named({{"n", fixed<int32_t>("int32", {1, 2, 3})}}),
          .options = {.flags = kFlagAppendTime}};
}

// Of a producer with a name, behind others of its records in other partitions.
GoldenBatch sequences() {
  GoldenBatch golden{.name = "sequences",
                     .batch = named({{"n", fixed<int32_t>("int32", {7, 8, 9})}}),
                     .timestamps = at(2)};
  golden.sequences = fixed<int64_t>("int64", {1000, 1001, 1005});
  golden.options.producer_id = int64_t{1} << 61;
  golden.options.producer_epoch = 40'000;
  golden.options.base_sequence = 1000;
  golden.options.sequence_lag = -2;
  return golden;
}

GoldenBatch compressed() {
  std::vector<std::optional<int64_t>> numbers;
  std::vector<std::optional<std::string>> words;
  for (int i = 0; i < 200; ++i) {
    numbers.push_back(i / 40);
    words.push_back("word number " + std::to_string(i));
  }
  return {.name = "lz4",
          .batch = named({{"n", fixed<int64_t>("int64", numbers)}, {"w", text("string", words)}}),
          .timestamps = at(1),
          .options = {.codec = Codec::kLz4},
          .is_reproducible = false};
}

}  // namespace

std::vector<GoldenBatch> golden_batches() {
  return {example(),      every_type(),  dictionaries(), no_buffers(),
          kafka_shaped(), append_time(), sequences(),    compressed()};
}

Buffer golden_bytes(const GoldenBatch& golden) {
  EncodedBatch encoded =
      encode_batch(golden.batch, golden.timestamps, golden.headers ? &*golden.headers : nullptr,
                   golden.options, golden.sequences ? &*golden.sequences : nullptr);
  stamp_batch(&encoded, kGoldenStamp);
  return assemble(encoded);
}

Buffer assemble(const EncodedBatch& batch) {
  MutableBuffer bytes(batch.total_length);
  std::memset(bytes.data(), 0, static_cast<size_t>(batch.total_length));
  std::memcpy(bytes.data(), batch.head.data(), batch.head.size());
  auto position = static_cast<int64_t>(batch.head.size());
  for (const Buffer& buffer : batch.body) {
    if (buffer.size > 0) {
      std::memcpy(bytes.data() + position, buffer.data, static_cast<size_t>(buffer.size));
    }
    position += round_up_64(buffer.size);
  }
  assert(position == batch.total_length);
  return bytes.freeze();
}

}  // namespace pystream::storage
