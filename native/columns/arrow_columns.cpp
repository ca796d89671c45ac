#include "columns/arrow_columns.hpp"

#include <limits>
#include <string>
#include <utility>

#include "base/error.hpp"

namespace pystream::detail {

namespace {

void import_large_offsets(const ArrowSource& source, Array* out) {
  const Buffer wide = source.buffer(1, source.begin * 8, (source.length + 1) * 8, 8);
  const int64_t* from = wide.as<int64_t>();
  const int64_t total = from[source.length] - from[0];
  if (total < 0) throw_malformed(source.column, "its offsets fall");
  constexpr int64_t kMaxBytes = std::numeric_limits<int32_t>::max();
  if (total > kMaxBytes) {
    throw Error(ErrorCode::kRecordTooLarge,
                "column '" + source.column + "' has " + std::to_string(total) +
                    " bytes in one batch; the limit is " + std::to_string(kMaxBytes) +
                    ". Send smaller batches.",
                {{"column", source.column}, {"size", total}, {"limit", kMaxBytes}});
  }
  MutableBuffer offsets((source.length + 1) * 4);
  int32_t* to = offsets.as<int32_t>();
  for (int64_t i = 0; i <= source.length; ++i) to[i] = static_cast<int32_t>(from[i] - from[0]);
  out->offsets = offsets.freeze();
  out->values = source.buffer(2, from[0], total, 1);
}

// Of a date64, which Arrow defines to be whole days.
void import_millis(const ArrowSource& source, Array* out) {
  constexpr int64_t kMillisPerDay = 86'400'000;
  const Buffer held = source.buffer(1, source.begin * 8, source.length * 8, 8);
  const auto* millis = held.as<int64_t>();
  MutableBuffer days(source.length * 4);
  for (int64_t i = 0; i < source.length; ++i) {
    const int64_t day = millis[i] / kMillisPerDay;
    const bool fits = millis[i] % kMillisPerDay == 0 && std::in_range<int32_t>(day);
    if (!fits && out->is_valid(i)) {
      throw Error(ErrorCode::kSchema,
                  "column '" + source.column + "' is a date64, but row " + std::to_string(i) +
                      " is " + std::to_string(millis[i]) +
                      " ms, which is no day that a date32 holds. Cast it to timestamp[ms].",
                  {{"column", source.column}, {"row", i}});
    }
    days.as<int32_t>()[i] = fits ? static_cast<int32_t>(day) : 0;
  }
  out->values = days.freeze();
}

// Arrow's 16-byte view of a string: short ones stand inside, long ones in one of many buffers.
struct View {
  int32_t length;
  union {
    char inlined[12];
    struct {
      char prefix[4];
      int32_t buffer;
      int32_t offset;
    } far;
  };
};
static_assert(sizeof(View) == 16);

void import_views(const ArrowSource& source, Array* out) {
  constexpr int64_t kMaxBytes = std::numeric_limits<int32_t>::max();
  const int64_t far_buffers = source.array.n_buffers - 3;
  const Buffer held = source.buffer(1, source.begin * 16, source.length * 16, 8);
  const View* views = held.as<View>();
  MutableBuffer offsets((source.length + 1) * 4);
  MutableBuffer values;
  for (int64_t i = 0; i < source.length; ++i) {
    offsets.as<int32_t>()[i] = static_cast<int32_t>(values.size());
    if (!out->is_valid(i)) continue;
    const View& view = views[i];
    if (view.length < 0) throw_malformed(source.column, "a view of negative length");
    if (values.size() + view.length > kMaxBytes) {
      throw Error(ErrorCode::kRecordTooLarge,
                  "column '" + source.column + "' passes " + std::to_string(kMaxBytes) +
                      " bytes at row " + std::to_string(i) + ". Send smaller batches.",
                  {{"column", source.column}, {"row", i}, {"limit", kMaxBytes}});
    }
    if (view.length <= static_cast<int32_t>(sizeof(view.inlined))) {
      values.append(view.inlined, view.length);
      continue;
    }
    if (view.far.buffer < 0 || view.far.buffer >= far_buffers) {
      throw_malformed(source.column, "a view of a buffer that does not exist");
    }
    const auto* bytes = static_cast<const uint8_t*>(source.array.buffers[2 + view.far.buffer]);
    values.append(bytes + view.far.offset, view.length);
  }
  offsets.as<int32_t>()[source.length] = static_cast<int32_t>(values.size());
  out->offsets = offsets.freeze();
  out->values = values.freeze();
}

int64_t expected_buffers(ArrowLayout layout) {
  switch (layout) {
    case ArrowLayout::kNull:
      return 0;
    case ArrowLayout::kBool:
    case ArrowLayout::kFixed:
    case ArrowLayout::kMillis64:
      return 2;
    case ArrowLayout::kVarBinary32:
    case ArrowLayout::kVarBinary64:
    case ArrowLayout::kView:
      return 3;
  }
  return 0;
}

}  // namespace

[[noreturn]] void throw_malformed(const std::string& column, const std::string& what) {
  throw Error(ErrorCode::kSchema,
              "column '" + column + "' is not valid Arrow data: " + what +
                  ". Its producer breaks the Arrow C data interface.",
              {{"column", column}});
}

Buffer ArrowSource::buffer(int64_t i, int64_t at, int64_t size, int64_t alignment) const {
  const auto* data = static_cast<const uint8_t*>(array.buffers[i]);
  if (size == 0) return {};
  if (data == nullptr) throw_malformed(column, "buffer " + std::to_string(i) + " is missing");
  data += at;
  if (reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(alignment) == 0) {
    return {data, size, owner};
  }
  MutableBuffer copy(size);
  std::memcpy(copy.data(), data, static_cast<size_t>(size));
  return copy.freeze();
}

Buffer ArrowSource::bits(int64_t i) const {
  if ((begin & 7) == 0) return buffer(i, begin >> 3, bitmap_bytes(length), 1);
  const auto* data = static_cast<const uint8_t*>(array.buffers[i]);
  if (data == nullptr) throw_malformed(column, "buffer " + std::to_string(i) + " is missing");
  MutableBuffer copy(bitmap_bytes(length));
  copy_bits(data, begin, length, copy.data());
  return copy.freeze();
}

void ArrowSource::check_buffer_count(ArrowLayout layout) const {
  const int64_t expected = expected_buffers(layout);
  const int64_t got = array.n_buffers;
  if (layout == ArrowLayout::kView ? got < expected : got != expected) {
    throw_malformed(
        column, std::to_string(got) + " buffers where its type has " + std::to_string(expected));
  }
}

void import_validity(const ArrowSource& source, Array* out) {
  if (source.array.null_count == 0 || source.array.buffers[0] == nullptr) return;
  out->validity = source.bits(0);
  out->null_count = source.length - count_set_bits(out->validity.data, source.length);
  if (out->null_count == 0) out->validity = {};
}

Array import_plain(const ArrowSource& source, const DataType& null_type) {
  const ArrowFormat format = parse_format(source.schema.format, source.column);
  source.check_buffer_count(format.layout);
  if (format.layout == ArrowLayout::kNull) return make_nulls(null_type, source.length);
  if (source.length == 0) return make_nulls(format.type, 0);
  Array out;
  out.type = format.type;
  out.length = source.length;
  import_validity(source, &out);
  switch (format.layout) {
    case ArrowLayout::kNull:
      break;
    case ArrowLayout::kBool:
      out.values = source.bits(1);
      break;
    case ArrowLayout::kFixed: {
      const int64_t width = format.type.byte_width();
      out.values = source.buffer(1, source.begin * width, source.length * width, width);
      break;
    }
    case ArrowLayout::kMillis64:
      import_millis(source, &out);
      break;
    case ArrowLayout::kVarBinary32: {
      out.offsets = source.buffer(1, source.begin * 4, (source.length + 1) * 4, 4);
      const int32_t end = out.offsets.as<int32_t>()[source.length];
      if (end < out.offsets.as<int32_t>()[0]) throw_malformed(source.column, "its offsets fall");
      out.values = source.buffer(2, 0, end, 1);
      break;
    }
    case ArrowLayout::kVarBinary64:
      import_large_offsets(source, &out);
      break;
    case ArrowLayout::kView:
      import_views(source, &out);
      break;
  }
  return out;
}

}  // namespace pystream::detail
