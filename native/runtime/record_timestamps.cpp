#include "runtime/record_timestamps.hpp"

#include "base/error.hpp"

namespace pystream::runtime {

namespace {

constexpr int64_t kMicrosPerSecond = 1'000'000;
constexpr int64_t kMicrosPerDay = 86'400 * kMicrosPerSecond;

[[noreturn]] void fail(const std::string& column, int64_t row, const std::string& what) {
  throw Error(ErrorCode::kOperator,
              "column '" + column + "' gives the record timestamps, but row " +
                  std::to_string(row) + " " + what +
                  ". Choose another column, or none for the time of the append.",
              {{"column", column}, {"row", row}});
}

template <typename T>
void multiply(const T* times, int64_t length, int64_t factor, const std::string& column,
              int64_t* out) {
  for (int64_t row = 0; row < length; ++row) {
    if (__builtin_mul_overflow(static_cast<int64_t>(times[row]), factor, &out[row])) {
      fail(column, row, "does not fit into microseconds");
    }
  }
}

void floor_divide(const int64_t* times, int64_t length, int64_t divisor, int64_t* out) {
  for (int64_t row = 0; row < length; ++row) {
    const int64_t quotient = times[row] / divisor;
    out[row] = quotient - (times[row] % divisor < 0 ? 1 : 0);
  }
}

}  // namespace

Array record_timestamps(const Array& times, const std::string& column) {
  const Array plain = decode_dictionary(times);
  if (plain.null_count > 0) {
    int64_t row = 0;
    while (plain.is_valid(row)) ++row;
    fail(column, row, "is null");
  }
  Array stamps;
  stamps.type = DataType::of(TypeId::kInt64);
  stamps.length = plain.length;
  const bool is_micros = plain.type.id == TypeId::kInt64 || (plain.type.id == TypeId::kTimestamp &&
                                                             plain.type.unit == TimeUnit::kMicro);
  if (is_micros) {
    stamps.values = plain.values;
    return stamps;
  }
  MutableBuffer values(plain.length * static_cast<int64_t>(sizeof(int64_t)));
  auto* out = values.as<int64_t>();
  if (plain.type.id == TypeId::kDate32) {
    multiply(plain.data<int32_t>(), plain.length, kMicrosPerDay, column, out);
  } else if (plain.type.unit == TimeUnit::kNano) {
    floor_divide(plain.data<int64_t>(), plain.length, 1000, out);
  } else {
    const int64_t factor = kMicrosPerSecond / ticks_per_second(plain.type.unit);
    multiply(plain.data<int64_t>(), plain.length, factor, column, out);
  }
  stamps.values = values.freeze();
  return stamps;
}

}  // namespace pystream::runtime
