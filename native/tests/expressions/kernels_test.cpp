// Examples and edges per family. Breadth comes from the differential test in Python.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.hpp"
#include "tests/expressions/support.hpp"

namespace pystream::expressions {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr auto kNull = std::nullopt;

using Ints = std::vector<std::optional<int64_t>>;
using Bools = std::vector<std::optional<bool>>;
using Doubles = std::vector<std::optional<double>>;

Array int64s(const Ints& values) { return fixed<int64_t>("int64", values); }

std::string failure(const Tree& tree, const RecordBatch& batch) {
  try {
    run(tree, batch);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kOperator);
    return error.what();
  }
  return "no error";
}

TEST(Arithmetic, OverflowNamesExpressionAndRowAndIgnoresNulls) {
  const RecordBatch batch = batch_of({{"x", int64s({1, kNull, kMax})}});
  EXPECT_EQ(failure(call(Function::kAdd, {column("x"), literal(int64_t{1})}), batch),
            "integer overflow: 9223372036854775807 + 1 does not fit int64 in x + 1 at row 2. Cast "
            "to float64 first where an approximate result will do.");
  // Whatever lies below a null cannot fail.
  const RecordBatch masked = batch.slice(0, 2);
  EXPECT_EQ(rows<int64_t>(run(call(Function::kAdd, {column("x"), literal(int64_t{1})}), masked)),
            (Ints{2, kNull}));
  EXPECT_TRUE(
      contains(failure(call(Function::kNegate, {column("x")}), batch_of({{"x", int64s({kMin})}})),
               "does not fit int64 in -x at row 0"));
  EXPECT_TRUE(
      contains(failure(call(Function::kAbs, {column("x")}), batch_of({{"x", int64s({kMin})}})),
               "in abs(x) at row 0"));
}

TEST(Arithmetic, DivisionFloorsAndZeroRaises) {
  const RecordBatch batch =
      batch_of({{"a", int64s({7, -7, 7, -7, kMin, kNull})}, {"b", int64s({2, 2, -2, -2, 1, 0})}});
  const auto both = [](Function function) { return call(function, {column("a"), column("b")}); };
  EXPECT_EQ(rows<int64_t>(run(both(Function::kFloorDivide), batch)),
            (Ints{3, -4, -4, 3, kMin, kNull}));
  EXPECT_EQ(rows<int64_t>(run(both(Function::kModulo), batch)), (Ints{1, 1, -1, -1, 0, kNull}));
  EXPECT_EQ(rows<double>(run(both(Function::kDivide), batch)),
            (Doubles{3.5, -3.5, -3.5, 3.5, -0x1p63, kNull}));
  const RecordBatch bad = batch_of({{"a", int64s({1, kMin})}, {"b", int64s({0, -1})}});
  EXPECT_TRUE(
      contains(failure(both(Function::kDivide), bad), "division of 1 by zero in a / b at row 0"));
  EXPECT_TRUE(contains(failure(both(Function::kFloorDivide), bad.slice(1, 1)),
                       "-9223372036854775808 // -1 does not fit int64"));
  EXPECT_EQ(rows<int64_t>(run(both(Function::kModulo), bad.slice(1, 1))), (Ints{0}));
}

TEST(Arithmetic, FloatDivisionFollowsIeeeAndPython) {
  const double inf = std::numeric_limits<double>::infinity();
  const RecordBatch batch = batch_of({{"a", fixed<double>("float64", {1.0, -1.0, 7.5, -7.5, -1.0})},
                                      {"b", fixed<double>("float64", {0.0, 0.0, 2.0, 2.0, inf})}});
  const auto both = [&](Function function) {
    return rows<double>(run(call(function, {column("a"), column("b")}), batch));
  };
  EXPECT_EQ(both(Function::kDivide), (Doubles{inf, -inf, 3.75, -3.75, -0.0}));
  EXPECT_EQ(both(Function::kFloorDivide), (Doubles{inf, -inf, 3.0, -4.0, -1.0}));
  const Doubles modulo = both(Function::kModulo);
  EXPECT_TRUE(std::isnan(*modulo[0]));
  EXPECT_EQ(*modulo[2], 1.5);
  EXPECT_EQ(*modulo[3], 0.5);
  EXPECT_EQ(*modulo[4], inf);
}

