#include "expressions/detail/time_format.hpp"

#include <algorithm>
#include <array>
#include <span>

#include "base/error.hpp"
#include "expressions/detail/numbers.hpp"
#include "expressions/detail/utf8.hpp"

namespace pystream::expressions::detail {
namespace {

using Names = std::span<const std::string_view>;
constexpr std::array<std::string_view, 12> kMonths = {
    "January", "February", "March",     "April",   "May",      "June",
    "July",    "August",   "September", "October", "November", "December"};
constexpr std::array<std::string_view, 7> kDays = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                                   "Friday", "Saturday", "Sunday"};
constexpr size_t kShort = 3;  // letters of an abbreviated name

constexpr std::string_view kFormats = "YymdjHIpMSfaAbBuwUWGV";
constexpr std::string_view kParses = "YymdjHIpMSfaAbBz";

// What formatting needs to know of a day.
struct Day {
  int64_t year = 0;
  int month = 0;
  int day = 0;
  int64_t weekday = 0;  // Monday is 0
  int64_t of_year = 0;  // from 0
  int64_t iso_year = 0;
  int64_t iso_week = 0;
};

Day day_of(int64_t days) {
  Day found;
  civil_from_days(days, &found.year, &found.month, &found.day);
  found.weekday = days + 3 - floor_divide(days + 3, 7) * 7;
  found.of_year = days - days_from_civil(found.year, 1, 1);
  // An ISO week belongs to the year of its Thursday.
  const int64_t thursday = days - found.weekday + 3;
  int month;
  int day;
  civil_from_days(thursday, &found.iso_year, &month, &day);
  found.iso_week = (thursday - days_from_civil(found.iso_year, 1, 1)) / 7 + 1;
  return found;
}

void append_part(char directive, const Day& day, int64_t second, int64_t nanos, std::string* out) {
  const int64_t hour = second / 3600;
  const auto name = [out](std::string_view whole, bool is_short) {
    out->append(is_short ? whole.substr(0, kShort) : whole);
  };
  switch (directive) {
    case 'Y':
      return append_digits(day.year, 4, out);
    case 'y':
      return append_digits(day.year - floor_divide(day.year, 100) * 100, 2, out);
    case 'm':
      return append_digits(day.month, 2, out);
    case 'd':
      return append_digits(day.day, 2, out);
    case 'j':
      return append_digits(day.of_year + 1, 3, out);
    case 'H':
      return append_digits(hour, 2, out);
    case 'I':
      return append_digits((hour + 11) % 12 + 1, 2, out);
    case 'p':
      return name(hour < 12 ? "AM" : "PM", false);
    case 'M':
      return append_digits(second / 60 % 60, 2, out);
    case 'S':
      return append_digits(second % 60, 2, out);
    case 'f':
      return append_digits(nanos / 1000, 6, out);
    case 'a':
    case 'A':
      return name(kDays[static_cast<size_t>(day.weekday)], directive == 'a');
    case 'b':
    case 'B':
      return name(kMonths[static_cast<size_t>(day.month - 1)], directive == 'b');
    case 'u':
      return append_digits(day.weekday + 1, 1, out);
    case 'w':
      return append_digits((day.weekday + 1) % 7, 1, out);
    case 'U':  // weeks begin on Sunday; days before the first are in week 0
      return append_digits((day.of_year + 7 - (day.weekday + 1) % 7) / 7, 2, out);
    case 'W':
      return append_digits((day.of_year + 7 - day.weekday) / 7, 2, out);
    case 'G':
      return append_digits(day.iso_year, 4, out);
    default:
      return append_digits(day.iso_week, 2, out);
  }
}

// What a text says, before it is known to be a time.
struct Fields {
  int64_t year = 1900;
  int64_t month = 1;
  int64_t day = 1;
  int64_t of_year = 0;  // from 1; 0: not said
  int64_t hour = 0;
  bool is_12_hours = false;
  bool is_pm = false;
  int64_t minute = 0;
  int64_t second = 0;
  int64_t nanos = 0;
  int64_t offset = 0;  // seconds east of UTC
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Takes from `least` to `most` digits.
bool take_number(std::string_view* text, size_t least, size_t most, int64_t* value) {
  size_t size = 0;
  *value = 0;
  while (size < most && size < text->size() && is_digit((*text)[size])) {
    *value = *value * 10 + ((*text)[size++] - '0');
  }
  text->remove_prefix(size);
  return size >= least;
}

bool same_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : int{c}; };
           return lower(x) == lower(y);
         });
}

