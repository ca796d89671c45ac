// Expressions over one batch, by the kind of what they take.

#include <charconv>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "columns/builder.hpp"
#include "events.hpp"
#include "expressions/expression.hpp"
#include "kernel.hpp"

namespace pystream::gate {
namespace {

using expressions::Expression;
using expressions::ExpressionPtr;
using expressions::Literal;
using F = expressions::Function;
using Arguments = std::vector<ExpressionPtr>;

// Of the columns that are made for expressions: enough, as each row costs the same.
constexpr int64_t kSome = 16'384;

ExpressionPtr column(std::string name) {
  auto node = std::make_shared<Expression>();
  node->kind = Expression::Kind::kColumn;
  node->column = std::move(name);
  return node;
}

ExpressionPtr literal(Literal value) {
  auto node = std::make_shared<Expression>();
  node->kind = Expression::Kind::kLiteral;
  node->literal = std::move(value);
  return node;
}

ExpressionPtr text(const char* value) { return literal(std::string(value)); }
ExpressionPtr number(int64_t value) { return literal(value); }

ExpressionPtr call(F function, Arguments arguments) {
  auto node = std::make_shared<Expression>();
  node->kind = Expression::Kind::kCall;
  node->function = function;
  node->arguments = std::move(arguments);
  return node;
}

ExpressionPtr cast(const char* type, F function = F::kCast) {
  auto node = std::make_shared<Expression>(*call(function, {column("x")}));
  node->cast_type = DataType::parse(type);
  return node;
}

// A zone whose clocks are turned twice a year, from 1970 to 2070.
ExpressionPtr zone() {
  constexpr int64_t kHalfYear = 15'778'476;
  std::vector<int64_t> table = {INT64_MAX, INT64_MIN, 3600};
  for (int64_t i = 1; i < 200; ++i) {
    table.push_back(i * kHalfYear);
    table.push_back(i % 2 == 1 ? 7200 : 3600);
  }
  auto node = std::make_shared<Expression>(*text("Europe/Berlin"));
  node->zone_table.assign(reinterpret_cast<const char*>(table.data()),
                          table.size() * sizeof(int64_t));
  return node;
}

RecordBatch columns(Array x, const Array* y = nullptr) {
  RecordBatch batch;
  batch.num_rows = x.length;
  batch.columns = {std::move(x)};
  if (y != nullptr) batch.columns.push_back(*y);
  auto schema = std::make_shared<Schema>();
  for (size_t i = 0; i < batch.columns.size(); ++i) {
    schema->fields.push_back({i == 0 ? "x" : "y", batch.columns[i].type, true});
  }
  batch.schema = schema;
  return batch;
}

Array texts(const std::function<std::string(uint64_t)>& value) {
  VarBinaryBuilder builder(DataType::of(TypeId::kString));
  uint64_t state = 4;
  for (int64_t i = 0; i < kSome; ++i) builder.append(value(next_random(&state) % 1'000'000));
  return builder.finish();
}

template <typename T>
Array fixed(const char* type, const std::function<T(uint64_t)>& value, bool with_nulls = false) {
  FixedBuilder<T> builder(DataType::parse(type));
  uint64_t state = 5;
  for (int64_t i = 0; i < kSome; ++i) {
    const uint64_t random = next_random(&state) % 1'000'000;
    if (with_nulls && random % 4 == 0) {
      builder.append_null();
    } else {
      builder.append(value(random));
    }
  }
  return builder.finish();
}

RecordBatch words() {
  return columns(texts([](uint64_t n) { return " Customer-" + std::to_string(n) + "-EU "; }));
}
RecordBatch accents() {
  return columns(texts([](uint64_t n) { return "Größe É " + std::to_string(n) + " ΣΑΣ"; }));
}
RecordBatch digits() {
  return columns(texts([](uint64_t n) { return std::to_string(n); }));
}
RecordBatch fractions() {
  return columns(texts([](uint64_t n) { return std::to_string(n) + ".125"; }));
}
RecordBatch dates() {
  return columns(texts([](uint64_t n) {
    return "2026-1" + std::to_string(n % 3) + "-2" + std::to_string(n % 10) + " 0" +
           std::to_string(n % 7) + ":30:15";
  }));
}
RecordBatch whole(bool with_nulls = false) {
  return columns(fixed<int64_t>(
      "int64", [](uint64_t n) { return static_cast<int64_t>(n) - 500'000; }, with_nulls));
}
RecordBatch real() {
  return columns(fixed<double>("float64", [](uint64_t n) { return static_cast<double>(n) / 64; }));
}
RecordBatch instants() {
  return columns(fixed<int64_t>(
      "timestamp[ms]", [](uint64_t n) { return kFirstMs + static_cast<int64_t>(n) * 100'000; }));
}
RecordBatch prices() {
  const auto cents = [](uint64_t n) { return static_cast<__int128>(n) + 1; };
  const Array y = fixed<__int128>("decimal128(12, 4)", cents);
  return columns(fixed<__int128>("decimal128(10, 2)", cents), &y);
}
RecordBatch lists() {
  MutableBuffer offsets;
  for (int32_t i = 0; i <= kSome / 4; ++i) {
    const int32_t end = i * 4;
    offsets.append(&end, sizeof(end));
  }
  return columns(make_lists(offsets.freeze(), kSome / 4, digits().columns[0]));
}

Work evaluate(const ExpressionPtr& expression, const RecordBatch& batch) {
  auto bound = expressions::bind(*expression, *batch.schema);
  return [batch, bound] { (void)bound->evaluate(batch); };
}

Work filter() {
  const RecordBatch batch = events(1000, false);
  auto condition =
      expressions::bind(*call(F::kGreater, {column("value"), literal(0.5)}), *batch.schema);
  return [batch, condition] {
    std::vector<int32_t> rows;
    expressions::select_true(condition->evaluate(batch), &rows);
    (void)batch.take(rows);
  };
}

ExpressionPtr x() { return column("x"); }

// An expression over one of the batches above.
Kernel kernel(const char* name, ExpressionPtr expression, RecordBatch (*batch)()) {
  return {name, [expression, batch] { return evaluate(expression, batch()); }};
}

void add_texts(std::vector<Kernel>* all) {
  const auto add = [&](const char* name, F function, Arguments more, RecordBatch (*batch)()) {
    more.insert(more.begin(), x());
    all->push_back(kernel(name, call(function, std::move(more)), batch));
  };
  add("upper", F::kUpper, {}, words);
  add("lower_accents", F::kLower, {}, accents);
  add("length_accents", F::kLength, {}, accents);
  add("substring", F::kSubstring, {number(3), number(5)}, words);
  add("substring_accents", F::kSubstring, {number(3), number(5)}, accents);
  add("strip", F::kStrip, {}, words);
  add("starts_with", F::kStartsWith, {text(" Customer-1")}, words);
  add("split_part", F::kSplitPart, {text("-"), number(2)}, words);
  add("equal_text", F::kEqual, {text(" Customer-123456-EU ")}, words);
  add("is_in_text", F::kIsIn, {text("7"), text("77"), text("777"), text("7777")}, digits);
  add("regexp_match", F::kRegexpMatch, {text("-[0-9]*7-")}, words);
  add("regexp_extract", F::kRegexpExtract, {text("([0-9]+)-([A-Z]+)"), number(1)}, words);
  add("regexp_replace", F::kRegexpReplace, {text("[0-9]+"), text("#")}, words);
  add("hash_text", F::kHash, {}, words);
}

void add_times(std::vector<Kernel>* all) {
  const auto add = [&](const char* name, F function, Arguments more, RecordBatch (*batch)()) {
    more.insert(more.begin(), x());
    all->push_back(kernel(name, call(function, std::move(more)), batch));
  };
  add("truncate", F::kTruncate, {text("1h")}, instants);
  add("truncate_zone", F::kTruncate, {text("1h"), zone()}, instants);
  add("extract_hour", F::kExtract, {text("hour")}, instants);
  add("extract_month", F::kExtract, {text("month")}, instants);
  add("at_zone", F::kAtZone, {zone()}, instants);
  add("from_zone", F::kFromZone, {zone(), text("earliest"), text("shift")}, instants);
  add("format", F::kFormat, {text("%Y-%m-%d %H:%M:%S")}, instants);
  add("parse", F::kParse, {text("%Y-%m-%d %H:%M:%S"), text("timestamp[ms]")}, dates);
}

void add_casts(std::vector<Kernel>* all) {
  const auto add = [&](const char* name, const char* type, RecordBatch (*batch)()) {
    all->push_back(kernel(name, cast(type), batch));
  };
  add("cast_int_to_text", "string", [] { return whole(); });
  add("cast_text_to_int", "int64", digits);
  add("cast_float_to_text", "string", real);
  add("cast_text_to_float", "float64", fractions);
  add("cast_int_to_float", "float64", [] { return whole(); });
  add("cast_int_narrower", "int32", [] { return whole(); });
  add("cast_time_to_text", "string", instants);
  add("cast_text_to_time", "timestamp[ms]", dates);
  add("cast_decimal_to_text", "string", prices);
  add("cast_text_to_decimal", "decimal128(12, 3)", fractions);
  add("cast_decimal_to_float", "float64", prices);
  all->push_back(kernel("try_cast_text_to_int", cast("int64", F::kTryCast), words));
}

void add_numbers(std::vector<Kernel>* all) {
  const auto add = [&](const char* name, F function, Arguments more, RecordBatch (*batch)()) {
    more.insert(more.begin(), x());
    all->push_back(kernel(name, call(function, std::move(more)), batch));
  };
  const auto numbers = [] { return whole(); };
  const auto nulls = [] { return whole(true); };
  add("add_int", F::kAdd, {number(7)}, numbers);
  add("floor_divide_int", F::kFloorDivide, {number(7)}, numbers);
  add("modulo_int", F::kModulo, {number(7)}, numbers);
  add("round", F::kRound, {number(1)}, real);
  add("logarithm", F::kLn, {}, real);
  add("hash_int", F::kHash, {}, numbers);
  add("is_in_int", F::kIsIn, {number(1), number(2), number(3), number(4)}, numbers);
  add("greatest", F::kGreatest, {number(0)}, nulls);
  add("fill_null", F::kFillNull, {number(0)}, nulls);
  add("coalesce", F::kCoalesce, {call(F::kNegate, {x()}), number(0)}, nulls);
  add("decimal_add", F::kAdd, {column("y")}, prices);
  add("decimal_multiply", F::kMultiply, {column("y")}, prices);
  add("decimal_divide", F::kDivide, {column("y")}, prices);
  add("decimal_less", F::kLess, {column("y")}, prices);
  const auto above = [](int64_t limit) { return call(F::kGreater, {x(), number(limit)}); };
  all->push_back(
      kernel("case_int",
             call(F::kCase, {above(250'000), number(3), above(0), x(), above(-250'000), number(1)}),
             nulls));
  all->push_back(
      kernel("case_text",
             call(F::kCase, {above(250'000), text("high"), above(0), text("middle"), text("low")}),
             numbers));
  all->push_back(kernel("logic",
                        call(F::kOr, {call(F::kAnd, {above(-9), call(F::kNot, {above(99)})}),
                                      call(F::kIsNull, {x()})}),
                        nulls));
}

}  // namespace

std::vector<Kernel> expression_kernels() {
  std::vector<Kernel> all = {
      {"filter", filter},
      {"contains",
       [] {
         return evaluate(call(F::kContains, {column("key"), text("7")}), events(10'000, true));
       }},
      {"lower", [] { return evaluate(call(F::kLower, {column("key")}), events(10'000, true)); }},
      {"multiply",
       [] {
         return evaluate(call(F::kMultiply, {column("value"), literal(2.0)}), events(1000, false));
       }},
  };
  add_texts(&all);
  add_times(&all);
  add_casts(&all);
  add_numbers(&all);
  all.push_back(kernel("list_length", call(F::kListLength, {x()}), lists));
  all.push_back(kernel("list_get", call(F::kListGet, {x(), number(1)}), lists));
  return all;
}

}  // namespace pystream::gate
