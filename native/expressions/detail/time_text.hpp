#pragma once
// Times as people write them.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "columns/data_type.hpp"

namespace pystream::expressions::detail {

inline constexpr int64_t kSecondsPerDay = 86400;
inline constexpr int64_t kNanosPerSecond = 1'000'000'000;

// seconds * 10^9 + nanos since 1970 in UTC; 0 <= nanos < 10^9.
struct TimePoint {
  int64_t seconds = 0;
  int64_t nanos = 0;
};

// ISO 8601: 2013-01-01, 2013-01-01T05:30, 2013-01-01 05:30:59.123456789, each time optionally
// followed by Z or +hh:mm. Without a zone it is UTC. Nothing when the text is not a time.
std::optional<TimePoint> parse_iso_time(std::string_view text);

// 5s, 1m30s, 1.5h, -200ms; units d h m s ms us ns. Nanoseconds; nothing when the text is not a
// duration or does not fit.
std::optional<int64_t> parse_duration(std::string_view text);

// Days since 1970 of a proleptic Gregorian date, and back.
int64_t days_from_civil(int64_t year, int month, int day);
void civil_from_days(int64_t days, int64_t* year, int* month, int* day);

// At least so many digits, and a sign where it is negative.
void append_digits(int64_t value, int least, std::string* out);

// "2013-01-01T05:30:59.123456Z" with as many digits as the unit has; no Z without a zone.
std::string format_timestamp(int64_t value, const DataType& type);
std::string format_date(int64_t days);

}  // namespace pystream::expressions::detail
