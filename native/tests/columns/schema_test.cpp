#include "columns/schema.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"

namespace pystream {
namespace {

const std::vector<std::string> kSpellings = {"bool",
                                             "int8",
                                             "int16",
                                             "int32",
                                             "int64",
                                             "uint8",
                                             "uint16",
                                             "uint32",
                                             "uint64",
                                             "float32",
                                             "float64",
                                             "date32",
                                             "string",
                                             "binary",
                                             "timestamp[s]",
                                             "timestamp[ms]",
                                             "timestamp[us]",
                                             "timestamp[ns]",
                                             "duration[s]",
                                             "duration[ns]",
                                             "timestamp[us, Europe/Berlin]",
                                             "decimal128(38, -3)",
                                             "decimal128(10, 2)",
                                             "dictionary<string>",
                                             "list<int64>",
                                             "list<timestamp[ms, UTC]>",
                                             "list<dictionary<string>>"};

Schema all_types() {
  Schema schema;
  for (const std::string& text : kSpellings) {
    if (text.starts_with("list")) continue;  // which no topic holds
    schema.fields.push_back({"c_" + text, DataType::parse(text), schema.size() % 2 == 0});
  }
  return schema;
}

TEST(DataType, ParsesWhatItPrints) {
  for (const std::string& text : kSpellings) EXPECT_EQ(DataType::parse(text).to_string(), text);
}

TEST(DataType, AcceptsSpacesAndPyarrowSpellings) {
  EXPECT_EQ(DataType::parse(" timestamp[ms,UTC] ").to_string(), "timestamp[ms, UTC]");
  EXPECT_EQ(DataType::parse("timestamp[ms, tz=UTC]").to_string(), "timestamp[ms, UTC]");
  EXPECT_EQ(DataType::parse("decimal128(5,1)").to_string(), "decimal128(5, 1)");
  EXPECT_EQ(DataType::parse("date32[day]").to_string(), "date32");
  EXPECT_EQ(DataType::parse("list<item: int64>").to_string(), "list<int64>");
  EXPECT_EQ(DataType::parse("list<item: timestamp[ms, tz=UTC]>").to_string(),
            "list<timestamp[ms, UTC]>");
}

TEST(DataType, RefusesWhatIsNoTypeNamingIt) {
  for (const char* text : {"",
                           "int",
                           "int128",
                           "float",
                           "timestamp",
                           "timestamp[]",
                           "timestamp[m]",
                           "timestamp[ms,]",
                           "timestamp[ms",
                           "duration[h]",
                           "decimal128(39, 0)",
                           "decimal128(0, 0)",
                           "decimal128(5)",
                           "decimal128(5, x)",
                           "decimal128(5, 99)",
                           "dictionary<int64>",
                           "list<>",
                           "list<int>",
                           "list<list<int64>>",
                           "dictionary<list<int64>>",
                           "list[int64]",
                           "[",
                           "("}) {
    try {
      DataType::parse(text);
      FAIL() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kConfig);
      EXPECT_NE(std::string(error.what()).find("'" + std::string(text) + "'"), std::string::npos);
    }
  }
}

TEST(DataType, ListsAreEqualWhenTheirElementsAre) {
  const DataType list = DataType::parse("list<timestamp[ms]>");
  EXPECT_EQ(list, DataType::list_of(DataType::timestamp(TimeUnit::kMilli)));
  EXPECT_NE(list, DataType::parse("list<timestamp[us]>"));
  EXPECT_NE(list, DataType::timestamp(TimeUnit::kMilli));
  EXPECT_NE(DataType::parse("list<string>"), DataType::parse("list<dictionary<string>>"));
}

TEST(Schema, ListsHaveNoBlobAndNoTypeIdInOne) {
  const Schema schema{{{"tags", DataType::parse("list<string>"), true}}};
  try {
    schema.serialize();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotSupported);
    EXPECT_NE(std::string(error.what()).find("column 'tags' is list<string>"), std::string::npos);
  }
  auto blob = Schema{{{"tags", DataType::of(TypeId::kString), true}}}.serialize();
  blob[12] = static_cast<uint8_t>(TypeId::kList);
  EXPECT_THROW(Schema::deserialize(blob), Error);
}

TEST(Schema, RoundTripsThroughItsBlob) {
  EXPECT_EQ(Schema::deserialize(all_types().serialize()), all_types());
  EXPECT_EQ(Schema::deserialize(Schema{}.serialize()), Schema{});
}

TEST(Schema, BlobIsPinned) {
  const Schema schema{{{"ts", DataType::timestamp(TimeUnit::kMilli, "UTC"), false}}};
  const std::vector<uint8_t> expected = {'P', 'S', 'S', 'C', 1, 0, 0, 0, 1,   0,   0,   0,   13, 0,
                                         1,   0,   0,   0,   2, 0, 3, 0, 't', 's', 'U', 'T', 'C'};
  EXPECT_EQ(schema.serialize(), expected);
}

TEST(Schema, EveryTruncationAndTrailingByteIsRefused) {
  const auto blob = all_types().serialize();
  for (size_t length = 0; length < blob.size(); ++length) {
    EXPECT_THROW(Schema::deserialize(std::span(blob).first(length)), Error) << length;
  }
  auto longer = blob;
  longer.push_back(0);
  EXPECT_THROW(Schema::deserialize(longer), Error);
}

// Every single-byte change either is refused or gives another schema with a blob of its own.
TEST(Schema, DamagedBytesNeverPassForTheSameSchema) {
  const Schema schema = all_types();
  const auto blob = schema.serialize();
  for (size_t at = 0; at < blob.size(); ++at) {
    for (int delta : {1, 64, 255}) {
      auto damaged = blob;
      damaged[at] = static_cast<uint8_t>(damaged[at] + delta);
      try {
        const Schema read = Schema::deserialize(damaged);
        EXPECT_NE(read, schema) << at;
        EXPECT_EQ(read.serialize(), damaged) << at;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kSchema);
      }
    }
  }
}

TEST(Schema, NamesAndTimeZonesAreUtf8) {
  const Schema schema{{{"na\u00efve", DataType::timestamp(TimeUnit::kMilli, "UTC"), false}}};
  const auto blob = schema.serialize();
  EXPECT_EQ(Schema::deserialize(blob), schema);
  for (size_t at = blob.size() - 9; at < blob.size(); ++at) {  // each byte of both
    auto damaged = blob;
    damaged[at] |= 0x80;
    if (damaged == blob) damaged[at] = 'x';  // which leaves half a letter
    try {
      Schema::deserialize(damaged);
      ADD_FAILURE() << at;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kSchema);
      EXPECT_NE(std::string(error.what()).find("a name that is not UTF-8"), std::string::npos);
    }
  }
}

TEST(Schema, NewerVersionAndHugeCountsAreRefused) {
  auto blob = Schema{}.serialize();
  blob[4] = 2;
  try {
    Schema::deserialize(blob);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("version 2"), std::string::npos);
  }
  blob[4] = 1;
  for (size_t i = 8; i < 12; ++i) blob[i] = 0xFF;
  EXPECT_THROW(Schema::deserialize(blob), Error);
}

TEST(Schema, FindsColumnsByNameAndPrints) {
  const Schema schema{
      {{"user", DataType::of(TypeId::kString)}, {"amount", DataType::of(TypeId::kFloat64), false}}};
  EXPECT_EQ(schema.index_of("amount"), 1);
  EXPECT_EQ(schema.index_of("Amount"), -1);
  EXPECT_EQ(schema.to_string(), "user: string, amount: float64 not null");
}

}  // namespace
}  // namespace pystream