// Takes one of the names and gives its position.
bool take_name(std::string_view* text, Names names, bool is_short, int64_t* position) {
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string_view name = is_short ? names[i].substr(0, kShort) : names[i];
    if (!same_ignoring_case(text->substr(0, name.size()), name)) continue;
    text->remove_prefix(name.size());
    *position = static_cast<int64_t>(i);
    return true;
  }
  return false;
}

bool take_fraction(std::string_view* text, int64_t* nanos) {
  const size_t before = text->size();
  if (!take_number(text, 1, 9, nanos)) return false;
  for (size_t digits = before - text->size(); digits < 9; ++digits) *nanos *= 10;
  return true;
}

// Z, +hh, +hhmm or +hh:mm
bool take_offset(std::string_view* text, int64_t* offset) {
  if (text->empty()) return false;
  const char sign = text->front();
  text->remove_prefix(1);
  if (sign == 'Z') return true;
  int64_t hours;
  int64_t minutes = 0;
  if ((sign != '+' && sign != '-') || !take_number(text, 2, 2, &hours)) return false;
  if (!text->empty() && (text->front() == ':' || is_digit(text->front()))) {
    if (text->front() == ':') text->remove_prefix(1);
    if (!take_number(text, 2, 2, &minutes)) return false;
  }
  *offset = (hours * 3600 + minutes * 60) * (sign == '-' ? -1 : 1);
  return hours < 24 && minutes < 60;
}

bool take_part(char directive, std::string_view* text, Fields* fields) {
  static constexpr std::array<std::string_view, 2> kHalves = {"AM", "PM"};
  int64_t position = 0;
  switch (directive) {
    case 'Y':
      return take_number(text, 4, 4, &fields->year);
    case 'y':
      if (!take_number(text, 2, 2, &fields->year)) return false;
      fields->year += fields->year < 69 ? 2000 : 1900;  // as POSIX has it
      return true;
    case 'm':
      return take_number(text, 1, 2, &fields->month);
    case 'd':
      return take_number(text, 1, 2, &fields->day);
    case 'j':
      return take_number(text, 1, 3, &fields->of_year) && fields->of_year > 0;
    case 'H':
      return take_number(text, 1, 2, &fields->hour) && fields->hour < 24;
    case 'I':
      fields->is_12_hours = true;
      return take_number(text, 1, 2, &fields->hour) && fields->hour >= 1 && fields->hour <= 12;
    case 'p':
      if (!take_name(text, kHalves, false, &position)) return false;
      fields->is_pm = position == 1;
      return true;
    case 'M':
      return take_number(text, 1, 2, &fields->minute) && fields->minute < 60;
    case 'S':
      return take_number(text, 1, 2, &fields->second) && fields->second < 60;
    case 'f':
      return take_fraction(text, &fields->nanos);
    case 'a':
    case 'A':
      return take_name(text, kDays, directive == 'a', &position);
    case 'b':
    case 'B':
      if (!take_name(text, kMonths, directive == 'b', &position)) return false;
      fields->month = position + 1;
      return true;
    default:
      return take_offset(text, &fields->offset);
  }
}

// At least one character of white space.
bool take_space(std::string_view* text) {
  const size_t before = text->size();
  while (!text->empty()) {
    const size_t size = bytes_of_first(*text, 1);
    if (!is_white_space(text->substr(0, size))) break;
    text->remove_prefix(size);
  }
  return text->size() < before;
}