TEST(Arithmetic, MixedSignednessIsExact) {
  const RecordBatch batch =
      batch_of({{"u", fixed<uint64_t>("uint64", {uint64_t{1} << 63})}, {"i", int64s({-1})}});
  EXPECT_EQ(rows<int64_t>(run(call(Function::kAdd, {column("u"), column("i")}), batch)),
            (Ints{kMax}));
  EXPECT_TRUE(contains(failure(call(Function::kSubtract, {column("u"), column("i")}), batch),
                       "9223372036854775808 - -1 does not fit int64"));
  EXPECT_TRUE(
      contains(failure(call(Function::kSubtract, {literal(int64_t{1}), column("u")}), batch),
               "1 - 9223372036854775808 does not fit uint64"));
}

TEST(Arithmetic, OfTwoLiteralsGivesAColumn) {
  const RecordBatch batch = batch_of({{"x", int64s({1, 2})}});
  const Tree three = call(Function::kAdd, {literal(int64_t{1}), literal(int64_t{2})});
  EXPECT_EQ(rows<int64_t>(run(three, batch)), (Ints{3, 3}));
  const Tree half = call(Function::kDivide, {literal(1.0), literal(int64_t{2})});
  EXPECT_EQ(rows<double>(run(half, batch)), (Doubles{0.5, 0.5}));
}

TEST(Comparison, IsExactAcrossTypes) {
  const int64_t big = (int64_t{1} << 53) + 1;
  const RecordBatch batch =
      batch_of({{"i", int64s({big, -1, big - 1})},
                {"f", fixed<double>("float64", {0x1p53, std::nan(""), 0x1p53})},
                {"u", fixed<uint64_t>("uint64", {uint64_t{1} << 63, ~uint64_t{0}, 3})}});
  const auto compare = [&](Function function, Tree a, Tree b) {
    return rows<bool>(run(call(function, {std::move(a), std::move(b)}), batch));
  };
  EXPECT_EQ(compare(Function::kEqual, column("i"), column("f")), (Bools{false, false, true}));
  EXPECT_EQ(compare(Function::kGreater, column("i"), column("f")), (Bools{true, false, false}));
  EXPECT_EQ(compare(Function::kNotEqual, column("f"), column("i")), (Bools{true, true, false}));
  EXPECT_EQ(compare(Function::kLess, column("i"), column("u")), (Bools{true, true, false}));
  // Literals outside the type, and between its values.
  EXPECT_EQ(compare(Function::kLess, column("i"), literal(1e30)), (Bools{true, true, true}));
  EXPECT_EQ(compare(Function::kGreater, column("i"), literal(-0.5)), (Bools{true, false, true}));
  EXPECT_EQ(compare(Function::kLessEqual, column("i"), literal(-1.5)),
            (Bools{false, false, false}));
  EXPECT_EQ(compare(Function::kEqual, column("i"), literal(0.5)), (Bools{false, false, false}));
  EXPECT_EQ(compare(Function::kGreater, column("u"), literal(int64_t{-5})),
            (Bools{true, true, true}));
  EXPECT_EQ(compare(Function::kLess, column("f"), literal(big)), (Bools{true, false, true}));
  EXPECT_EQ(compare(Function::kNotEqual, column("i"), literal(std::nan(""))),
            (Bools{true, true, true}));
  EXPECT_EQ(compare(Function::kLess, literal(int64_t{0}), column("i")), (Bools{true, false, true}));
}

