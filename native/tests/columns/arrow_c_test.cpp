// The release rules of the Arrow C data interface, which a sanitizer sees better than Python does.
// Types and values are tested from Python, against pyarrow.

#include "columns/arrow_c.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "base/error.hpp"
#include "columns/builder.hpp"

namespace pystream {
namespace {

Array strings(std::initializer_list<const char*> texts) {
  VarBinaryBuilder builder(DataType::of(TypeId::kString));
  for (const char* text : texts) {
    text == nullptr ? builder.append_null() : builder.append(text);
  }
  return builder.finish();
}

Array integers(std::initializer_list<int64_t> values) {
  FixedBuilder<int64_t> builder(DataType::of(TypeId::kInt64));
  for (const int64_t value : values) builder.append(value);
  return builder.finish();
}

RecordBatch sample() {
  DataType dictionary = DataType::of(TypeId::kString);
  dictionary.is_dictionary = true;
  auto schema = std::make_shared<Schema>();
  schema->fields = {{"n", DataType::of(TypeId::kInt64), false},
                    {"s", DataType::of(TypeId::kString)},
                    {"d", dictionary}};
  Array coded = strings({"b", nullptr, "b"});
  coded.type = dictionary;
  return {schema, 3, {integers({1, 2, 3}), strings({"x", nullptr, ""}), coded}};
}

void expect_equal(const RecordBatch& left, const RecordBatch& right) {
  EXPECT_EQ(*left.schema, *right.schema);
  ASSERT_EQ(left.columns.size(), right.columns.size());
  for (size_t i = 0; i < left.columns.size(); ++i) {
    EXPECT_TRUE(equal_rows(left.columns[i], right.columns[i])) << i;
  }
}

TEST(ArrowC, ExportedBatchComesBackAndOutlivesItsSource) {
  ArrowSchema schema;
  ArrowArray array;
  {
    const RecordBatch batch = sample();
    export_schema(*batch.schema, &schema);
    export_array(batch, &array);
  }
  const RecordBatch back = import_array(schema, &array);
  EXPECT_EQ(array.release, nullptr);  // moved out
  schema.release(&schema);
  EXPECT_EQ(schema.release, nullptr);
  expect_equal(back, sample());
}

TEST(ArrowC, ChildrenMovedOutLiveLongerThanTheirParent) {
  ArrowSchema schema;
  ArrowArray array;
  export_schema(*sample().schema, &schema);
  export_array(sample(), &array);
  // The consumer's way of moving: copy the struct, mark the source released.
  ArrowArray strings_column = *array.children[1];
  array.children[1]->release = nullptr;
  ArrowArray entries = *array.children[2]->dictionary;
  array.children[2]->dictionary->release = nullptr;
  ArrowSchema field = *schema.children[1];
  schema.children[1]->release = nullptr;
  array.release(&array);
  schema.release(&schema);
  EXPECT_STREQ(field.format, "u");
  EXPECT_STREQ(field.name, "s");
  EXPECT_EQ(strings_column.null_count, 1);
  EXPECT_EQ(static_cast<const char*>(strings_column.buffers[2])[0], 'x');
  EXPECT_EQ(static_cast<const char*>(entries.buffers[2])[0], 'b');
  field.release(&field);
  strings_column.release(&strings_column);
  entries.release(&entries);
}

TEST(ArrowC, FailedImportReleasesWhatItTook) {
  ArrowSchema schema;
  ArrowArray array;
  export_schema(*sample().schema, &schema);
  export_array(sample(), &array);
  array.n_children =
      2;  // one less than the schema; the third is released with its parent all the same
  EXPECT_THROW(import_array(schema, &array), Error);
  EXPECT_EQ(array.release, nullptr);
  schema.release(&schema);
}

TEST(ArrowC, ForeignLiesAreRefused) {
  const auto refused = [](auto damage) {
    ArrowSchema schema;
    ArrowArray array;
    export_schema(*sample().schema, &schema);
    export_array(sample(), &array);
    damage(&array);
    EXPECT_THROW(import_array(schema, &array), Error);
    schema.release(&schema);
  };
  refused([](ArrowArray* array) { array->children[0]->n_buffers = 3; });
  refused([](ArrowArray* array) { array->children[1]->n_buffers = 2; });
  refused([](ArrowArray* array) { array->children[0]->length = 2; });
  refused([](ArrowArray* array) { array->children[0]->buffers[1] = nullptr; });
  refused([](ArrowArray* array) { array->length = 4; });
  refused([](ArrowArray* array) { array->offset = 1; });
}

TEST(ArrowC, StreamGivesBatchesThenTheEnd) {
  const RecordBatch batch = sample();
  ArrowArrayStream stream;
  export_stream(
      batch.schema,
      [batch, left = 2](RecordBatch* out) mutable {
        *out = batch;
        return left-- > 0;
      },
      &stream);
  ArrowSchema schema;
  ASSERT_EQ(stream.get_schema(&stream, &schema), 0);
  RecordBatch out;
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(import_next(&stream, schema, &out));
    expect_equal(out, batch);
  }
  EXPECT_FALSE(import_next(&stream, schema, &out));
  schema.release(&schema);
  stream.release(&stream);
  EXPECT_EQ(stream.release, nullptr);
  expect_equal(out, batch);  // what was read outlives the stream
}

TEST(ArrowC, ErrorOfAStreamCrossesAsCodeAndMessage) {
  ArrowArrayStream stream;
  export_stream(
      sample().schema,
      [](RecordBatch*) -> bool { throw Error(ErrorCode::kCorruptRecord, "offset 7 is damaged"); },
      &stream);
  ArrowArray array;
  EXPECT_EQ(stream.get_next(&stream, &array), EIO);
  EXPECT_STREQ(stream.get_last_error(&stream), "offset 7 is damaged");
  ArrowSchema schema;
  ASSERT_EQ(stream.get_schema(&stream, &schema), 0);
  RecordBatch out;
  try {
    import_next(&stream, schema, &out);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kSchema);
    EXPECT_NE(std::string(error.what()).find("offset 7 is damaged"), std::string::npos);
  }
  schema.release(&schema);
  stream.release(&stream);
}

TEST(ArrowC, EmptyBatchHasNoNullBuffers) {
  const RecordBatch none = sample().slice(0, 0);
  ArrowArray array;
  export_array(none, &array);
  EXPECT_EQ(array.length, 0);
  for (int64_t i = 0; i < array.n_children; ++i) {
    EXPECT_NE(array.children[i]->buffers[1], nullptr) << i;
  }
  array.release(&array);
}

}  // namespace
}  // namespace pystream
