// Damaged bytes are never delivered: each bit flipped, each byte cut off, each field falsified.

#include <gtest/gtest.h>

#include <functional>

#include "format_testing.hpp"
#include "storage/header_crc.hpp"

namespace pystream::storage {
namespace {

RecordBatch small_batch() {
  VarBinaryBuilder nullable(DataType::of(TypeId::kString));
  nullable.append("x");
  nullable.append_null();
  nullable.append("zzz");
  nullable.append("z");
  Array declared = string_array({"a", "b", "a", "a"});
  declared.type = DataType::parse("dictionary<string>");
  return make_batch({int64_array({1, 2, 3, 4}), nullable.finish(), encode_dictionary(declared),
                     int64_array({7, 7, 7, 7})});
}

Buffer stored_small_batch(Codec codec = Codec::kNone) {
  EncodeOptions options;
  options.codec = codec;
  return store(small_batch(), options);
}

MutableBuffer copy_of(const Buffer& bytes) {
  MutableBuffer copy(bytes.size);
  std::memcpy(copy.data(), bytes.data, static_cast<size_t>(bytes.size));
  return copy;
}

bool parses_and_reads(const Buffer& bytes, RecordBatch* out, Verify verify = Verify::kFirst) {
  ParsedHeader parsed;
  if (parse(bytes, &parsed) != HeaderStatus::kOk) return false;
  const LogBatch batch({bytes.data, static_cast<size_t>(bytes.size)}, parsed, bytes.owner,
                       small_batch().schema, test_place(), kTestStamp.file_position, nullptr,
                       nullptr);
  try {
    *out = batch.read_all(verify);
    batch.timestamps(verify);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCorruptRecord);
    return false;
  }
  return true;
}

TEST(FormatDamage, EveryFlippedBitIsDetectedOrHarmless) {
  for (Codec codec : {Codec::kNone, Codec::kLz4}) {
    const Buffer bytes = stored_small_batch(codec);
    const RecordBatch expected = small_batch();
    int64_t harmless = 0;
    for (int64_t bit = 0; bit < bytes.size * 8; ++bit) {
      MutableBuffer damaged = copy_of(bytes);
      damaged.data()[bit / 8] = static_cast<uint8_t>(damaged.data()[bit / 8] ^ (1 << (bit % 8)));
      RecordBatch read;
      if (!parses_and_reads(damaged.freeze(), &read)) continue;
      ++harmless;  // in the padding
      for (size_t i = 0; i < expected.columns.size(); ++i) {
        ASSERT_TRUE(equal_rows(read.columns[i], expected.columns[i])) << "bit " << bit;
      }
    }
    ParsedHeader parsed;
    ASSERT_EQ(parse(bytes, &parsed), HeaderStatus::kOk);
    uint64_t padding = parsed.header.total_length - parsed.header.header_length;
    for (uint32_t i = 0; i < parsed.header.buffer_count; ++i) {
      padding -= parsed.buffers[i].stored_length;
    }
    EXPECT_EQ(harmless, static_cast<int64_t>(padding * 8));
  }
}

TEST(FormatDamage, EveryCutIsTruncated) {
  const Buffer bytes = stored_small_batch();
  for (int64_t size = 0; size < bytes.size; ++size) {
    // Exactly as large as what is left, so that a sanitizer sees every read past it.
    std::unique_ptr<uint8_t, void (*)(void*)> block(
        static_cast<uint8_t*>(std::aligned_alloc(64, static_cast<size_t>(round_up_64(size + 1)))),
        std::free);
    std::memcpy(block.get(), bytes.data, static_cast<size_t>(size));
    ParsedHeader parsed;
    ASSERT_EQ(parse_header({block.get(), static_cast<size_t>(size)}, kTestStamp.salt,
                           kTestStamp.file_position, &parsed),
              HeaderStatus::kTruncated)
        << size;
  }
}

TEST(FormatDamage, ZeroMagicIsTheEnd) {
  MutableBuffer zeros(128);
  std::memset(zeros.data(), 0, 128);
  ParsedHeader parsed;
  EXPECT_EQ(parse(zeros.freeze(), &parsed), HeaderStatus::kEnd);
}

TEST(FormatDamage, ABatchOfAnotherPlaceOrFileIsBad) {
  const Buffer bytes = stored_small_batch();
  const std::span<const uint8_t> span(bytes.data, static_cast<size_t>(bytes.size));
  ParsedHeader parsed;
  EXPECT_EQ(parse_header(span, kTestStamp.salt, kTestStamp.file_position, &parsed),
            HeaderStatus::kOk);
  EXPECT_EQ(parse_header(span, kTestStamp.salt, kTestStamp.file_position + 64, &parsed),
            HeaderStatus::kBad);
  EXPECT_EQ(parse_header(span, kTestStamp.salt + 1, kTestStamp.file_position, &parsed),
            HeaderStatus::kBad);
}

// Falsified fields under a header checksum that is right: the parser must not rest on it.
struct Tables {
  BatchHeader* header;
  ColumnEntry* columns;
  BufferEntry* buffers;
};

HeaderStatus status_after(const std::function<void(Tables)>& falsify,
                          const Buffer& original = stored_small_batch()) {
  MutableBuffer bytes = copy_of(original);
  auto* header = bytes.as<BatchHeader>();
  auto* columns = reinterpret_cast<ColumnEntry*>(bytes.data() + sizeof(BatchHeader));
  auto* buffers = reinterpret_cast<BufferEntry*>(columns + header->column_count);
  falsify({header, columns, buffers});
  const size_t length = std::min<size_t>(header->header_length, static_cast<size_t>(bytes.size()));
  if (length >= sizeof(BatchHeader)) {
    header->header_crc =
        header_crc(bytes.data(), length, kTestStamp.salt, kTestStamp.file_position);
  }
  ParsedHeader parsed;
  return parse(bytes.freeze(), &parsed);
}

TEST(FormatDamage, AVersionThatIsNotReadIsAnotherFormat) {
  for (const uint8_t version : {0, 2, 255}) {
    const auto set = [version](Tables t) { t.header->version = version; };
    EXPECT_EQ(status_after(set), HeaderStatus::kOtherVersion) << int{version};
    const auto with_long_header = [version](Tables t) {
      t.header->version = version;
      t.header->header_length = kMaxHeaderBytes + 64;
    };
    EXPECT_EQ(status_after(with_long_header), HeaderStatus::kBad) << int{version};
  }
}

TEST(FormatDamage, ImpossibleFieldsAreBad) {
  EXPECT_EQ(status_after([](Tables) {}), HeaderStatus::kOk);
  const std::vector<std::pair<const char*, std::function<void(Tables)>>> cases = {
      {"header_length", [](Tables t) { t.header->header_length += 32; }},
      {"short header_length", [](Tables t) { t.header->header_length = 8; }},
      {"column_count", [](Tables t) { t.header->column_count += 1; }},
      {"many columns", [](Tables t) { t.header->column_count = 0xffff; }},
      {"buffer_count", [](Tables t) { t.header->buffer_count = 0xffff; }},
      {"unaligned total", [](Tables t) { t.header->total_length += 8; }},
      {"larger total", [](Tables t) { t.header->total_length += 64; }},
      {"smaller total", [](Tables t) { t.header->total_length -= 64; }},
      {"huge total", [](Tables t) { t.header->total_length = ~uint64_t{63}; }},
      {"no records", [](Tables t) { t.header->record_count = 0; }},
      {"more records", [](Tables t) { t.header->record_count += 1; }},
      {"huge record_count", [](Tables t) { t.header->record_count = 0xffffffff; }},
      {"base_offset", [](Tables t) { t.header->base_offset = -1; }},
      {"last base_offset", [](Tables t) { t.header->base_offset = INT64_MAX; }},
      {"last_offset_delta", [](Tables t) { t.header->last_offset_delta += 1; }},
      {"timestamps", [](Tables t) { t.header->min_timestamp = INT64_MAX; }},
      {"producer_id", [](Tables t) { t.header->producer_id = -2; }},
      {"producer without epoch",
       [](Tables t) { t.header->producer_id = t.header->base_sequence = 1; }},
      {"producer without sequence",
       [](Tables t) { t.header->producer_id = t.header->producer_epoch = 1; }},
      {"sequence too large",
       [](Tables t) {
         t.header->producer_id = 1;
         t.header->producer_epoch = 0;
         t.header->base_sequence = kSequenceLimit;
       }},
      {"epoch without producer", [](Tables t) { t.header->producer_epoch = 0; }},
      {"sequence without producer", [](Tables t) { t.header->base_sequence = 0; }},
      {"lag without producer", [](Tables t) { t.header->sequence_lag = 1; }},
      {"sequences flag", [](Tables t) { t.header->flags |= kFlagExplicitSequences; }},
      {"flag without column", [](Tables t) { t.header->flags |= kFlagRowKinds; }},
      {"offsets flag", [](Tables t) { t.header->flags |= kFlagExplicitOffsets; }},
      {"type 0", [](Tables t) { t.columns[0].type = 0; }},
      {"type 18", [](Tables t) { t.columns[0].type = 18; }},
      {"narrower type", [](Tables t) { t.columns[0].type = 4; }},
      {"encoding", [](Tables t) { t.columns[0].encoding = static_cast<Encoding>(9); }},
      {"constant string", [](Tables t) { t.columns[1].encoding = Encoding::kConstant; }},
      {"all null with few", [](Tables t) { t.columns[3].encoding = Encoding::kAllNull; }},
      {"null_count", [](Tables t) { t.columns[0].null_count = 1; }},
      {"too many nulls", [](Tables t) { t.columns[1].null_count = 5; }},
      {"constant with nulls", [](Tables t) { t.columns[3].null_count = 1; }},
      {"dictionary of none", [](Tables t) { t.columns[2].dictionary_length = 0; }},
      {"huge dictionary", [](Tables t) { t.columns[2].dictionary_length = 0xffffffff; }},
      {"dictionary of a plain", [](Tables t) { t.columns[0].dictionary_length = 1; }},
      {"repeated id", [](Tables t) { t.columns[1].id = 0; }},
      {"falling ids", [](Tables t) { t.columns[0].id = 5; }},
      {"no timestamp", [](Tables t) { t.columns[4].id = 9; }},
      {"unknown built-in", [](Tables t) { t.columns[4].id = 0xff01; }},
      {"timestamp type",
       [](Tables t) { t.columns[4].type = static_cast<uint8_t>(TypeId::kDuration); }},
      {"first_buffer", [](Tables t) { t.columns[0].first_buffer = 1; }},
      {"buffer_count of column", [](Tables t) { t.columns[0].buffer_count = 2; }},
      {"buffer offset", [](Tables t) { t.buffers[1].offset += 64; }},
      {"buffer overlaps header", [](Tables t) { t.buffers[0].offset = 0; }},
      {"stored_length", [](Tables t) { t.buffers[0].stored_length += 1; }},
      {"huge lengths",
       [](Tables t) { t.buffers[0].stored_length = t.buffers[0].raw_length = ~uint64_t{0}; }},
      {"raw_length", [](Tables t) { t.buffers[0].raw_length += 8; }},
      {"codec", [](Tables t) { t.buffers[0].codec = static_cast<Codec>(2); }},
      {"lz4 bomb",
       [](Tables t) {
         t.buffers[3].codec = Codec::kLz4;
         t.buffers[3].raw_length = INT32_MAX;
       }},
      {"kind", [](Tables t) { t.buffers[0].kind = BufferKind::kCodes; }},
      {"of_dictionary", [](Tables t) { t.buffers[0].of_dictionary = 1; }},
      {"of_dictionary 2", [](Tables t) { t.buffers[5].of_dictionary = 2; }},
  };
  for (const auto& [name, falsify] : cases) {
    const HeaderStatus status = status_after(falsify);
    EXPECT_TRUE(status == HeaderStatus::kBad || status == HeaderStatus::kTruncated) << name;
    EXPECT_NE(status, HeaderStatus::kOk) << name;
  }
}

TEST(FormatDamage, ImpossibleSequencesAreBad) {
  EncodeOptions options;
  options.producer_id = 5;
  options.producer_epoch = 0;
  options.base_sequence = 10;
  const RecordBatch batch = make_batch({int64_array({1, 2, 3, 4})});
  const Array sequences = int64_array({10, 11, 13, 20});
  EncodedBatch encoded = encode_batch(batch, {}, nullptr, options, &sequences);
  stamp_batch(&encoded, kTestStamp);
  const Buffer bytes = assemble(encoded);
  EXPECT_EQ(status_after([](Tables) {}, bytes), HeaderStatus::kOk);
  constexpr int kAt = 2;  // behind the column and the timestamps
  const std::vector<std::pair<const char*, std::function<void(Tables)>>> cases = {
      {"no flag", [](Tables t) { t.header->flags = 0; }},
      {"no producer", [](Tables t) { t.header->producer_id = -1; }},
      {"first too large", [](Tables t) { t.header->base_sequence = kSequenceLimit; }},
      {"last too large", [](Tables t) { t.columns[kAt].maximum = kSequenceLimit; }},
      {"another first", [](Tables t) { t.header->base_sequence = 9; }},
      {"falling", [](Tables t) { t.columns[kAt].maximum = 9; }},
      {"too few for the records", [](Tables t) { t.columns[kAt].maximum = 12; }},
      {"without a gap", [](Tables t) { t.columns[kAt].maximum = 13; }},
      {"no statistics", [](Tables t) { t.columns[kAt].flags = 0; }},
      {"type", [](Tables t) { t.columns[kAt].type = static_cast<uint8_t>(TypeId::kUInt64); }},
  };
  for (const auto& [name, falsify] : cases) {
    EXPECT_EQ(status_after(falsify, bytes), HeaderStatus::kBad) << name;
  }
}

// Content under checksums that are right.
std::string read_error_after(uint32_t buffer, const std::function<void(uint8_t*)>& falsify,
                             Verify verify) {
  MutableBuffer bytes = copy_of(stored_small_batch());
  auto* header = bytes.as<BatchHeader>();
  auto* columns = reinterpret_cast<ColumnEntry*>(bytes.data() + sizeof(BatchHeader));
  auto* buffers = reinterpret_cast<BufferEntry*>(columns + header->column_count);
  uint8_t* content = bytes.data() + buffers[buffer].offset;
  falsify(content);
  buffers[buffer].crc = crc32c(0, content, buffers[buffer].stored_length);
  header->header_crc =
      header_crc(bytes.data(), header->header_length, kTestStamp.salt, kTestStamp.file_position);
  try {
    open_batch(bytes.freeze(), small_batch().schema).read_all(verify);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCorruptRecord);
    return error.what();
  }
  return "nothing";
}

