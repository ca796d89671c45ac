// Parts of times: year, hour, ISO week and the like, in UTC and the proleptic Gregorian calendar.

#include <array>
#include <limits>
#include <utility>

#include "expressions/detail/bitmap_words.hpp"
#include "expressions/detail/families.hpp"
#include "expressions/detail/numbers.hpp"
#include "expressions/detail/time_text.hpp"

namespace pystream::expressions::detail {
namespace {

struct Civil {
  int64_t year;
  int month;
  int day;
};

Civil civil(int64_t days) {
  Civil date{};
  civil_from_days(days, &date.year, &date.month, &date.day);
  return date;
}

int64_t day_of_year(int64_t days) { return days - days_from_civil(civil(days).year, 1, 1) + 1; }

// Monday is 1. The first day of 1970 was a Thursday.
int64_t day_of_week(int64_t days) { return days + 3 - floor_divide(days + 3, 7) * 7 + 1; }

// An ISO week belongs to the year of its Thursday.
int64_t thursday(int64_t days) { return days - day_of_week(days) + 4; }

// A part that depends on the day since 1970.
struct DayPart {
  std::string_view name;
  int64_t (*of)(int64_t days);
};
constexpr std::array<DayPart, 8> kDayParts = {{
    {"year", [](int64_t days) { return civil(days).year; }},
    {"quarter", [](int64_t days) { return int64_t{(civil(days).month + 2) / 3}; }},
    {"month", [](int64_t days) { return int64_t{civil(days).month}; }},
    {"day", [](int64_t days) { return int64_t{civil(days).day}; }},
    {"day_of_week", day_of_week},
    {"day_of_year", day_of_year},
    {"week", [](int64_t days) { return (day_of_year(thursday(days)) - 1) / 7 + 1; }},
    {"iso_year", [](int64_t days) { return civil(thursday(days)).year; }},
}};

// The first day of what the calendar is divided into.
constexpr std::array<DayPart, 4> kUnits = {{
    {"week", [](int64_t days) { return days - day_of_week(days) + 1; }},
    {"month", [](int64_t days) { return days - civil(days).day + 1; }},
    {"quarter",
     [](int64_t days) {
       const Civil date = civil(days);
       return days_from_civil(date.year, (date.month - 1) / 3 * 3 + 1, 1);
     }},
    {"year", [](int64_t days) { return days_from_civil(civil(days).year, 1, 1); }},
}};

// A part of the day: its nanoseconds / size % count.
struct ClockPart {
  std::string_view name;
  int64_t size;
  int64_t count;
};
constexpr std::array<ClockPart, 6> kClockParts = {{
    {"hour", 3600 * kNanosPerSecond, 24},
    {"minute", 60 * kNanosPerSecond, 60},
    {"second", kNanosPerSecond, 60},
    {"millisecond", 1'000'000, 1'000},
    {"microsecond", 1'000, 1'000'000},
    {"nanosecond", 1, 1'000'000'000},
}};

constexpr int64_t kNanosPerDay = kSecondsPerDay * kNanosPerSecond;

// Times of neighbouring rows mostly share the day, so a part is computed when the day changes.
template <typename T>
void day_loop(const T* values, int64_t rows, const DayPart& part, int64_t ticks_per_day,
              int64_t* out) {
  int64_t last_day = std::numeric_limits<int64_t>::min();  // farther away than any time
  int64_t result = 0;
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t day = floor_divide(values[i], ticks_per_day);
    if (day != last_day) result = part.of(day);
    last_day = day;
    out[i] = result;
  }
}

template <typename T>
void clock_loop(const T* values, int64_t rows, const ClockPart& part, int64_t nanos_per_tick,
                int64_t* out) {
  const int64_t ticks_per_day = kNanosPerDay / nanos_per_tick;
  for (int64_t i = 0; i < rows; ++i) {
    int64_t tick = values[i] % ticks_per_day;
    if (tick < 0) tick += ticks_per_day;
    out[i] = tick * nanos_per_tick / part.size % part.count;
  }
}

// Whole seconds since 1970.
template <typename T>
void epoch_loop(const T* values, int64_t rows, int64_t nanos_per_tick, int64_t* out) {
  const int64_t seconds = std::max<int64_t>(nanos_per_tick / kNanosPerSecond, 1);
  const int64_t ticks = std::max<int64_t>(kNanosPerSecond / nanos_per_tick, 1);
  for (int64_t i = 0; i < rows; ++i) out[i] = floor_divide(values[i], ticks) * seconds;
}

using Extract = std::function<void(const Array& in, int64_t* out)>;

template <typename T>
Extract find_part(std::string_view name, int64_t nanos_per_tick) {
  for (const DayPart& part : kDayParts) {
    if (part.name != name) continue;
    return [&part, ticks_per_day = kNanosPerDay / nanos_per_tick](const Array& in, int64_t* out) {
      day_loop(in.data<T>(), in.length, part, ticks_per_day, out);
    };
  }
  for (const ClockPart& part : kClockParts) {
    if (part.name != name) continue;
    return [&part, nanos_per_tick](const Array& in, int64_t* out) {
      clock_loop(in.data<T>(), in.length, part, nanos_per_tick, out);
    };
  }
  if (name != "epoch") return nullptr;
  return [nanos_per_tick](const Array& in, int64_t* out) {
    epoch_loop(in.data<T>(), in.length, nanos_per_tick, out);
  };
}

class ExtractNode final : public Node {
 public:
  ExtractNode(NodePtr child, Extract extract, std::string text)
      : Node(DataType::of(TypeId::kInt64), child->nullable(), std::move(text)),
        child_(std::move(child)),
        extract_(std::move(extract)) {}

  Array compute(const Input& batch) const override {
    const Array in = child_->evaluate(batch);
    MutableBuffer out(in.length * static_cast<int64_t>(sizeof(int64_t)));
    extract_(in, out.as<int64_t>());
    return fixed_array(type(), in.length, out.freeze(), validity_of(in));
  }

 private:
  NodePtr child_;
  Extract extract_;
};

// `part` gives a day, at or before that of the time.
template <typename T>
class CalendarTruncateNode final : public Node {
 public:
  CalendarTruncateNode(NodePtr child, const DayPart& part, std::string text)
      : Node(child->type(), child->nullable(), std::move(text)),
        child_(std::move(child)),
        part_(part),
        ticks_per_day_(kNanosPerDay / nanos_per_tick(type())) {}

  Array compute(const Input& batch) const override {
    const Array in = child_->evaluate(batch);
    MutableBuffer days(in.length * static_cast<int64_t>(sizeof(int64_t)));
    day_loop(in.data<T>(), in.length, part_, ticks_per_day_, days.as<int64_t>());
    MutableBuffer out(in.length * static_cast<int64_t>(sizeof(T)));
    for (int64_t i = 0; i < in.length; ++i) {
      int64_t ticks = 0;
      const bool overflows =
          __builtin_mul_overflow(days.as<int64_t>()[i], ticks_per_day_, &ticks) ||
          !std::in_range<T>(ticks);
      if (overflows && in.is_valid(i)) throw_truncate_error(*this, i, in.data<T>()[i]);
      out.as<T>()[i] = static_cast<T>(ticks);
    }
    return fixed_array(type(), in.length, out.freeze(), validity_of(in));
  }

 private:
  NodePtr child_;
  const DayPart& part_;
  int64_t ticks_per_day_;
};

std::string part_names() {
  std::string names;
  for (const DayPart& part : kDayParts) names += std::string(part.name) + ", ";
  for (const ClockPart& part : kClockParts) names += std::string(part.name) + ", ";
  return names + "epoch";
}

}  // namespace

NodePtr bind_calendar_truncate(NodePtr child, std::string_view unit, const std::string& text) {
  const TypeId id = child->type().id;
  if (id != TypeId::kTimestamp && id != TypeId::kDate32) return nullptr;
  for (const DayPart& part : kUnits) {
    if (part.name != unit) continue;
    if (id == TypeId::kDate32) {
      return std::make_shared<CalendarTruncateNode<int32_t>>(std::move(child), part, text);
    }
    return std::make_shared<CalendarTruncateNode<int64_t>>(std::move(child), part, text);
  }
  return nullptr;
}

NodePtr bind_extract(NodePtr child, const Expression& part, std::string text) {
  const DataType& type = child->type();
  if (type.id != TypeId::kTimestamp && type.id != TypeId::kDate32) {
    throw_type_error(
        text,
        "extract takes timestamps and dates, but " + child->text() + " is " + type.to_string(),
        type.id == TypeId::kDuration ? "Divide it by a duration, for example \"1h\""
                                     : "Cast it to a timestamp first");
  }
  const auto* name = std::get_if<std::string>(&part.literal);
  Extract extract;
  if (name != nullptr) {
    const int64_t tick = nanos_per_tick(type);
    extract = type.id == TypeId::kDate32 ? find_part<int32_t>(*name, tick)
                                         : find_part<int64_t>(*name, tick);
  }
  if (!extract) {
    throw_type_error(text, part.to_string() + " is not a part of a time",
                     "Use one of " + part_names());
  }
  return std::make_shared<ExtractNode>(std::move(child), std::move(extract), std::move(text));
}

}  // namespace pystream::expressions::detail
