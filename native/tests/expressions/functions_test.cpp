// Functions of strings and times, choices, and casts that give null: edges per family, under the
// sanitizers too. Breadth comes from the differential test in Python.

#include <gtest/gtest.h>

#include <limits>

#include "base/error.hpp"
#include "tests/expressions/support.hpp"

namespace pystream::expressions {
namespace {

constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr auto kNull = std::nullopt;

using Ints = std::vector<std::optional<int64_t>>;
using Texts = std::vector<std::optional<std::string>>;

Array int64s(const Ints& values) { return fixed<int64_t>("int64", values); }
Tree text(const std::string& value) { return literal(value); }

Tree substring(const std::string& name, int64_t start, int64_t length) {
  return call(Function::kSubstring, {column(name), literal(start), literal(length)});
}

TEST(Text, PartsCountCodePointsInEitherEncoding) {
  const Array plain = strings({"aé日𝄞", "", kNull, " x "});
  const RecordBatch batch = batch_of({{"s", plain}, {"e", encode_dictionary(plain)}});
  for (const std::string name : {"s", "e"}) {
    const auto part = [&](int64_t start, int64_t length) {
      return rows<std::string>(run(substring(name, start, length), batch));
    };
    EXPECT_EQ(part(1, 2), (Texts{"é日", "", kNull, "x "}));
    EXPECT_EQ(part(-2, 1), (Texts{"日", "", kNull, "x"}));
    EXPECT_EQ(part(kMin, kMax), (Texts{"aé日𝄞", "", kNull, " x "}));
    EXPECT_EQ(part(kMax, kMax), (Texts{"", "", kNull, ""}));
    EXPECT_EQ(rows<int64_t>(run(call(Function::kLength, {column(name)}), batch)),
              (Ints{4, 0, kNull, 3}));
    EXPECT_EQ(rows<std::string>(run(call(Function::kStrip, {column(name)}), batch)),
              (Texts{"aé日𝄞", "", kNull, "x"}));
    EXPECT_EQ(rows<std::string>(run(call(Function::kAdd, {text("<"), column(name)}), batch)),
              (Texts{"<aé日𝄞", "<", kNull, "< x "}));
  }
  const Array joined = run(call(Function::kAdd, {column("e"), text("!")}), batch);
  EXPECT_TRUE(joined.is_encoded());
  EXPECT_EQ(joined.values.data, batch.columns[1].values.data);  // the codes are not copied
}

TEST(Text, CaseIsUnicodesInEitherEncoding) {
  const Array plain = strings({"Aß", "ΑΣ", kNull, "z"});
  for (const Array& in : {plain, encode_dictionary(plain), slice(strings({"é", "aZ"}), 1, 1)}) {
    const RecordBatch batch = batch_of({{"s", in}});
    const bool is_ascii = in.length == 1;
    EXPECT_EQ(rows<std::string>(run(call(Function::kLower, {column("s")}), batch)),
              is_ascii ? (Texts{"az"}) : (Texts{"aß", "ας", kNull, "z"}));
    EXPECT_EQ(rows<std::string>(run(call(Function::kUpper, {column("s")}), batch)),
              is_ascii ? (Texts{"AZ"}) : (Texts{"ASS", "ΑΣ", kNull, "Z"}));
  }
}

TEST(Text, BytesThatAreNotUtf8StayInside) {
  // No string column holds them; a dictionary entry that no row has might.
  const RecordBatch batch = batch_of({{"s", strings({"\x80\xbf", "\xf0\x9f", "a\x80"})}});
  for (int64_t start = -3; start <= 3; ++start) {
    EXPECT_EQ(run(substring("s", start, 1), batch).length, 3);
  }
  for (const Function function : {Function::kStrip, Function::kLower, Function::kUpper}) {
    EXPECT_EQ(run(call(function, {column("s")}), batch).length, 3);
  }
}

TEST(Text, PatternsAndPartsInEitherEncoding) {
  const Array plain = strings({"k=é", "", kNull, "a=b=c"});
  for (const Array& in : {plain, encode_dictionary(plain)}) {
    const RecordBatch batch = batch_of({{"s", in}});
    const auto texts = [&](Function function, const Tree& a, const Tree& b) {
      return rows<std::string>(run(call(function, {column("s"), a, b}), batch));
    };
    EXPECT_EQ(rows<bool>(run(call(Function::kRegexpMatch, {column("s"), text("^.=")}), batch)),
              (std::vector<std::optional<bool>>{true, false, kNull, true}));
    EXPECT_EQ(texts(Function::kRegexpExtract, text("=(.)(x)?"), literal(int64_t{1})),
              (Texts{"é", kNull, kNull, "b"}));
    EXPECT_EQ(texts(Function::kRegexpExtract, text("=(.)(x)?"), literal(int64_t{2})),
              (Texts{kNull, kNull, kNull, kNull}));
    EXPECT_EQ(texts(Function::kRegexpReplace, text("x*"), text("-")),
              (Texts{"-k-=-é-", "-", kNull, "-a-=-b-=-c-"}));
    EXPECT_EQ(texts(Function::kSplitPart, text("="), literal(int64_t{-2})),
              (Texts{"k", kNull, kNull, "b"}));
    EXPECT_EQ(texts(Function::kSplitPart, text("="), literal(kMin)),
              (Texts{kNull, kNull, kNull, kNull}));
  }
  const RecordBatch broken = batch_of({{"s", strings({"\x80\xbf", "\xf0"})}});
  EXPECT_EQ(run(call(Function::kRegexpReplace, {column("s"), text(""), text("-")}), broken).length,
            2);
}

TEST(Case, SharesNoRowsBetweenParts) {
  const RecordBatch batch = batch_of({{"n", int64s({4, 0, kNull, 2})}});
  const Tree is_zero = call(Function::kEqual, {column("n"), literal(int64_t{0})});
  const Tree inverse = call(Function::kFloorDivide, {literal(int64_t{8}), column("n")});
  EXPECT_EQ(
      rows<int64_t>(run(call(Function::kCase, {is_zero, literal(int64_t{-1}), inverse}), batch)),
      (Ints{2, -1, kNull, 4}));
  const Tree label =
      call(Function::kCase, {is_zero, text("none"), call(Function::kIsNull, {column("n")}),
                             literal(std::monostate{}), text("some")});
  const Array labels = run(label, batch);
  EXPECT_TRUE(labels.is_encoded());
  EXPECT_EQ(rows<std::string>(labels), (Texts{"some", "none", kNull, "some"}));
  EXPECT_EQ(run(label, batch.slice(0, 0)).length, 0);
  EXPECT_EQ(label->to_string(),
            "when(n == 0).then('none').when(n.is_null()).then(None).otherwise('some')");
}

TEST(Case, NamesTheRowOfTheBatchAtEveryDepth) {
  const RecordBatch batch = batch_of({{"n", int64s({1, 5, 1, 0, 1})}});
  const Tree inverse = call(Function::kFloorDivide, {literal(int64_t{8}), column("n")});
  const auto below = [&](int64_t limit, Tree value) {
    return call(Function::kCase,
                {call(Function::kLess, {column("n"), literal(limit)}), std::move(value)});
  };
  const Tree tree = call(Function::kCoalesce, {below(0, column("n")), below(3, below(1, inverse))});
  try {
    run(tree, batch);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kOperator);
    EXPECT_TRUE(contains(error.what(), "division of 8 by zero in 8 // n at row 3"));
    EXPECT_EQ(std::get<int64_t>(error.facts().at(1).second), 3);
  }
}

TEST(NullIf, NestsWithoutComputingTwice) {
  const RecordBatch batch = batch_of({{"n", int64s({0, 1, kNull, 63, 64})}});
  Tree tree = column("n");
  for (int64_t i = 0; i < 64; ++i) tree = call(Function::kNullIf, {tree, literal(i)});
  EXPECT_EQ(rows<int64_t>(run(tree, batch)), (Ints{kNull, kNull, kNull, kNull, 64}));
}

TEST(TryCast, GivesNullWhereCastFails) {
  const RecordBatch batch =
      batch_of({{"n", int64s({1, 300, kNull, -1})}, {"s", strings({"7", "x", kNull, "8"})}});
  const auto attempt = [](const std::string& name, const std::string& type) {
    Tree tree = call(Function::kTryCast, {column(name)});
    tree->cast_type = DataType::parse(type);
    return tree;
  };
  const Array bytes = run(attempt("n", "uint8"), batch);
  EXPECT_EQ(rows<uint8_t>(bytes), (std::vector<std::optional<uint8_t>>{1, kNull, kNull, kNull}));
  EXPECT_EQ(bytes.null_count, 3);
  EXPECT_EQ(rows<int64_t>(run(attempt("s", "int64"), batch)), (Ints{7, kNull, kNull, 8}));
  EXPECT_EQ(attempt("n", "uint8")->to_string(), "n.try_cast('uint8')");
}

TEST(Extract, HoldsAtTheEndsOfTheRange) {
  const RecordBatch batch =
      batch_of({{"s", fixed<int64_t>("timestamp[s]", {kMin, kMax, -1, kNull})},
                {"ns", fixed<int64_t>("timestamp[ns]", {kMin, kMax, -1, 0})}});
  const auto part = [&](const std::string& name, const std::string& of) {
    return rows<int64_t>(run(call(Function::kExtract, {column(name), text(of)}), batch));
  };
  EXPECT_EQ(part("s", "year"), (Ints{-292277022657, 292277026596, 1969, kNull}));
  EXPECT_EQ(part("s", "hour"), (Ints{8, 15, 23, kNull}));
  EXPECT_EQ(part("s", "epoch"), (Ints{kMin, kMax, -1, kNull}));
  EXPECT_EQ(part("ns", "year"), (Ints{1677, 2262, 1969, 1970}));
  EXPECT_EQ(part("ns", "nanosecond"), (Ints{145224192, 854775807, 999999999, 0}));
  EXPECT_EQ(part("ns", "epoch"), (Ints{-9223372037, 9223372036, -1, 0}));
  EXPECT_EQ(part("ns", "day_of_week"), (Ints{2, 5, 3, 4}));
}

}  // namespace
}  // namespace pystream::expressions