template <typename T>
std::function<void(uint8_t*)> put(size_t index, T value) {
  return [=](uint8_t* content) { reinterpret_cast<T*>(content)[index] = value; };
}

TEST(FormatDamage, ContentThatWouldLeadOutsideIsRefusedAtEveryLevelOfVerification) {
  for (Verify verify : {Verify::kFirst, Verify::kAlways, Verify::kNever}) {
    const auto expect = [&](uint32_t buffer, const std::function<void(uint8_t*)>& falsify,
                            const char* what) {
      EXPECT_NE(read_error_after(buffer, falsify, verify).find(what), std::string::npos)
          << buffer << ": " << read_error_after(buffer, falsify, verify);
    };
    // Buffers: 0 values · 1 validity, 2 offsets, 3 bytes · 4 codes, 5 offsets, 6 bytes.
    expect(1, put<uint8_t>(0, 0x0f), "nulls");
    expect(2, put<int32_t>(0, -1), "offsets");
    expect(2, put<int32_t>(1, 100), "offsets");
    expect(2, put<int32_t>(4, 6), "offsets");
    expect(2, put<int32_t>(2, 0), "offsets");
    expect(4, put<int32_t>(0, 2), "codes");
    expect(4, put<int32_t>(3, -1), "codes");
    expect(5, put<int32_t>(1, 3), "offsets");
    EXPECT_EQ(read_error_after(0, put<int64_t>(1, 9), verify), "nothing");
  }
}

