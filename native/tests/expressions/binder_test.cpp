// What binding refuses, and with which words.

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "tests/expressions/support.hpp"

namespace pystream::expressions {
namespace {

Schema flights() {
  Schema schema;
  const auto add = [&](const char* name, const char* type) {
    schema.fields.push_back({name, DataType::parse(type), true});
  };
  add("carrier", "string");
  add("delay", "int64");
  add("distance", "float64");
  add("cancelled", "bool");
  add("price", "decimal128(10, 2)");
  add("ts", "timestamp[ms]");
  add("day", "date32");
  add("air_time", "duration[s]");
  add("total", "uint64");
  return schema;
}

std::string message_of(const Tree& tree, ErrorCode code = ErrorCode::kSchema) {
  try {
    bind(*tree, flights());
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  return "bound without an error";
}

TEST(Binder, UnknownColumnNamesTheNearestAndAll) {
  EXPECT_EQ(message_of(column("dellay")),
            "column 'dellay' does not exist; did you mean 'delay'? The columns are carrier, delay, "
            "distance, cancelled, price, ts, day, air_time, total.");
  EXPECT_TRUE(contains(message_of(column("zzzzzzzzzzzz")), "does not exist. The columns"));
}

TEST(Binder, TypeErrorsNameColumnAndBothTypes) {
  EXPECT_EQ(
      message_of(call(Function::kAdd, {column("carrier"), column("delay")})),
      "carrier + delay: + does not take string and int64. Arithmetic takes numbers and times; "
      "cast the other side first.");
  EXPECT_EQ(message_of(call(Function::kEqual, {column("carrier"), column("delay")})),
            "carrier == delay: cannot compare carrier (string) with delay (int64). Cast one side "
            "to the type of the other.");
  EXPECT_EQ(message_of(call(Function::kGreater, {column("carrier"), literal(int64_t{5})})),
            "carrier > 5: 5 is not a string. Write the literal in the type of the other operand, "
            "or cast that operand.");
  EXPECT_TRUE(contains(message_of(call(Function::kAnd, {column("delay"), column("cancelled")})),
                       "& takes bool, but delay is int64"));
  EXPECT_TRUE(contains(message_of(call(Function::kNot, {column("delay")})),
                       "~ takes bool, but delay is int64"));
  EXPECT_TRUE(contains(message_of(call(Function::kIsNaN, {column("delay")})),
                       "is_nan takes floats, but delay is int64"));
  EXPECT_TRUE(contains(message_of(call(Function::kNegate, {column("carrier")})),
                       "- does not take string (carrier)"));
  EXPECT_TRUE(contains(message_of(call(Function::kAbs, {column("cancelled")})),
                       "abs does not take bool (cancelled)"));
  EXPECT_TRUE(contains(message_of(call(Function::kFillNull, {column("delay"), column("distance")})),
                       "cannot fill nulls of delay (int64) with distance (float64)"));
  EXPECT_TRUE(contains(message_of(call(Function::kFillNull, {column("delay"), literal(0.5)})),
                       "0.5 does not fit int64"));
  EXPECT_TRUE(
      contains(message_of(call(Function::kIsIn, {column("delay"), literal(std::string("a"))})),
               "'a' is not a int64"));
  EXPECT_TRUE(contains(message_of(call(Function::kIsIn, {column("delay"), column("delay")})),
                       "delay is not a literal"));
  EXPECT_TRUE(contains(message_of(cast(column("cancelled"), "timestamp[ms]")),
                       "there is no cast from bool (cancelled) to timestamp[ms]"));
  EXPECT_TRUE(contains(message_of(call(Function::kAdd, {column("ts"), column("ts")})),
                       "does not take timestamp[ms] and timestamp[ms]"));
  EXPECT_TRUE(contains(message_of(call(Function::kAdd, {column("ts"), literal(int64_t{5})})),
                       "does not take timestamp[ms] and literal 5"));
}

TEST(Binder, TruncateTakesAPositiveDurationOfWholeTicks) {
  const auto truncate = [](const char* name, Tree step) {
    return message_of(call(Function::kTruncate, {column(name), std::move(step)}));
  };
  EXPECT_TRUE(contains(truncate("ts", literal(std::string("soon"))), "'soon' is not a duration"));
  EXPECT_TRUE(
      contains(truncate("ts", literal(std::string("1us"))), "'1us' does not fit duration[ms]"));
  EXPECT_TRUE(contains(truncate("ts", literal(int64_t{0})), "not a positive duration"));
  EXPECT_TRUE(contains(truncate("day", literal(std::string("1h"))), "not a whole number of days"));
  EXPECT_TRUE(contains(truncate("carrier", literal(int64_t{1})),
                       "truncate takes times, but carrier is string"));
  EXPECT_TRUE(contains(truncate("ts", column("ts")), "ts is not a duration"));
}

TEST(Binder, LiteralsThatSayNothingAreRefused) {
  EXPECT_TRUE(contains(message_of(literal(std::monostate{})), "no type of its own"));
  EXPECT_TRUE(
      contains(message_of(call(Function::kLess, {column("ts"), literal(std::string("noon"))})),
               "'noon' is not a time"));
  EXPECT_TRUE(
      contains(message_of(call(Function::kLess, {column("air_time"), literal(std::string("x"))})),
               "'x' is not a duration"));
  EXPECT_TRUE(contains(message_of(cast(literal(int64_t{300}), "int8")), "300 does not fit int8"));
}

TEST(Binder, DecimalsMeetNoFloats) {
  EXPECT_TRUE(contains(
      message_of(call(Function::kAdd, {column("price"), column("distance")}), ErrorCode::kSchema),
      "takes decimals and integers, but distance is float64. Cast one side"));
  EXPECT_TRUE(contains(message_of(call(Function::kModulo, {column("price"), literal(int64_t{1})}),
                                  ErrorCode::kNotSupported),
                       "price % 1: // and % of decimals are not supported"));
  EXPECT_TRUE(contains(message_of(call(Function::kLess, {column("price"), column("distance")}),
                                  ErrorCode::kNotSupported),
                       "comparing decimal128(10, 2) with float64 is not supported"));
}

std::string type_of(const Tree& tree) { return bind(*tree, flights())->type().to_string(); }

TEST(Binder, ResultTypes) {
  const auto binary = [](Function function, Tree a, Tree b) {
    return type_of(call(function, {std::move(a), std::move(b)}));
  };
  EXPECT_EQ(binary(Function::kAdd, column("delay"), literal(int64_t{1})), "int64");
  EXPECT_EQ(binary(Function::kAdd, column("delay"), literal(0.5)), "float64");
  EXPECT_EQ(binary(Function::kDivide, column("delay"), literal(int64_t{2})), "float64");
  EXPECT_EQ(binary(Function::kFloorDivide, column("delay"), literal(int64_t{2})), "int64");
  EXPECT_EQ(binary(Function::kAdd, column("total"), literal(int64_t{2})), "uint64");
  EXPECT_EQ(binary(Function::kAdd, column("total"), literal(int64_t{-2})), "int64");
  EXPECT_EQ(binary(Function::kAdd, column("total"), column("delay")), "int64");
  EXPECT_EQ(binary(Function::kSubtract, column("ts"), column("ts")), "duration[ms]");
  EXPECT_EQ(binary(Function::kAdd, column("ts"), column("air_time")), "timestamp[ms]");
  EXPECT_EQ(binary(Function::kAdd, column("ts"), literal(std::string("1h"))), "timestamp[ms]");
  EXPECT_EQ(binary(Function::kAdd, column("ts"), literal(std::string("1us"))), "timestamp[us]");
  EXPECT_EQ(binary(Function::kSubtract, column("ts"), column("day")), "duration[ms]");
  EXPECT_EQ(binary(Function::kMultiply, column("air_time"), literal(int64_t{2})), "duration[s]");
  EXPECT_EQ(binary(Function::kFloorDivide, column("air_time"), column("air_time")), "int64");
  EXPECT_EQ(binary(Function::kDivide, column("air_time"), column("air_time")), "float64");
  EXPECT_EQ(type_of(call(Function::kTruncate, {column("ts"), literal(std::string("1h"))})),
            "timestamp[ms]");
  EXPECT_EQ(type_of(literal(2.5)), "float64");
}

TEST(ToString, ReadsAsTheUserWouldWriteIt) {
  const Tree twice = call(Function::kMultiply, {column("amount"), literal(int64_t{2})});
  EXPECT_EQ(call(Function::kGreater, {twice, literal(int64_t{100})})->to_string(),
            "(amount * 2) > 100");
  EXPECT_EQ(call(Function::kNot, {call(Function::kIsNull, {twice})})->to_string(),
            "~(amount * 2).is_null()");
  EXPECT_EQ(call(Function::kIsIn, {column("user"), literal(std::string("it's")),
                                   literal(std::monostate{}), literal(true)})
                ->to_string(),
            "user.isin(['it\\'s', None, True])");
  EXPECT_EQ(call(Function::kAbs, {call(Function::kNegate, {column("x")})})->to_string(), "abs(-x)");
  EXPECT_EQ(call(Function::kFillNull, {column("x"), literal(1.0)})->to_string(),
            "x.fill_null(1.0)");
  EXPECT_EQ(cast(column("x"), "timestamp[ms, UTC]")->to_string(), "x.cast('timestamp[ms, UTC]')");
  EXPECT_EQ(typed_literal(int64_t{-1}, "timestamp[ms, UTC]")->to_string(),
            "'1969-12-31T23:59:59.999Z'");
  EXPECT_EQ(typed_literal(int64_t{5400}, "duration[s]")->to_string(), "'90m'");
  EXPECT_EQ(typed_literal(int64_t{-1}, "uint64")->to_string(), "18446744073709551615");
}

}  // namespace
}  // namespace pystream::expressions
