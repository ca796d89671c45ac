// A topic that gets more columns while processes that know and do not know of it use it.

#include "log_testing.hpp"

namespace pystream::storage {
namespace {

constexpr uint32_t kNarrow = 1;
constexpr uint32_t kWide = 2;

SchemaPtr wide_schema() {
  static const SchemaPtr schema = [] {
    auto wider = std::make_shared<Schema>(*test_schema());
    wider->fields.push_back({"note", DataType::of(TypeId::kString), true});
    return wider;
  }();
  return schema;
}

// One row of the wide schema, with "hello" in its note.
EncodedBatch encode_note(int64_t value) {
  FixedBuilder<int64_t> values(DataType::of(TypeId::kInt64));
  values.append(value);
  VarBinaryBuilder notes(DataType::of(TypeId::kString));
  notes.append("hello");
  EncodeOptions options;
  options.schema_id = kWide;
  Timestamps timestamps;
  timestamps.constant_us = value;
  return encode_batch({wide_schema(), 1, {values.finish(), notes.finish()}}, timestamps, nullptr,
                      options);
}

// Per record: its note, or "-".
std::vector<std::string> notes_of(Partition& partition) {
  std::vector<std::string> result;
  const auto reader = partition.reader(0);
  while (const auto batch = reader->next()) {
    const Array notes = decode_dictionary(batch->column(1));
    for (int64_t row = 0; row < notes.length; ++row) {
      result.push_back(notes.is_valid(row) ? std::string(notes.view(row)) : "-");
    }
  }
  return result;
}

int64_t segment_count(const std::string& log) {
  int64_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(partition_directory(log))) {
    count += entry.path().extension() == ".seg" ? 1 : 0;
  }
  return count;
}

class LogSchemaTest : public ::testing::Test {
 protected:
  std::shared_ptr<Log> open() { return Log::open(directory_.path()); }