TEST(FormatDamage, ErrorCarriesTheFacts) {
  MutableBuffer bytes = copy_of(stored_small_batch());
  const auto* columns = reinterpret_cast<const ColumnEntry*>(bytes.data() + sizeof(BatchHeader));
  const auto* buffers = reinterpret_cast<const BufferEntry*>(columns + 5);
  bytes.data()[buffers[0].offset] ^= 1;
  const Buffer damaged = bytes.freeze();
  const LogBatch batch = open_batch(damaged, small_batch().schema);
  EXPECT_NO_THROW(batch.column(1)) << "other columns stay readable";
  try {
    batch.column(0);
    FAIL() << "a damaged column was delivered";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCorruptRecord);
    const std::vector<ErrorFact> expected = {{"topic", "orders"},
                                             {"partition", int64_t{3}},
                                             {"offset", int64_t{1000}},
                                             {"next_offset", int64_t{1004}},
                                             {"position", kTestStamp.file_position},
                                             {"path", "/data/0.seg"}};
    EXPECT_EQ(error.facts(), expected);
    EXPECT_NE(std::string(error.what()).find("orders-3"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("1004"), std::string::npos) << error.what();
  }
}

TEST(FormatDamage, AColumnOfAnotherTypeThanTheSchemaSaysIsRefused) {
  auto schema = std::make_shared<Schema>(*small_batch().schema);
  schema->fields[0].type = DataType::of(TypeId::kFloat64);
  const LogBatch batch = open_batch(stored_small_batch(), schema);
  EXPECT_THROW(batch.column(0), Error);
}

