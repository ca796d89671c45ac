#include "runtime/record_timestamps.hpp"

#include "base/error.hpp"
#include "windows/event_times.hpp"

namespace pystream::runtime {

namespace {

constexpr int64_t kMicrosPerSecond = 1'000'000;
constexpr int64_t kMicrosPerDay = 86'400 * kMicrosPerSecond;

// numpy's NaT is the one before.
constexpr int64_t kEarliest = INT64_MIN + 1;

// The nearest int64 to (time + offset) * factor, floored by divisor; one of the two is 1.
template <typename T>
void convert(const T* times, int64_t length, int64_t offset, int64_t factor, int64_t divisor,
             int64_t* out) {
  for (int64_t row = 0; row < length; ++row) {
    const auto before = static_cast<int64_t>(times[row]);
    int64_t time = 0;
    if (__builtin_add_overflow(before, offset, &time) ||
        __builtin_mul_overflow(time, factor, &time)) {
      time = before < 0 ? kEarliest : INT64_MAX;
    }
    out[row] = time / divisor - (time % divisor < 0 ? 1 : 0);
  }
}

}  // namespace

Array record_timestamps(const Array& times, int64_t offset, const std::string& column,
                        TimeUnit int64_unit) {
  const Array plain = decode_dictionary(times);
  if (plain.null_count > 0) {
    int64_t row = 0;
    while (plain.is_valid(row)) ++row;
    throw Error(ErrorCode::kOperator,
                "column '" + column + "' gives the record timestamps, but row " +
                    std::to_string(row) + " is null. Filter such rows out before the sink.",
                {{"column", column}, {"row", row}});
  }
  Array stamps;
  stamps.type = DataType::of(TypeId::kInt64);
  stamps.length = plain.length;
  const TimeUnit unit = windows::tick_type(plain.type, int64_unit).unit;
  const bool is_date = plain.type.id == TypeId::kDate32;
  if (!is_date && unit == TimeUnit::kMicro && offset == 0) {
    stamps.values = plain.values;
    return stamps;
  }
  MutableBuffer values(plain.length * static_cast<int64_t>(sizeof(int64_t)));
  auto* out = values.as<int64_t>();
  if (is_date) {
    convert(plain.data<int32_t>(), plain.length, offset, kMicrosPerDay, 1, out);
    stamps.values = values.freeze();
    return stamps;
  }
  if (unit == TimeUnit::kNano) {
    convert(plain.data<int64_t>(), plain.length, offset, 1, 1000, out);
  } else {
    const int64_t factor = kMicrosPerSecond / ticks_per_second(unit);
    convert(plain.data<int64_t>(), plain.length, offset, factor, 1, out);
  }
  stamps.values = values.freeze();
  return stamps;
}

}  // namespace pystream::runtime