TEST(Comparison, OfTimesAcrossUnitsAndText) {
  const RecordBatch batch = batch_of({{"s", fixed<int64_t>("timestamp[s]", {0, -1, kMax, kNull})},
                                      {"n", fixed<int64_t>("timestamp[ns]", {1, -1, kMax, 0})},
                                      {"d", fixed<int32_t>("date32", {0, -1, 100, 5})}});
  const auto compare = [&](Function function, Tree a, Tree b) {
    return rows<bool>(run(call(function, {std::move(a), std::move(b)}), batch));
  };
  EXPECT_EQ(compare(Function::kLess, column("s"), column("n")), (Bools{true, true, false, kNull}));
  EXPECT_EQ(compare(Function::kEqual, column("d"), literal(std::string("1969-12-31"))),
            (Bools{false, true, false, false}));
  EXPECT_EQ(
      compare(Function::kLessEqual, column("s"), literal(std::string("1970-01-01T00:00:00.5"))),
      (Bools{true, true, false, kNull}));
  EXPECT_EQ(compare(Function::kGreaterEqual, column("d"), column("s")),
            (Bools{true, false, false, kNull}));
  EXPECT_EQ(compare(Function::kEqual, column("s"), literal(std::string("1970-01-01 02:00+02:00"))),
            (Bools{true, false, false, kNull}));
}

TEST(Comparison, OfDecimalsAcrossScales) {
  const auto decimals = [](const char* type, const std::vector<std::optional<__int128>>& values) {
    return fixed<__int128>(type, values);
  };
  const RecordBatch batch = batch_of({{"a", decimals("decimal128(10, 2)", {150, -150, 0})},
                                      {"b", decimals("decimal128(38, 4)", {15000, -15001, 1})},
                                      {"i", int64s({1, -2, 0})}});
  const auto compare = [&](Function function, Tree a, Tree b) {
    return rows<bool>(run(call(function, {std::move(a), std::move(b)}), batch));
  };
  EXPECT_EQ(compare(Function::kEqual, column("a"), column("b")), (Bools{true, false, false}));
  EXPECT_EQ(compare(Function::kGreater, column("a"), column("b")), (Bools{false, true, false}));
  EXPECT_EQ(compare(Function::kGreater, column("a"), column("i")), (Bools{true, true, false}));
  EXPECT_EQ(compare(Function::kLess, column("a"), typed_literal("1.501", "decimal128(4, 3)")),
            (Bools{true, true, true}));
}

TEST(Logic, IsThreeValued) {
  const RecordBatch batch =
      batch_of({{"a", bools({true, true, true, false, false, false, kNull, kNull, kNull})},
                {"b", bools({true, false, kNull, true, false, kNull, true, false, kNull})}});
  EXPECT_EQ(rows<bool>(run(call(Function::kAnd, {column("a"), column("b")}), batch)),
            (Bools{true, false, kNull, false, false, false, kNull, false, kNull}));
  EXPECT_EQ(rows<bool>(run(call(Function::kOr, {column("a"), column("b")}), batch)),
            (Bools{true, true, true, true, false, kNull, true, kNull, kNull}));
  EXPECT_EQ(rows<bool>(run(call(Function::kNot, {column("a")}), batch)),
            (Bools{false, false, false, true, true, true, kNull, kNull, kNull}));
  EXPECT_EQ(rows<bool>(run(call(Function::kAnd, {column("a"), literal(std::monostate{})}), batch)),
            (Bools{kNull, kNull, kNull, false, false, false, kNull, kNull, kNull}));
}