TEST(FormatDamage, BuffersAreVerifiedOnceOrAlwaysOrNever) {
  MutableBuffer bytes = copy_of(stored_small_batch());
  uint8_t* data = bytes.data();
  const auto* columns = reinterpret_cast<const ColumnEntry*>(data + sizeof(BatchHeader));
  const auto* buffers = reinterpret_cast<const BufferEntry*>(columns + 5);
  const size_t value_at = buffers[0].offset;
  const Buffer frozen = bytes.freeze();
  std::atomic<uint64_t> verified{0};
  const LogBatch batch = open_batch(frozen, small_batch().schema, &verified);
  batch.column(0, Verify::kNever);
  EXPECT_EQ(verified.load(), 0u);
  batch.column(0);
  EXPECT_EQ(verified.load(), 1u);
  batch.column(1);
  EXPECT_EQ(verified.load(), 0b1111u);
  const_cast<uint8_t*>(frozen.data)[value_at] ^= 1;
  EXPECT_NO_THROW(batch.column(0)) << "verified before";
  EXPECT_THROW(batch.column(0, Verify::kAlways), Error);
  EXPECT_NO_THROW(batch.column(0, Verify::kNever));
}

TEST(FormatDamage, UntouchedBytesAreFaultedInBeforeTheyAreRead) {
  static int calls;
  calls = 0;
  const Buffer bytes = stored_small_batch();
  ParsedHeader parsed;
  ASSERT_EQ(parse(bytes, &parsed), HeaderStatus::kOk);
  std::atomic<uint64_t> verified{0};
  const LogBatch batch({bytes.data, static_cast<size_t>(bytes.size)}, parsed, bytes.owner,
                       small_batch().schema, test_place(), kTestStamp.file_position, &verified,
                       [](const void*, const uint8_t*, size_t) { ++calls; });
  batch.column(0);
  EXPECT_EQ(calls, 1);
  batch.column(0);
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace pystream::storage
