// select_true, and its two twins held against each other.

#include <gtest/gtest.h>

#include <random>

#include "expressions/detail/select_kernels.hpp"
#include "expressions/detail/vectorize.hpp"
#include "tests/expressions/support.hpp"

namespace pystream::expressions {
namespace {

Array random_bools(std::mt19937& random, int64_t rows, double density, double nulls) {
  std::bernoulli_distribution is_true(density);
  std::bernoulli_distribution is_null(nulls);
  std::vector<std::optional<bool>> values;
  for (int64_t i = 0; i < rows; ++i) {
    values.push_back(is_null(random) ? std::nullopt : std::optional<bool>(is_true(random)));
  }
  return bools(values);
}

std::vector<int32_t> expected(const Array& condition) {
  std::vector<int32_t> rows;
  for (int64_t i = 0; i < condition.length; ++i) {
    if (condition.is_valid(i) && get_bit(condition.values.data, i)) {
      rows.push_back(static_cast<int32_t>(i));
    }
  }
  return rows;
}

TEST(SelectTrue, ListsTrueRowsAndNoNulls) {
  std::vector<int32_t> out = {7, 7, 7};
  select_true(bools({true, false, std::nullopt, true}), &out);
  EXPECT_EQ(out, (std::vector<int32_t>{0, 3}));
  select_true(bools({}), &out);
  EXPECT_TRUE(out.empty());
}

TEST(SelectTrue, AgreesWithAPlainLoopAtEveryLengthAndDensity) {
  std::mt19937 random(20130101);
  for (const double density : {0.0, 0.02, 0.5, 0.98, 1.0}) {
    for (const double nulls : {0.0, 0.3}) {
      for (const int64_t rows : {1, 7, 15, 16, 17, 63, 64, 65, 128, 1000, 70000}) {
        const Array condition = random_bools(random, rows, density, nulls);
        const std::vector<int32_t> want = expected(condition);
        std::vector<int32_t> out;
        select_true(condition, &out);
        EXPECT_EQ(out, want);

        std::vector<int32_t> twin(static_cast<size_t>(rows + detail::kSelectSlack));
        twin.resize(
            static_cast<size_t>(detail::list_rows_portable(condition, twin.data()) - twin.data()));
        EXPECT_EQ(twin, want);
        if (detail::instruction_set() != detail::InstructionSet::kAvx512) continue;
        twin.assign(static_cast<size_t>(rows + detail::kSelectSlack), -1);
        twin.resize(
            static_cast<size_t>(detail::list_rows_avx512(condition, twin.data()) - twin.data()));
        EXPECT_EQ(twin, want);
      }
    }
  }
}

}  // namespace
}  // namespace pystream::expressions