TEST(Strings, EncodedAndPlainAgree) {
  const Array plain = strings({"ua", "aa", kNull, "ua", "b6"});
  Tree encode = cast(column("s"), "dictionary<string>");
  const Array encoded = run(encode, batch_of({{"s", plain}}));
  ASSERT_TRUE(encoded.is_encoded());
  for (const Array& array : {plain, encoded}) {
    const RecordBatch batch = batch_of({{"s", array}});
    const auto test = [&](const Tree& tree) { return rows<bool>(run(tree, batch)); };
    EXPECT_EQ(test(call(Function::kEqual, {column("s"), literal(std::string("ua"))})),
              (Bools{true, false, kNull, true, false}));
    EXPECT_EQ(test(call(Function::kLess, {literal(std::string("b")), column("s")})),
              (Bools{true, false, kNull, true, true}));
    EXPECT_EQ(test(call(Function::kIsIn,
                        {column("s"), literal(std::string("aa")), literal(std::string("b6"))})),
              (Bools{false, true, kNull, false, true}));
    EXPECT_EQ(test(call(Function::kIsIn,
                        {column("s"), literal(std::string("aa")), literal(std::monostate{})})),
              (Bools{kNull, true, kNull, kNull, kNull}));
    EXPECT_EQ(test(call(Function::kEqual, {column("s"), column("s")})),
              (Bools{true, true, kNull, true, true}));
    EXPECT_EQ(rows<std::string>(
                  run(call(Function::kFillNull, {column("s"), literal(std::string("??"))}), batch)),
              (std::vector<std::optional<std::string>>{"ua", "aa", "??", "ua", "b6"}));
  }
}

TEST(Strings, AllNullColumnMayHaveAnEmptyDictionary) {
  Array array = make_nulls(DataType::of(TypeId::kString), 3);
  if (!array.is_encoded())
    array = run(cast(column("s"), "dictionary<string>"), batch_of({{"s", array}}));
  ASSERT_EQ(array.dictionary->length, 0);
  const RecordBatch batch = batch_of({{"s", array}});
  EXPECT_EQ(rows<bool>(run(call(Function::kEqual, {column("s"), column("s")}), batch)),
            (Bools{kNull, kNull, kNull}));
  EXPECT_EQ(rows<bool>(run(call(Function::kLess, {column("s"), literal(std::string("a"))}), batch)),
            (Bools{kNull, kNull, kNull}));
}

TEST(IsIn, EmptyListHoldsNothing) {
  const RecordBatch batch = batch_of({{"x", int64s({1, kNull})}});
  EXPECT_EQ(rows<bool>(run(call(Function::kIsIn, {column("x")}), batch)), (Bools{false, false}));
}

TEST(IsIn, LongListsAreSearched) {
  std::vector<ExpressionPtr> arguments = {column("x")};
  for (int64_t i = 0; i < 40; ++i) arguments.push_back(literal(39 * i % 101));
  const RecordBatch batch = batch_of({{"x", int64s({0, 39, 1, kNull, 100})}});
  EXPECT_EQ(rows<bool>(run(call(Function::kIsIn, arguments), batch)),
            (Bools{true, true, false, kNull, false}));
}

TEST(Time, ArithmeticMeetsInTheFinerUnit) {
  const RecordBatch batch = batch_of({{"t", fixed<int64_t>("timestamp[s]", {10, kNull})},
                                      {"d", fixed<int64_t>("duration[ms]", {1500, 1})}});
  const Array sum = run(call(Function::kAdd, {column("t"), column("d")}), batch);
  EXPECT_EQ(sum.type.to_string(), "timestamp[ms]");
  EXPECT_EQ(rows<int64_t>(sum), (Ints{11500, kNull}));
  const Array back =
      run(call(Function::kSubtract, {column("t"), literal(std::string("1m"))}), batch);
  EXPECT_EQ(back.type.to_string(), "timestamp[s]");
  EXPECT_EQ(rows<int64_t>(back), (Ints{-50, kNull}));
  const RecordBatch far = batch_of({{"t", fixed<int64_t>("timestamp[s]", {kMax})}});
  EXPECT_TRUE(
      contains(failure(call(Function::kAdd, {column("t"), literal(std::string("1ms"))}), far),
               "9223372036854775807 does not fit timestamp[ms] in t at row 0"));
}

