#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "columns/array.hpp"
#include "columns/arrow_c.hpp"
#include "columns/builder.hpp"
#include "columns/cast.hpp"

namespace pystream {
namespace {

// The slow, obvious model: a vector of optional vectors of optional numbers.
using List = std::vector<std::optional<int64_t>>;
using Lists = std::vector<std::optional<List>>;

Array lists(const Lists& rows) {
  FixedBuilder<int32_t> offsets(DataType::of(TypeId::kInt32));
  FixedBuilder<int64_t> elements(DataType::of(TypeId::kInt64));
  BitmapBuilder validity;
  offsets.append(0);
  for (const auto& row : rows) {
    validity.append(row.has_value());
    for (const auto& value : row.value_or(List{})) {
      value ? elements.append(*value) : elements.append_null();
    }
    offsets.append(static_cast<int32_t>(elements.length()));
  }
  const auto length = static_cast<int64_t>(rows.size());
  Array array = make_lists(offsets.finish().values, length, elements.finish());
  array.null_count = length - validity.ones();
  if (array.null_count > 0) array.validity = validity.finish();
  return array;
}

Lists rows_of(const Array& array) {
  Lists rows;
  for (int64_t i = 0; i < array.length; ++i) {
    if (!array.is_valid(i)) {
      rows.emplace_back(std::nullopt);
      continue;
    }
    List row;
    const int32_t* offsets = array.offsets.as<int32_t>();
    for (int64_t at = offsets[i]; at < offsets[i + 1]; ++at) {
      row.push_back(array.elements->is_valid(at)
                        ? std::optional(array.elements->data<int64_t>()[at])
                        : std::nullopt);
    }
    rows.emplace_back(row);
  }
  return rows;
}

Lists random_lists(std::mt19937* random, size_t count) {
  Lists rows;
  for (size_t i = 0; i < count; ++i) {
    if ((*random)() % 5 == 0) {
      rows.emplace_back(std::nullopt);
      continue;
    }
    List row((*random)() % 4);
    for (auto& value : row) {
      if ((*random)() % 4 != 0) value = static_cast<int64_t>((*random)() % 100);
    }
    rows.emplace_back(row);
  }
  return rows;
}

TEST(ListArray, SliceTakeAndConcatAreThoseOfRows) {
  std::mt19937 random(7);
  const Lists rows = random_lists(&random, 100);
  const Array array = lists(rows);
  ASSERT_EQ(rows_of(array), rows);
  for (const auto& [begin, length] :
       std::vector<std::pair<int64_t, int64_t>>{{0, 100}, {0, 0}, {100, 0}, {8, 64}, {3, 77}}) {
    const Array part = slice(array, begin, length);
    EXPECT_EQ(rows_of(part), Lists(rows.begin() + begin, rows.begin() + begin + length));
    EXPECT_EQ(part.elements, array.elements);  // shared
    std::vector<int32_t> indices;
    Lists expected;
    for (int i = 0; length > 0 && i < 50; ++i) {
      indices.push_back(static_cast<int32_t>(random() % static_cast<uint64_t>(length)));
      expected.push_back(rows[static_cast<size_t>(begin + indices.back())]);
    }
    EXPECT_EQ(rows_of(take(part, indices)), expected);
  }
  const std::vector<Array> parts = {slice(array, 0, 11), slice(array, 11, 0), slice(array, 11, 50),
                                    slice(array, 61, 39)};
  EXPECT_EQ(rows_of(concat(parts)), rows);
  EXPECT_TRUE(equal_rows(concat(parts), array));
}

TEST(ListArray, EqualRowsSeesElementsNullsAndLengths) {
  const Array base = lists({List{1, std::nullopt}, std::nullopt, List{}});
  EXPECT_TRUE(equal_rows(base, lists({List{1, std::nullopt}, std::nullopt, List{}})));
  for (const Lists& other : std::vector<Lists>{{List{1, 0}, std::nullopt, List{}},
                                               {List{1}, std::nullopt, List{}},
                                               {List{1, std::nullopt}, List{}, std::nullopt},
                                               {List{2, std::nullopt}, std::nullopt, List{}}}) {
    EXPECT_FALSE(equal_rows(base, lists(other)));
    EXPECT_FALSE(equal_rows(lists(other), base));
  }
}

TEST(ListArray, NullsHaveNoElements) {
  for (const int64_t length : {0, 1, 65}) {
    const Array nulls = make_nulls(DataType::parse("list<int64>"), length);
    EXPECT_EQ(nulls.null_count, length);
    EXPECT_EQ(rows_of(nulls), Lists(static_cast<size_t>(length)));
  }
}

TEST(ListArray, ReferencedBytesCountsElementsInUse) {
  const Array array = lists({List{1, 2, 3}, List{4}});
  EXPECT_EQ(referenced_bytes(array), 3 * 4 + 4 * 8);
  EXPECT_EQ(referenced_bytes(slice(array, 1, 1)), 2 * 4 + 8);
}

TEST(ListArray, MoreElementsThanOffsetsCountAreRefused) {
  // Taken often enough: nothing of that size is ever allocated.
  const Array big = lists({List(1 << 20, 7)});
  const std::vector<int32_t> indices(2048, 0);
  try {
    take(big, indices);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kRecordTooLarge);
  }
  const std::vector<Array> parts(2048, big);
  EXPECT_THROW(concat(parts), Error);
}

RecordBatch batch_of(const Array& array) {
  auto schema = std::make_shared<Schema>();
  schema->fields = {{"l", array.type}};
  return {schema, array.length, {array}};
}

TEST(ListArray, CastsItsElementsAndNamesTheRowOfOneThatDoesNotFit) {
  auto target = std::make_shared<Schema>();
  target->fields = {{"l", DataType::parse("list<int8>")}};
  const RecordBatch cast =
      cast_to(batch_of(lists({List{1, std::nullopt}, std::nullopt, List{-5}})), target, "");
  EXPECT_EQ(cast.columns[0].type.to_string(), "list<int8>");
  EXPECT_EQ(cast.columns[0].elements->data<int8_t>()[2], -5);
  try {
    cast_to(batch_of(lists({List{1, 2}, std::nullopt, List{}, List{3, 400}})), target, "");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kSchema);
    EXPECT_NE(std::string(error.what()).find("400 in row 3"), std::string::npos) << error.what();
  }
}