std::optional<int64_t> days_of(const Fields& fields) {
  if (fields.year < 1) return std::nullopt;
  const int64_t first = days_from_civil(fields.year, 1, 1);
  if (fields.of_year > 0) {
    const bool exists = fields.of_year <= days_from_civil(fields.year + 1, 1, 1) - first;
    return exists ? std::optional(first + fields.of_year - 1) : std::nullopt;
  }
  if (fields.month < 1 || fields.month > 12 || fields.day < 1 || fields.day > 31) {
    return std::nullopt;
  }
  const auto month = static_cast<int>(fields.month);
  const int64_t days = days_from_civil(fields.year, month, static_cast<int>(fields.day));
  int64_t year;
  int found;
  int day;
  civil_from_days(days, &year, &found, &day);
  return found == month ? std::optional(days) : std::nullopt;  // else February 30, say
}

[[noreturn]] void throw_format_error(const std::string& text, const std::string& problem,
                                     const std::string& advice) {
  throw Error(ErrorCode::kConfig, text + ": " + problem + ". " + advice + ".");
}

}  // namespace

TimeFormat::TimeFormat(std::string_view format, Use use, const std::string& text) {
  const std::string_view known = use == Use::kFormat ? kFormats : kParses;
  const auto literal = [this]() -> std::string& {
    if (parts_.empty() || parts_.back().directive != 0) parts_.push_back({0, {}});
    return parts_.back().text;
  };
  std::string seen;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      const std::string_view character = format.substr(i, bytes_of_first(format.substr(i), 1));
      if (use == Use::kFormat || !is_white_space(character)) {
        literal() += character;
      } else if (parts_.empty() || parts_.back().directive != ' ') {
        parts_.push_back({' ', {}});
      }
      i += character.size() - 1;
      continue;
    }
    const char directive = ++i < format.size() ? format[i] : '\0';
    if (directive == '%') {
      literal() += '%';
      continue;
    }
    if (directive == '\0' || known.find(directive) == std::string_view::npos) {
      throw_format_error(text,
                         directive == '\0' ? "a lone % is no directive"
                                           : std::string("%") + directive + " is no directive here",
                         "Use one of %" + std::string(known) + " and %%");
    }
    if (use == Use::kParse && seen.find(directive) != std::string::npos) {
      throw_format_error(text, std::string("%") + directive + " is there twice", "Name each once");
    }
    seen += directive;
    parts_.push_back({directive, {}});
  }
}

void TimeFormat::format(TimePoint time, std::string* out) const {
  const int64_t days = floor_divide(time.seconds, kSecondsPerDay);
  const Day day = day_of(days);
  const int64_t second = time.seconds - days * kSecondsPerDay;
  for (const Part& part : parts_) {
    if (part.directive == 0) {
      out->append(part.text);
    } else {
      append_part(part.directive, day, second, time.nanos, out);
    }
  }
}

std::optional<TimePoint> TimeFormat::parse(std::string_view text) const {
  Fields fields;
  for (const Part& part : parts_) {
    bool taken;
    if (part.directive == 0) {
      taken = same_ignoring_case(text.substr(0, part.text.size()), part.text);
      if (taken) text.remove_prefix(part.text.size());
    } else if (part.directive == ' ') {
      taken = take_space(&text);
    } else {
      taken = take_part(part.directive, &text, &fields);
    }
    if (!taken) return std::nullopt;
  }
  const std::optional<int64_t> days = days_of(fields);
  if (!text.empty() || !days) return std::nullopt;
  int64_t hour = fields.hour;
  if (fields.is_12_hours) hour = hour % 12 + (fields.is_pm ? 12 : 0);
  return TimePoint{
      *days * kSecondsPerDay + hour * 3600 + fields.minute * 60 + fields.second - fields.offset,
      fields.nanos};
}

}  // namespace pystream::expressions::detail