TEST(Time, TruncateFloorsBefore1970) {
  const RecordBatch batch = batch_of(
      {{"t", fixed<int64_t>("timestamp[ms]", {3599999, 3600000, -1, kNull, -3600000, -3600001})},
       {"d", fixed<int32_t>("date32", {6, 7, -1, 0, -7, -8})}});
  EXPECT_EQ(rows<int64_t>(
                run(call(Function::kTruncate, {column("t"), literal(std::string("1h"))}), batch)),
            (Ints{0, 3600000, -3600000, kNull, -3600000, -7200000}));
  EXPECT_EQ(rows<int32_t>(
                run(call(Function::kTruncate, {column("d"), literal(std::string("7d"))}), batch)),
            (std::vector<std::optional<int32_t>>{0, 7, -7, 0, -7, -14}));
  EXPECT_TRUE(contains(failure(call(Function::kTruncate, {column("t"), literal(int64_t{1000})}),
                               batch_of({{"t", fixed<int64_t>("timestamp[ns]", {5, kMin})}})),
                       "at row 1"));
}

TEST(Cast, ChecksEveryRow) {
  const RecordBatch batch = batch_of({{"i", int64s({1, 300, kNull})},
                                      {"f", fixed<double>("float64", {-1.9, 2.9, 1e300})},
                                      {"s", strings({"12", "x", kNull})}});
  EXPECT_TRUE(contains(failure(cast(column("i"), "int8"), batch),
                       "300 does not fit int8 in i.cast('int8') at row 1"));
  EXPECT_TRUE(contains(failure(cast(column("f"), "int64"), batch), "at row 2"));
  EXPECT_EQ(rows<int64_t>(run(cast(column("f"), "int64"), batch.slice(0, 2))), (Ints{-1, 2}));
  EXPECT_TRUE(contains(failure(cast(column("s"), "int64"), batch),
                       "'x' is not a int64 in s.cast('int64') at row 1"));
  EXPECT_EQ(rows<std::string>(run(cast(column("f"), "string"), batch.slice(0, 1))),
            (std::vector<std::optional<std::string>>{"-1.9"}));
  EXPECT_EQ(rows<bool>(run(cast(column("i"), "bool"), batch)), (Bools{true, true, kNull}));
}

TEST(Null, TestsAndFills) {
  const RecordBatch batch = batch_of({{"f", fixed<double>("float64", {1.0, kNull, std::nan("")})},
                                      {"b", bools({true, kNull, false})}});
  EXPECT_EQ(rows<bool>(run(call(Function::kIsNull, {column("f")}), batch)),
            (Bools{false, true, false}));
  EXPECT_EQ(rows<bool>(run(call(Function::kIsNotNull, {column("f")}), batch)),
            (Bools{true, false, true}));
  EXPECT_EQ(rows<bool>(run(call(Function::kIsNaN, {column("f")}), batch)),
            (Bools{false, kNull, true}));
  EXPECT_EQ(*rows<double>(run(call(Function::kFillNull, {column("f"), literal(0.5)}), batch))[1],
            0.5);
  EXPECT_EQ(rows<bool>(run(call(Function::kFillNull, {column("b"), literal(false)}), batch)),
            (Bools{true, false, false}));
}

TEST(Kernels, EmptyBatch) {
  const RecordBatch batch = batch_of({{"x", int64s({})}, {"s", strings({})}});
  EXPECT_EQ(run(call(Function::kAdd, {column("x"), literal(int64_t{1})}), batch).length, 0);
  EXPECT_EQ(run(call(Function::kLess, {column("x"), column("x")}), batch).length, 0);
  EXPECT_EQ(run(call(Function::kEqual, {column("s"), literal(std::string("a"))}), batch).length, 0);
  EXPECT_EQ(run(literal(std::string("a")), batch).length, 0);
}

}  // namespace
}  // namespace pystream::expressions