TEST(ListArray, ValuesBelowNullListsAndOutsideOfRowsDoNotFailACast) {
  Array array = lists({List{1000}, List{2000}, List{3}});
  BitmapBuilder validity;
  for (const bool valid : {true, false, true}) validity.append(valid);
  array.validity = validity.finish();
  array.null_count = 1;
  auto target = std::make_shared<Schema>();
  target->fields = {{"l", DataType::parse("list<int8>")}};
  const RecordBatch cast = cast_to(batch_of(slice(array, 1, 2)), target, "");
  EXPECT_FALSE(cast.columns[0].is_valid(0));
  EXPECT_EQ(cast.columns[0].elements->length, 1);
}

TEST(ListArray, ForeignLiesAreRefused) {
  const auto refused = [](auto damage) {
    const RecordBatch batch = batch_of(lists({List{1, 2}, List{3}}));
    ArrowSchema schema;
    ArrowArray array;
    export_schema(*batch.schema, &schema);
    export_array(batch, &array);
    damage(array.children[0]);
    EXPECT_THROW(import_array(schema, &array), Error);
    schema.release(&schema);
  };
  static constexpr int32_t kFalling[] = {0, 2, 1};
  static constexpr int32_t kNegative[] = {-1, 2, 3};
  refused([](ArrowArray* list) { list->n_buffers = 3; });
  refused([](ArrowArray* list) { list->n_children = 0; });
  refused([](ArrowArray* list) { list->children[0]->length = 2; });
  refused([](ArrowArray* list) { list->buffers[1] = nullptr; });
  refused([](ArrowArray* list) { list->buffers[1] = kFalling; });
  refused([](ArrowArray* list) { list->buffers[1] = kNegative; });
}

}  // namespace
}  // namespace pystream
