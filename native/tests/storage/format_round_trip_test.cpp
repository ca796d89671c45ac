// What goes into a batch comes out of it: every type, encoding and codec.

#include <gtest/gtest.h>

#include "format_testing.hpp"

namespace pystream::storage {
namespace {

const ColumnEntry& entry_of(const Buffer& bytes, size_t index) {
  return reinterpret_cast<const ColumnEntry*>(bytes.data + sizeof(BatchHeader))[index];
}

TEST(FormatRoundTrip, RandomBatchesOfEveryType) {
  for (uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    ColumnShape shape;
    shape.length = static_cast<int64_t>(1 + random() % (seed % 10 == 0 ? 5000 : 130));
    std::vector<Array> columns;
    for (const DataType& type : all_types()) {
      shape.null_share = std::vector<double>{0, 0, 0.3, 1}[random() % 4];
      shape.distinct = std::vector<uint64_t>{0, 1, 5, 100}[random() % 4];
      columns.push_back(random_array(type, shape, random));
    }
    RecordBatch batch = make_batch(columns);
    if (random() % 2 == 0) {  // offsets and bitmaps that begin in the middle
      const auto begin = static_cast<int64_t>(random() % static_cast<uint64_t>(shape.length));
      batch = batch.slice(begin, shape.length - begin);
    }
    EncodeOptions options;
    options.codec = random() % 2 == 0 ? Codec::kNone : Codec::kLz4;
    options.dictionary = random() % 3 == 0 ? DictionaryPolicy::kNever : DictionaryPolicy::kAuto;
    for (int i = 0; i < batch.schema->size(); ++i) {
      if (random() % 2 == 0) options.key_columns.push_back(i);
    }
    const Buffer bytes = store(batch, options);
    const LogBatch stored = open_batch(bytes, batch.schema);
    expect_equal_batches(stored.read_all(), batch);
    expect_equal_batches(stored.read_all(Verify::kNever), batch);
    EXPECT_EQ(stored.record_count(), batch.num_rows);
    EXPECT_EQ(stored.base_offset(), 1000);
    EXPECT_EQ(stored.next_offset(), 1000 + batch.num_rows);
    EXPECT_EQ(stored.append_sequence(), 77u);
  }
}

TEST(FormatRoundTrip, EqualRowsAreEqualBytesWhateverLiesBehindThem) {
  Random random(1);
  const ColumnShape shape{.length = 203, .null_share = 0.2};
  std::vector<Array> columns;
  for (const DataType& type : all_types()) columns.push_back(random_array(type, shape, random));
  const RecordBatch batch = make_batch(columns);
  const RecordBatch view = batch.slice(0, 101);  // shares buffers: row 101 follows its last bits
  std::vector<int32_t> rows(101);
  for (int32_t i = 0; i < 101; ++i) rows[static_cast<size_t>(i)] = i;
  const Buffer of_view = store(view);
  const Buffer of_copy = store(batch.take(rows));
  ASSERT_EQ(of_view.size, of_copy.size);
  EXPECT_EQ(std::memcmp(of_view.data, of_copy.data, static_cast<size_t>(of_view.size)), 0);
}

TEST(FormatRoundTrip, PlainBuffersAreReferencedWhenWritingAndReading) {
  const Array values = int64_array({1, 2, 3});
  EncodedBatch encoded = encode_batch(make_batch({values}), {}, nullptr, {});
  ASSERT_EQ(encoded.body.size(), 1u);
  EXPECT_EQ(encoded.body[0].data, values.values.data);
  stamp_batch(&encoded, kTestStamp);
  const Buffer bytes = assemble(encoded);
  const Array read = open_batch(bytes, make_batch({values}).schema).column(0);
  EXPECT_GE(read.values.data, bytes.data);
  EXPECT_LT(read.values.data, bytes.data + bytes.size);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(read.values.data) % 64, 0u);
}

TEST(FormatRoundTrip, ViewsOutliveTheBatch) {
  const RecordBatch batch = make_batch({int64_array({1, 2, 3}), string_array({"a", "bb", "c"})});
  RecordBatch read;
  {
    const Buffer bytes = store(batch);
    read = open_batch(bytes, batch.schema).read_all();
  }
  expect_equal_batches(read, batch);
}

TEST(FormatRoundTrip, ConstantAndAllNullColumnsHaveNoBuffers) {
  const DataType type = DataType::timestamp(TimeUnit::kMilli);
  const RecordBatch batch = make_batch({fixed_array<int64_t>(type, {-5, -5, -5, -5}),
                                        make_nulls(DataType::of(TypeId::kString), 4),
                                        make_nulls(DataType::parse("dictionary<string>"), 4)});
  const Buffer bytes = store(batch);
  EXPECT_EQ(entry_of(bytes, 0).encoding, Encoding::kConstant);
  EXPECT_EQ(entry_of(bytes, 1).encoding, Encoding::kAllNull);
  EXPECT_EQ(entry_of(bytes, 2).encoding, Encoding::kAllNull);
  const LogBatch stored = open_batch(bytes, batch.schema);
  EXPECT_EQ(stored.header().buffer_count, 0u);
  expect_equal_batches(stored.read_all(), batch);
  EXPECT_TRUE(stored.column(2).is_encoded());
}

TEST(FormatRoundTrip, DeclaredDictionariesStayEncodedEvenWhenItDoesNotPay) {
  Array array = string_array({"a", "b", "c"});
  array.type = DataType::parse("dictionary<string>");
  EncodeOptions options;
  options.dictionary = DictionaryPolicy::kNever;
  for (const Array& input : {array, encode_dictionary(array)}) {
    const RecordBatch batch = make_batch({input});
    const Buffer bytes = store(batch, options);
    const Array read = open_batch(bytes, batch.schema).column(0);
    ASSERT_TRUE(read.is_encoded());
    EXPECT_EQ(read.type, input.type);
    EXPECT_FALSE(read.dictionary->type.is_dictionary);
    EXPECT_TRUE(equal_rows(read, input));
  }
}

TEST(FormatRoundTrip, RepetitiveStringsAndKeysAreDictionaryEncoded) {
  std::vector<std::string> names;
  std::vector<int64_t> ids;
  for (int i = 0; i < 1000; ++i) {
    names.push_back("user-number-" + std::to_string(i % 10));
    ids.push_back(i % 7);
  }
  const RecordBatch batch = make_batch({string_array(names), int64_array(ids), int64_array(ids)});
  EncodeOptions options;
  options.key_columns = {2};
  const Buffer bytes = store(batch, options);
  EXPECT_EQ(entry_of(bytes, 0).encoding, Encoding::kDictionary);
  EXPECT_EQ(entry_of(bytes, 0).dictionary_length, 10u);
  EXPECT_EQ(entry_of(bytes, 1).encoding, Encoding::kPlain);
  EXPECT_EQ(entry_of(bytes, 2).encoding, Encoding::kDictionary);
  EXPECT_EQ(static_cast<int64_t>(entry_of(bytes, 2).maximum), 6);
  expect_equal_batches(open_batch(bytes, batch.schema).read_all(), batch);

  options.dictionary = DictionaryPolicy::kNever;
  const Buffer plain = store(batch, options);
  EXPECT_EQ(entry_of(plain, 0).encoding, Encoding::kPlain);
  const RecordBatch encoded = make_batch({encode_dictionary(string_array(names))});
  EXPECT_EQ(entry_of(store(encoded, options), 0).encoding, Encoding::kPlain);
}

TEST(FormatRoundTrip, Lz4BuffersStayRawWhereTheySaveLittle) {
  std::vector<int64_t> rising;
  std::vector<int64_t> noise;
  Random random(4);
  for (int64_t i = 0; i < 2000; ++i) {
    rising.push_back(i / 100);
    noise.push_back(static_cast<int64_t>(random()));
  }
  const RecordBatch batch = make_batch({int64_array(rising), int64_array(noise)});
  EncodeOptions options;
  options.codec = Codec::kLz4;
  const Buffer bytes = store(batch, options);
  ParsedHeader parsed;
  ASSERT_EQ(parse(bytes, &parsed), HeaderStatus::kOk);
  EXPECT_EQ(parsed.buffers[0].codec, Codec::kLz4);
  EXPECT_LT(parsed.buffers[0].stored_length, parsed.buffers[0].raw_length / 2);
  EXPECT_EQ(parsed.buffers[1].codec, Codec::kNone);
  const LogBatch stored = open_batch(bytes, batch.schema);
  expect_equal_batches(stored.read_all(), batch);
  EXPECT_EQ(static_cast<int64_t>(stored.statistics(0)->maximum), 19);
}

TEST(FormatRoundTrip, TimestampsPerRecordOrForAll) {
  const RecordBatch batch = make_batch({int64_array({1, 2, 3})});
  Timestamps timestamps;
  timestamps.constant_us = -9;
  const LogBatch constant = open_batch(store(batch, {}, timestamps), batch.schema);
  EXPECT_EQ(constant.header().min_timestamp, -9);
  EXPECT_TRUE(equal_rows(constant.timestamps(), int64_array({-9, -9, -9})));

  timestamps.per_record =
      fixed_array<int64_t>(DataType::timestamp(TimeUnit::kMicro), {30, -10, 20});
  const LogBatch varying = open_batch(store(batch, {}, timestamps), batch.schema);
  EXPECT_EQ(varying.header().min_timestamp, -10);
  EXPECT_EQ(varying.header().max_timestamp, 30);
  EXPECT_TRUE(equal_rows(varying.timestamps(), int64_array({30, -10, 20})));
}

TEST(FormatRoundTrip, AppendTimeReplacesCreateTime) {
  const RecordBatch batch = make_batch({int64_array({1, 2})});
  Timestamps timestamps;
  timestamps.per_record = int64_array({5, 6});
  EncodeOptions options;
  options.flags = kFlagAppendTime;
  const LogBatch stored = open_batch(store(batch, options, timestamps), batch.schema);
  const int64_t at = kTestStamp.append_time_us;
  EXPECT_EQ(stored.header().min_timestamp, at);
  EXPECT_EQ(stored.header().max_timestamp, at);
  EXPECT_TRUE(equal_rows(stored.timestamps(), int64_array({at, at})));
  EXPECT_EQ(static_cast<int64_t>(stored.statistics(kTimestampColumn)->minimum), at);
}

TEST(FormatRoundTrip, HeadersAndProducerFields) {
  const RecordBatch batch = make_batch({int64_array({1, 2, 3})});
  VarBinaryBuilder builder(DataType::of(TypeId::kBinary));
  builder.append("h1");
  builder.append_null();
  builder.append("");
  const Array headers = builder.finish();
  EncodeOptions options;
  options.producer_id = 12;
  options.producer_epoch = 3;
  options.base_sequence = 400;
  options.schema_id = 9;
  options.transaction_id = 55;
  options.flags = kFlagTransactional;
  const LogBatch stored = open_batch(store(batch, options, {}, &headers), batch.schema);
  EXPECT_TRUE(equal_rows(*stored.headers(), headers));
  EXPECT_EQ(stored.header().producer_id, 12);
  EXPECT_EQ(stored.header().producer_epoch, 3);
  EXPECT_EQ(stored.header().base_sequence, 400);
  EXPECT_EQ(stored.header().schema_id, 9u);
  EXPECT_EQ(stored.header().transaction_id, 55);
  EXPECT_EQ(stored.header().durable_offset, 900);
  EXPECT_EQ(stored.header().previous_header_crc, 0xabcdef01u);
  EXPECT_FALSE(open_batch(store(batch), batch.schema).headers().has_value());
}

TEST(FormatRoundTrip, SequencesFollowTheFirstOrStandInAColumn) {
  const RecordBatch batch = make_batch({int64_array({1, 2, 3})});
  EncodeOptions options;
  options.producer_id = (int64_t{1} << 62) - 1;
  options.producer_epoch = INT32_MAX;
  options.base_sequence = 400;
  options.sequence_lag = INT32_MIN;
  const LogBatch dense = open_batch(store(batch, options), batch.schema);
  EXPECT_TRUE(equal_rows(dense.sequences(), int64_array({400, 401, 402})));
  EXPECT_EQ(dense.last_sequence(), 402);
  EXPECT_EQ(dense.header().producer_epoch, INT32_MAX);
  EXPECT_EQ(dense.header().sequence_lag, INT32_MIN);
  for (const Codec codec : {Codec::kNone, Codec::kLz4}) {
    options.codec = codec;
    const Array given = int64_array({400, 402, 9000});
    EncodedBatch encoded = encode_batch(batch, {}, nullptr, options, &given);
    stamp_batch(&encoded, kTestStamp);
    const LogBatch sparse = open_batch(assemble(encoded), batch.schema);
    EXPECT_EQ(sparse.header().flags, kFlagExplicitSequences);
    EXPECT_TRUE(equal_rows(sparse.sequences(), given));
    EXPECT_EQ(sparse.last_sequence(), 9000);
  }
  const LogBatch none = open_batch(store(batch), batch.schema);
  EXPECT_TRUE(equal_rows(none.sequences(), int64_array({-1, -1, -1})));
  EXPECT_EQ(none.last_sequence(), -1);
}

TEST(FormatRoundTrip, TheStampGivesASequenceThatIsKnownOnlyUnderTheLock) {
  const RecordBatch batch = make_batch({int64_array({1, 2})});
  EncodeOptions options;
  options.producer_id = 7;
  options.producer_epoch = 0;
  EncodedBatch encoded = encode_batch(batch, {}, nullptr, options);
  Stamp stamp = kTestStamp;
  stamp.base_sequence = 31;
  stamp_batch(&encoded, stamp);
  EXPECT_TRUE(
      equal_rows(open_batch(assemble(encoded), batch.schema).sequences(), int64_array({31, 32})));
}

TEST(FormatRoundTrip, ColumnsOfANewerSchemaAreNull) {
  const RecordBatch old = make_batch({int64_array({1, 2, 3})});
  auto newer = std::make_shared<Schema>(*old.schema);
  newer->fields.push_back({"added", DataType::of(TypeId::kString), true});
  const LogBatch stored = open_batch(store(old), newer);
  EXPECT_EQ(stored.column(1).null_count, 3);
  EXPECT_FALSE(stored.statistics(1).has_value());
  const int second_only[] = {1, 0};
  const RecordBatch read = stored.read(second_only);
  EXPECT_EQ(read.schema->fields[0].name, "added");
  EXPECT_TRUE(equal_rows(read.columns[1], old.columns[0]));
}

TEST(FormatRoundTrip, NullInARequiredColumnNamesColumnAndRow) {
  FixedBuilder<int64_t> builder(DataType::of(TypeId::kInt64));
  builder.append(1);
  builder.append_null();
  auto schema = std::make_shared<Schema>();
  schema->fields.push_back({"amount", DataType::of(TypeId::kInt64), false});
  const RecordBatch batch{schema, 2, {builder.finish()}};
  try {
    encode_batch(batch, {}, nullptr, {});
    FAIL() << "a null passed";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kSchema);
    EXPECT_NE(std::string(error.what()).find("'amount'"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("row 1"), std::string::npos);
  }
}

ErrorCode code_of_refusal(const RecordBatch& batch, const Timestamps& timestamps = {}) {
  try {
    encode_batch(batch, timestamps, nullptr, {});
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "nothing was refused";
  return ErrorCode::kClosed;
}

TEST(FormatRoundTrip, WhatNoReaderWouldAcceptIsNotWritten) {
  EXPECT_EQ(code_of_refusal(make_batch({int64_array({})})), ErrorCode::kConfig);

  const std::vector<Array> many(4092, make_nulls(DataType::of(TypeId::kInt8), 1));
  EXPECT_EQ(code_of_refusal(make_batch(many)), ErrorCode::kNotSupported);
  const RecordBatch widest = make_batch({many.begin(), many.begin() + 4091});
  expect_equal_batches(open_batch(store(widest), widest.schema).read_all(), widest);

  const RecordBatch long_batch =
      make_batch({make_nulls(DataType::of(TypeId::kInt8), kMaxRecordsPerBatch + 1)});
  EXPECT_EQ(code_of_refusal(long_batch), ErrorCode::kRecordTooLarge);
  const RecordBatch longest = long_batch.slice(0, kMaxRecordsPerBatch);
  EXPECT_EQ(open_batch(store(longest), longest.schema).record_count(), kMaxRecordsPerBatch);
}

TEST(FormatRoundTrip, ANullAmongTheTimestampsIsRefused) {
  FixedBuilder<int64_t> builder(DataType::of(TypeId::kInt64));
  builder.append(1);
  builder.append_null();
  Timestamps timestamps;
  timestamps.per_record = builder.finish();
  EXPECT_EQ(code_of_refusal(make_batch({int64_array({1, 2})}), timestamps), ErrorCode::kSchema);
}

}  // namespace
}  // namespace pystream::storage