  TemporaryDirectory directory_{Medium::kMemory};
};

TEST_F(LogSchemaTest, OldBatchesHaveNullsInTheNewColumn) {
  const auto log = open();
  const auto partition = log->open_partition(test_options());
  append_values(*partition, 0, 2);
  EXPECT_EQ(*partition->reader(0)->next()->schema(), *test_schema());
  partition->set_schema(kWide, wide_schema());
  EXPECT_EQ(notes_of(*partition), (std::vector<std::string>{"-", "-"}));
  EncodedBatch batch = encode_note(2);
  partition->append(&batch, Acks::kPublished);
  EXPECT_EQ(notes_of(*partition), (std::vector<std::string>{"-", "-", "hello"}));
  const auto reader = partition->reader(0);
  while (const auto read = reader->next()) EXPECT_EQ(*read->schema(), *wide_schema());
  EXPECT_EQ(read_values(*partition), iota(0, 3));
}

TEST_F(LogSchemaTest, ColumnsOfOldBatchesStayViews) {
  const auto log = open();
  const auto partition = log->open_partition(test_options());
  append_values(*partition, 0, 1000);
  const auto before = partition->reader(0)->next();
  partition->set_schema(kWide, wide_schema());
  const auto after = partition->reader(0)->next();
  EXPECT_EQ(before->column(0).values.data, after->column(0).values.data);
  EXPECT_EQ(after->column(1).null_count, 1000);
}

TEST_F(LogSchemaTest, ABatchThatWasEncodedBeforeStillFits) {
  const auto log = open();
  const auto partition = log->open_partition(test_options());
  EncodedBatch old_batch = encode_values(0, 1, kNarrow);
  partition->set_schema(kWide, wide_schema());
  partition->append(&old_batch, Acks::kPublished);
  EncodedBatch batch = encode_note(1);
  partition->append(&batch, Acks::kPublished);
  EXPECT_EQ(notes_of(*partition), (std::vector<std::string>{"-", "hello"}));
  // The first one opened a segment of the wide schema already.
  EXPECT_EQ(segment_count(directory_.path()), 1);
  EncodedBatch unknown = encode_values(2, 1, 77);
  expect_error(ErrorCode::kSchema, "encoded with schema 77",
               [&] { partition->append(&unknown, Acks::kPublished); });
}

TEST_F(LogSchemaTest, WritersOfBothSchemasShareSegments) {
  const auto old_log = open();
  const auto old_partition = old_log->open_partition(test_options());
  append_values(*old_partition, 0);
  const auto new_log = open();
  const auto new_partition = new_log->open_partition(test_options());
  new_partition->set_schema(kWide, wide_schema());
  std::vector<std::string> expected{"-"};
  for (int64_t i = 1; i < 40; i += 2) {
    EncodedBatch wide = encode_note(i);
    new_partition->append(&wide, Acks::kPublished);
    EncodedBatch narrow = encode_values(i + 1, 1, kNarrow);
    old_partition->append(&narrow, Acks::kPublished);
    expected.insert(expected.end(), {"hello", "-"});
  }
  EXPECT_EQ(segment_count(directory_.path()), 2);
  EXPECT_EQ(notes_of(*new_partition), expected);
  EXPECT_EQ(notes_of(*old_partition), expected);  // it has learned of the column on the way
  EXPECT_EQ(read_values(*new_partition), iota(0, 41));
}

TEST_F(LogSchemaTest, AnOldWriterRollsASegmentOfTheWideSchema) {
  const auto old_log = open();
  const auto old_partition = old_log->open_partition(test_options(0, 16 * 1024));
  const auto new_log = open();
  const auto new_partition = new_log->open_partition(test_options(0, 16 * 1024));
  new_partition->set_schema(kWide, wide_schema());
  EncodedBatch wide = encode_note(0);
  new_partition->append(&wide, Acks::kPublished);
  for (int64_t i = 1; i < 40; ++i) {  // 40 batches of 4 KiB
    EncodedBatch narrow = encode_values(i * 500, 500, kNarrow);
    old_partition->append(&narrow, Acks::kPublished);
  }
  EXPECT_GT(segment_count(directory_.path()), 5);
  const auto fresh_log = open();
  const auto fresh = fresh_log->open_partition(test_options(0, 16 * 1024));
  const auto reader = fresh->reader(0);
  while (const auto batch = reader->next()) EXPECT_EQ(*batch->schema(), *wide_schema());
}

TEST_F(LogSchemaTest, AReaderThatDoesNotKnowLearnsFromTheFirstNewSegment) {
  const auto log = open();
  const auto partition = log->open_partition(test_options());
  append_values(*partition, 0);
  {
    const auto other_log = open();
    const auto other = other_log->open_partition(test_options());
    other->set_schema(kWide, wide_schema());
    EncodedBatch batch = encode_note(1);
    other->append(&batch, Acks::kPublished);
  }
  const auto reader = partition->reader(0);
  EXPECT_EQ(*reader->next()->schema(), *test_schema());
  EXPECT_EQ(*reader->next()->schema(), *wide_schema());
  EXPECT_EQ(*partition->options().schema, *wide_schema());
  EXPECT_EQ(partition->options().schema_id, kWide);
  // From then on all batches have the column.
  EXPECT_EQ(*partition->reader(0)->next()->schema(), *wide_schema());
}

TEST_F(LogSchemaTest, AnOlderSchemaChangesNothing) {
  const auto log = open();
  const auto partition = log->open_partition(test_options());
  partition->set_schema(kWide, wide_schema());
  partition->set_schema(kNarrow, test_schema());
  EXPECT_EQ(*partition->options().schema, *wide_schema());
  EXPECT_EQ(partition->options().schema_id, kWide);
}

TEST_F(LogSchemaTest, OnlyNullableColumnsAtTheEndCanBeAdded) {
  const auto log = open();
  const auto partition = log->open_partition(test_options());
  const auto refused = [&](Schema schema) {
    expect_error(ErrorCode::kSchema, "Only nullable columns can be added", [&] {
      partition->set_schema(kWide, std::make_shared<const Schema>(std::move(schema)));
    });
    EXPECT_EQ(*partition->options().schema, *test_schema());
  };
  Schema not_null = *wide_schema();
  not_null.fields[1].nullable = false;
  refused(not_null);
  Schema first = *wide_schema();
  std::swap(first.fields[0], first.fields[1]);
  refused(first);
  Schema renamed = *test_schema();
  renamed.fields[0].name = "other";
  refused(renamed);
  Schema retyped = *test_schema();
  retyped.fields[0].type = DataType::of(TypeId::kInt32);
  refused(retyped);
}

TEST_F(LogSchemaTest, ADeclaredDictionaryIsNullInOldBatchesToo) {
  const auto log = open();
  const auto partition = log->open_partition(test_options());
  append_values(*partition, 0, 3);
  auto wider = std::make_shared<Schema>(*test_schema());
  DataType type = DataType::of(TypeId::kString);
  type.is_dictionary = true;
  wider->fields.push_back({"kind", type, true});
  partition->set_schema(kWide, wider);
  const Array kinds = partition->reader(0)->next()->column(1);
  EXPECT_EQ(kinds.null_count, 3);
  ASSERT_NE(kinds.dictionary, nullptr);
}

}  // namespace
}  // namespace pystream::storage
