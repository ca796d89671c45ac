#include "storage/batch_limits.hpp"

#include <gtest/gtest.h>

#include "format_testing.hpp"

namespace pystream::storage {
namespace {

std::vector<int64_t> ends(const RecordBatch& batch, const BatchLimits& limits,
                          const Array* headers = nullptr) {
  const BatchCutter cutter(batch, headers, limits);
  std::vector<int64_t> result;
  for (int64_t begin = 0; begin < batch.num_rows;) {
    begin = cutter.next_end(begin);
    result.push_back(begin);
  }
  return result;
}

RecordBatch strings_of_lengths(const std::vector<size_t>& lengths) {
  std::vector<std::string> values;
  for (size_t length : lengths) values.emplace_back(length, 'x');
  return make_batch({string_array(values)});
}

BatchLimits rows_at_most(int64_t rows) {
  BatchLimits limits;
  limits.max_batch_rows = rows;
  return limits;
}

BatchLimits batch_bytes_at_most(int64_t bytes) {
  BatchLimits limits;
  limits.max_batch_bytes = bytes;
  return limits;
}

BatchLimits record_bytes_at_most(int64_t bytes) {
  BatchLimits limits;
  limits.max_record_bytes = bytes;
  return limits;
}

TEST(BatchCutter, CutsByRows) {
  const RecordBatch batch = make_batch({int64_array({1, 2, 3, 4, 5, 6, 7})});
  EXPECT_EQ(ends(batch, rows_at_most(3)), (std::vector<int64_t>{3, 6, 7}));
  EXPECT_EQ(ends(batch, rows_at_most(7)), (std::vector<int64_t>{7}));
}

TEST(BatchCutter, CutsByBytes) {
  // Each row takes 8 (timestamp) + 4 (offset) + its length.
  const RecordBatch batch = strings_of_lengths({100, 100, 100, 300, 10, 10, 500, 1});
  EXPECT_EQ(ends(batch, batch_bytes_at_most(336)), (std::vector<int64_t>{3, 5, 6, 7, 8}));
  EXPECT_EQ(ends(batch, batch_bytes_at_most(1)), (std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7, 8}));
}

TEST(BatchCutter, CountsHeadersAndDictionaries) {
  const RecordBatch batch = make_batch({int64_array({1, 2, 3, 4})});
  const Array headers = strings_of_lengths({84, 84, 84, 84}).columns[0];
  // 8 + 8 + 4 + 84 = 104 a row.
  EXPECT_EQ(ends(batch, batch_bytes_at_most(208), &headers), (std::vector<int64_t>{2, 4}));

  const Array strings = strings_of_lengths({92, 92, 92, 92}).columns[0];
  // One entry: 2 offsets and 92 bytes, in each batch; then 8 + 4 a row.
  EXPECT_EQ(ends(make_batch({encode_dictionary(strings)}), batch_bytes_at_most(124)),
            (std::vector<int64_t>{2, 4}));
}

TEST(BatchCutter, RunsCoverAllRowsAndKeepTheLimit) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Random random(seed);
    std::vector<size_t> lengths(1 + random() % 500);
    for (size_t& length : lengths) length = random() % 200;
    BatchLimits limits = rows_at_most(static_cast<int64_t>(1 + random() % 100));
    limits.max_batch_bytes = static_cast<int64_t>(1 + random() % 5000);
    int64_t begin = 0;
    for (const int64_t end : ends(strings_of_lengths(lengths), limits)) {
      ASSERT_GT(end, begin);
      ASSERT_LE(end - begin, limits.max_batch_rows);
      int64_t bytes = 0;
      for (int64_t row = begin; row < end; ++row) {
        bytes += 12 + static_cast<int64_t>(lengths[static_cast<size_t>(row)]);
      }
      if (end - begin > 1) {
        ASSERT_LE(bytes, limits.max_batch_bytes);
      }
      const bool could_take_one_more =
          end < static_cast<int64_t>(lengths.size()) && end - begin < limits.max_batch_rows &&
          bytes + 12 + static_cast<int64_t>(lengths[static_cast<size_t>(end)]) <=
              limits.max_batch_bytes;
      ASSERT_FALSE(could_take_one_more) << "seed " << seed << ", row " << end;
      begin = end;
    }
    EXPECT_EQ(begin, static_cast<int64_t>(lengths.size()));
  }
}

TEST(RecordSizes, TheLargestRecordIsNamed) {
  const RecordBatch batch = strings_of_lengths({5, 100, 3});
  EXPECT_NO_THROW(check_record_sizes(batch, nullptr, record_bytes_at_most(112)));
  for (const RecordBatch& input : {batch, make_batch({encode_dictionary(batch.columns[0])})}) {
    try {
      check_record_sizes(input, nullptr, record_bytes_at_most(111));
      FAIL() << "a record over the limit passed";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kRecordTooLarge);
      const std::vector<ErrorFact> expected = {
          {"row", int64_t{1}}, {"size", int64_t{112}}, {"limit", int64_t{111}}};
      EXPECT_EQ(error.facts(), expected);
    }
  }
}

TEST(RecordSizes, HeadersCount) {
  const RecordBatch batch = make_batch({int64_array({1, 2})});
  const Array headers = strings_of_lengths({0, 200}).columns[0];
  EXPECT_THROW(check_record_sizes(batch, &headers, record_bytes_at_most(219)), Error);
  EXPECT_NO_THROW(check_record_sizes(batch, &headers, record_bytes_at_most(220)));
}

TEST(RecordSizes, LargeDictionariesAreDecodedSmallOnesStay) {
  const Array wide = encode_dictionary(strings_of_lengths({400, 0, 0}).columns[0]);
  const Array narrow = encode_dictionary(strings_of_lengths({4, 4, 4}).columns[0]);
  const RecordBatch result =
      without_large_dictionaries(make_batch({wide, narrow}), batch_bytes_at_most(600));
  EXPECT_FALSE(result.columns[0].is_encoded());
  EXPECT_TRUE(result.columns[1].is_encoded());
  EXPECT_TRUE(equal_rows(result.columns[0], wide));
}

}  // namespace
}  // namespace pystream::storage
