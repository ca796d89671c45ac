#include "expressions/detail/time_text.hpp"

#include <array>
#include <utility>

namespace pystream::expressions::detail {
namespace {

// Reads a text from left to right; every method leaves the position alone when it does not match.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}
  bool at_end() const { return rest_.empty(); }

  bool accept(std::string_view token) {
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }

  // Exactly `digits` decimal digits.
  std::optional<int> number(size_t digits) {
    if (rest_.size() < digits) return std::nullopt;
    int value = 0;
    for (size_t i = 0; i < digits; ++i) {
      if (rest_[i] < '0' || rest_[i] > '9') return std::nullopt;
      value = value * 10 + (rest_[i] - '0');
    }
    rest_.remove_prefix(digits);
    return value;
  }

  // One to nine digits after a point, as nanoseconds.
  std::optional<int64_t> fraction() {
    int64_t value = 0;
    int digits = 0;
    while (!rest_.empty() && rest_[0] >= '0' && rest_[0] <= '9') {
      if (++digits > 9) return std::nullopt;
      value = value * 10 + (rest_[0] - '0');
      rest_.remove_prefix(1);
    }
    if (digits == 0) return std::nullopt;
    for (; digits < 9; ++digits) value *= 10;
    return value;
  }

  // As many digits as follow, at most 18.
  std::optional<int64_t> long_number(int* digits) {
    int64_t value = 0;
    *digits = 0;
    while (!rest_.empty() && rest_[0] >= '0' && rest_[0] <= '9') {
      if (++*digits > 18) return std::nullopt;
      value = value * 10 + (rest_[0] - '0');
      rest_.remove_prefix(1);
    }
    return value;
  }

 private:
  std::string_view rest_;
};

int days_in_month(int64_t year, int month) {
  static constexpr std::array<int, 12> kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return month == 2 && leap ? 29 : kDays[static_cast<size_t>(month - 1)];
}

// The "+hh:mm", "+hhmm" or "+hh" (or with a minus) or "Z" at the end, in seconds.
std::optional<int64_t> parse_zone(Scanner& scan) {
  if (scan.accept("Z")) return 0;
  const int sign = scan.accept("+") ? 1 : scan.accept("-") ? -1 : 0;
  if (sign == 0) return std::nullopt;
  const auto hours = scan.number(2);
  if (!hours || *hours > 23) return std::nullopt;
  if (scan.at_end()) return sign * *hours * 3600;  // as Postgres writes it
  scan.accept(":");
  const auto minutes = scan.number(2);
  if (!minutes || *minutes > 59) return std::nullopt;
  return sign * (*hours * 3600 + *minutes * 60);
}

}  // namespace

// Howard Hinnant's days_from_civil: years start in March, so that the leap day comes last.
// https://howardhinnant.github.io/date_algorithms.html
int64_t days_from_civil(int64_t year, int month, int day) {
  year -= month <= 2;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const int64_t year_of_era = year - era * 400;
  const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + day_of_era - 719468;
}

