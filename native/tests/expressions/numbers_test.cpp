// Decimals, functions of numbers, hashes and zones: edges, under the sanitizers too. Breadth comes
// from the differential test in Python.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.hpp"
#include "base/xxhash64.hpp"
#include "expressions/detail/decimal.hpp"
#include "expressions/detail/numbers.hpp"
#include "expressions/detail/time_format.hpp"
#include "expressions/detail/zone.hpp"
#include "tests/expressions/support.hpp"

namespace pystream::expressions {
namespace {

using detail::kMaxDecimal;
constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

TEST(Decimal, QuotientsUseAllDigits) {
  EXPECT_EQ(detail::divided(kMaxDecimal, kMaxDecimal, 37), detail::power_of_ten(37));
  EXPECT_EQ(detail::divided(kMaxDecimal - 1, kMaxDecimal, 37), detail::power_of_ten(37));
  EXPECT_EQ(detail::divided(1, kMaxDecimal, 38), 1);
  EXPECT_EQ(detail::divided(kMaxDecimal, 1, 1), std::nullopt);
  EXPECT_EQ(detail::divided(1, kMaxDecimal, 200), std::nullopt);
  EXPECT_EQ(detail::divided(-1, 2, 0), -1);  // ties away from zero
  EXPECT_EQ(detail::divided(1, 3, 2), 33);
  EXPECT_EQ(detail::divided(-2, 3, 2), -67);
}

TEST(Decimal, ScalesRoundAwayFromZeroOrDoNotFit) {
  EXPECT_EQ(detail::rescaled(-15, 1, 0), -2);
  EXPECT_EQ(detail::rescaled(14, 1, 0), 1);
  EXPECT_EQ(detail::rescaled(kMaxDecimal, 38, 0), 1);
  EXPECT_EQ(detail::rescaled(kMaxDecimal, 0, 1), std::nullopt);
  EXPECT_EQ(detail::rescaled(0, 0, 200), 0);
  EXPECT_EQ(detail::rescaled(kMaxDecimal, 100, 0), 0);
}

TEST(Decimal, TextsAreReadWhole) {
  EXPECT_EQ(detail::parse_decimal("-1.005", 2), -101);
  EXPECT_EQ(detail::parse_decimal("1e37", 0), detail::power_of_ten(37));
  EXPECT_EQ(detail::parse_decimal("99999999999999999999999999999999999999.4", 0), kMaxDecimal);
  EXPECT_EQ(detail::parse_decimal("99999999999999999999999999999999999999.5", 0), std::nullopt);
  EXPECT_EQ(detail::parse_decimal("0e999999999999999999", 0), 0);
  EXPECT_EQ(detail::parse_decimal("1e-9999", 10), 0);
  for (const char* text :
       {"", "-", ".", "+1", "1e", "1e+", "1.2.3", " 1", "1e99999999999999999999"}) {
    EXPECT_EQ(detail::parse_decimal(text, 2), std::nullopt) << text;
  }
}

TEST(Hash, IsThatOfTheSpecification) {
  EXPECT_EQ(xxhash64({}), 0xef46db3751d8e999u);
  EXPECT_EQ(xxhash64("abc"), 0x44bc2cf5ad770999u);
  const RecordBatch batch = batch_of({{"n", fixed<int8_t>("int8", {-1, std::nullopt})}});
  EXPECT_EQ(rows<uint64_t>(run(call(Function::kHash, {column("n")}), batch))[0],
            xxhash64("\xff\xff\xff\xff\xff\xff\xff\xff"));
}

TEST(Extremes, SkipNoNullAndNoNaN) {
  const double nan = std::nan("");
  const RecordBatch batch =
      batch_of({{"a", fixed<double>("float64", {1.0, nan, std::nullopt, 4.0})},
                {"b", fixed<double>("float64", {2.0, 1.0, 9.0, nan})}});
  const auto found =
      rows<double>(run(call(Function::kGreatest, {column("a"), column("b")}), batch));
  EXPECT_EQ(found[0], 2.0);
  EXPECT_TRUE(std::isnan(*found[1]));
  EXPECT_EQ(found[2], std::nullopt);
  EXPECT_TRUE(std::isnan(*found[3]));
}

// An offset of one hour from 1000 on, and a rule from then on that knows no other.
std::string table(std::initializer_list<int64_t> words) {
  std::string bytes;
  for (const int64_t word : words) bytes.append(reinterpret_cast<const char*>(&word), 8);
  return bytes;
}

TEST(Zone, HoldsAtTheEndsOfTheRange) {
  const auto zone = detail::Zone::parse(table({kMax, kMin, 0, 1000, 3600}));
  ASSERT_TRUE(zone);
  EXPECT_EQ(zone->offset_at(kMin), 0);
  EXPECT_EQ(zone->offset_at(999), 0);
  EXPECT_EQ(zone->offset_at(1000), 3600);
  EXPECT_EQ(zone->offset_at(kMax), 3600);
  EXPECT_EQ(zone->instants_of(1000).count, 0);
  EXPECT_EQ(zone->instants_of(1000).shifted, 1000);
  EXPECT_EQ(zone->instants_of(4600).earliest, 1000);
  EXPECT_EQ(zone->instants_of(kMin).earliest, kMin);
  EXPECT_EQ(zone->instants_of(kMax).earliest, kMax - 3600);
}

TEST(Zone, RepeatsItsCycleForEver) {
  constexpr int64_t kCycle = 146'097 * int64_t{86'400};
  const int64_t begin = 1'000'000'000;
  const int64_t end = begin + kCycle;
  const auto zone =
      detail::Zone::parse(table({begin, kMin, 0, begin + 86'400 * 100, 3600, begin + 86'400 * 200,
                                 0, end + 86'400 * 100, 3600, end + 86'400 * 200, 0}));
  ASSERT_TRUE(zone);
  for (const int64_t cycles : {int64_t{0}, int64_t{1}, int64_t{1000}, int64_t{700'000'000}}) {
    const int64_t at = begin + cycles * kCycle;
    EXPECT_EQ(zone->offset_at(at + 86'400 * 100 - 1), 0);
    EXPECT_EQ(zone->offset_at(at + 86'400 * 100), 3600);
    EXPECT_EQ(zone->instants_of(at + 86'400 * 200).count, 2);
    EXPECT_EQ(zone->instants_of(at + 86'400 * 200).latest, at + 86'400 * 200);
  }
}

TEST(Zone, RefusesBytesThatAreNoTable) {
  for (const std::string& bytes :
       {std::string(), table({0, 0, 0}), table({0, kMin}), table({0, kMin, 100'000}),
        table({0, kMin, 0, 5, 0, 5, 0}), table({0, kMin, 0}) + "x"}) {
    EXPECT_FALSE(detail::Zone::parse(bytes));
  }
}

TEST(TimeFormat, ReadsNoFurtherThanTheText) {
  const std::string format = "%Y-%m-%dT%H:%M:%S.%f%z %a %B %p";
  const detail::TimeFormat parse(format, detail::TimeFormat::Use::kParse, "");
  const std::string whole = "2013-01-31T05:06:07.123456789+01:30 thu JANUARY pm";
  ASSERT_TRUE(parse.parse(whole));
  EXPECT_EQ(parse.parse(whole)->nanos, 123'456'789);
  for (size_t size = 0; size < whole.size(); ++size) {
    const std::string part(whole.data(), size);  // its own block, so that ASan sees its end
    EXPECT_FALSE(parse.parse(part)) << part;
  }
  std::string out;
  detail::TimeFormat("%G %V %j %U %f", detail::TimeFormat::Use::kFormat, "")
      .format({kMin / 1'000'000'000, 0}, &out);
  EXPECT_EQ(out, "1677 38 264 38 000000");
  EXPECT_THROW(detail::TimeFormat("%", detail::TimeFormat::Use::kParse, ""), Error);
}

}  // namespace
}  // namespace pystream::expressions