void civil_from_days(int64_t days, int64_t* year, int* month, int* day) {
  days += 719468;
  const int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  const int64_t day_of_era = days - era * 146097;
  const int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t shifted_month = (5 * day_of_year + 2) / 153;
  *day = static_cast<int>(day_of_year - (153 * shifted_month + 2) / 5 + 1);
  *month = static_cast<int>(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
  *year = year_of_era + era * 400 + (*month <= 2);
}

std::optional<TimePoint> parse_iso_time(std::string_view text) {
  Scanner scan(text);
  const auto year = scan.number(4);
  if (!year || !scan.accept("-")) return std::nullopt;
  const auto month = scan.number(2);
  if (!month || *month < 1 || *month > 12 || !scan.accept("-")) return std::nullopt;
  const auto day = scan.number(2);
  if (!day || *day < 1 || *day > days_in_month(*year, *month)) return std::nullopt;
  TimePoint point;
  point.seconds = days_from_civil(*year, *month, *day) * kSecondsPerDay;
  if (scan.at_end()) return point;

  if (!scan.accept("T") && !scan.accept(" ")) return std::nullopt;
  const auto hour = scan.number(2);
  if (!hour || *hour > 23 || !scan.accept(":")) return std::nullopt;
  const auto minute = scan.number(2);
  if (!minute || *minute > 59) return std::nullopt;
  point.seconds += *hour * 3600 + *minute * 60;
  if (scan.accept(":")) {
    const auto second = scan.number(2);
    if (!second || *second > 59) return std::nullopt;
    point.seconds += *second;
    if (scan.accept(".")) {
      const auto nanos = scan.fraction();
      if (!nanos) return std::nullopt;
      point.nanos = *nanos;
    }
  }
  if (!scan.at_end()) {
    const auto zone = parse_zone(scan);
    if (!zone || !scan.at_end()) return std::nullopt;
    point.seconds -= *zone;
  }
  return point;
}

std::optional<int64_t> parse_duration(std::string_view text) {
  // Longer names first: "ms" would else be read as "m".
  static constexpr std::array<std::pair<std::string_view, int64_t>, 7> kUnits = {{
      {"ns", 1},
      {"us", 1'000},
      {"ms", 1'000'000},
      {"s", kNanosPerSecond},
      {"m", 60 * kNanosPerSecond},
      {"h", 3600 * kNanosPerSecond},
      {"d", kSecondsPerDay * kNanosPerSecond},
  }};
  Scanner scan(text);
  const bool negative = scan.accept("-");
  if (scan.at_end()) return std::nullopt;
  __int128 total = 0;
  while (!scan.at_end()) {
    int digits = 0;
    const auto whole = scan.long_number(&digits);
    if (!whole || digits == 0) return std::nullopt;
    int64_t fraction = 0;
    if (scan.accept(".")) {
      const auto nanos = scan.fraction();
      if (!nanos) return std::nullopt;
      fraction = *nanos;
    }
    int64_t unit = 0;
    for (const auto& [name, nanos] : kUnits) {
      if (scan.accept(name)) {
        unit = nanos;
        break;
      }
    }
    if (unit == 0) return std::nullopt;
    const __int128 part = static_cast<__int128>(fraction) * unit;
    if (part % kNanosPerSecond != 0) return std::nullopt;
    total += static_cast<__int128>(*whole) * unit + part / kNanosPerSecond;
    if (total > INT64_MAX) return std::nullopt;
  }
  return static_cast<int64_t>(negative ? -total : total);
}

void append_digits(int64_t value, int least, std::string* out) {
  std::array<char, 20> digits;
  auto magnitude = static_cast<uint64_t>(value);
  if (value < 0) {
    magnitude = 0 - magnitude;
    *out += '-';
  }
  size_t begin = digits.size();
  for (; magnitude > 0 || least > 0; --least) {
    digits[--begin] = static_cast<char>('0' + magnitude % 10);
    magnitude /= 10;
  }
  out->append(digits.data() + begin, digits.size() - begin);
}

namespace {

void append_date(int64_t days, std::string* out) {
  int64_t year;
  int month;
  int day;
  civil_from_days(days, &year, &month, &day);
  append_digits(year, year < 0 ? 3 : 4, out);
  *out += '-';
  append_digits(month, 2, out);
  *out += '-';
  append_digits(day, 2, out);
}

}  // namespace

std::string format_date(int64_t days) {
  std::string text;
  append_date(days, &text);
  return text;
}

std::string format_timestamp(int64_t value, const DataType& type) {
  const int64_t ticks = ticks_per_second(type.unit);
  int64_t fraction = value % ticks;
  if (fraction < 0) fraction += ticks;
  const int64_t seconds = value / ticks - (value % ticks < 0);
  int64_t second_of_day = seconds % kSecondsPerDay;
  if (second_of_day < 0) second_of_day += kSecondsPerDay;
  const int64_t days = seconds / kSecondsPerDay - (seconds % kSecondsPerDay < 0);
  std::string text;
  text.reserve(32);
  append_date(days, &text);
  text += 'T';
  append_digits(second_of_day / 3600, 2, &text);
  text += ':';
  append_digits(second_of_day / 60 % 60, 2, &text);
  text += ':';
  append_digits(second_of_day % 60, 2, &text);
  if (ticks > 1) {
    text += '.';
    append_digits(fraction, ticks == 1000 ? 3 : ticks == 1'000'000 ? 6 : 9, &text);
  }
  if (!type.timezone.empty()) text += 'Z';
  return text;
}

}  // namespace pystream::expressions::detail
