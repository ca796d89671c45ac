// Casts from and to string: parsing, formatting, and the dictionary encoding of a declared type.

#include <charconv>
#include <cmath>
#include <optional>
#include <unordered_map>

#include "base/utf8.hpp"
#include "columns/builder.hpp"
#include "expressions/detail/bitmap_words.hpp"
#include "expressions/detail/cast_kernels.hpp"
#include "expressions/detail/numbers.hpp"
#include "expressions/detail/string_reader.hpp"
#include "expressions/detail/time_text.hpp"

namespace pystream::expressions::detail {
namespace {

// The whole text as a number; Python's spellings of the special floats are from_chars' too.
template <typename T>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

// Floor; nothing when the type does not hold it.
std::optional<int64_t> ticks_of(const std::optional<TimePoint>& point, const DataType& type) {
  if (!point) return std::nullopt;
  const __int128 nanos = static_cast<__int128>(point->seconds) * kNanosPerSecond + point->nanos;
  const int64_t tick = nanos_per_tick(type);
  const __int128 ticks = nanos / tick - (nanos % tick < 0);
  const auto [least, greatest] = integer_range(type);
  if (ticks < least || ticks > greatest) return std::nullopt;
  return static_cast<int64_t>(ticks);
}

[[noreturn]] void throw_parse_error(const std::string& text, int64_t row, std::string_view value,
                                    const DataType& target) {
  constexpr size_t kShown = 40;
  std::string shown(value.substr(0, kShown));
  if (value.size() > kShown) shown += "...";
  throw_row_error(text, row, "'" + shown + "' is not a " + target.to_string(),
                  "Filter such rows out, or clean the text first");
}

template <typename T, typename Parse>
Array parse_rows(const Array& in, const DataType& type, CastFailures& failures,
                 const Parse& parse) {
  const StringReader read(in);
  FixedBuilder<T> out(type);
  for (int64_t row = 0; row < in.length; ++row) {
    if (!in.is_valid(row)) {
      out.append_null();
      continue;
    }
    const auto value = parse(read[row]);
    if (!value && !failures.become_null(row)) {
      throw_parse_error(failures.text(), row, read[row], type);
    }
    out.append(static_cast<T>(value.value_or(0)));
  }
  return out.finish();
}

Array parse_bools(const Array& in, const DataType& type, CastFailures& failures) {
  const StringReader read(in);
  Buffer bits = make_bitmap(in.length, [&](int64_t word) {
    uint64_t value = 0;
    const int64_t begin = word * 64;
    const int64_t end = std::min(begin + 64, in.length);
    for (int64_t row = begin; row < end; ++row) {
      if (!in.is_valid(row)) continue;
      const std::string_view entry = read[row];
      if (entry != "true" && entry != "false" && !failures.become_null(row)) {
        throw_parse_error(failures.text(), row, entry, type);
      }
      value |= static_cast<uint64_t>(entry == "true") << (row - begin);
    }
    return value;
  });
  return bool_array(in.length, std::move(bits), validity_of(in));
}

CastKernel parser(const DataType& to) {
  if (to.is_bool()) {
    return [to](const Array& in, CastFailures& failures) { return parse_bools(in, to, failures); };
  }
  if (to.id == TypeId::kTimestamp || to.id == TypeId::kDate32) {
    return parse_times_kernel(to, parse_iso_time);
  }
  if (!to.is_integer() && !to.is_floating()) return nullptr;
  return visit_fixed(to, [&](auto zero) -> CastKernel {
    using T = decltype(zero);
    return [to](const Array& in, CastFailures& failures) {
      return parse_rows<T>(in, to, failures,
                           [](std::string_view value) { return parse_number<T>(value); });
    };
  });
}

template <typename Format>
Array format_rows(const Array& in, const DataType& type, const Format& format) {
  VarBinaryBuilder out(type);
  for (int64_t row = 0; row < in.length; ++row) {
    if (in.is_valid(row)) {
      out.append(format(row));
    } else {
      out.append_null();
    }
  }
  return out.finish();
}

CastKernel formatter(const DataType& from, const DataType& to) {
  const auto by_row = [&](auto format) -> CastKernel {
    return [format, to](const Array& in, CastFailures&) {
      return format_rows(in, to, [&](int64_t row) { return format(in, row); });
    };
  };
  if (from.is_bool()) {
    return by_row([](const Array& in, int64_t row) -> std::string {
      return get_bit(in.values.data, row) ? "true" : "false";
    });
  }
  if (from.id == TypeId::kTimestamp) {
    return by_row([](const Array& in, int64_t row) {
      return format_timestamp(in.data<int64_t>()[row], in.type);
    });
  }
  if (from.id == TypeId::kDate32) {
    return by_row(
        [](const Array& in, int64_t row) { return format_date(in.data<int32_t>()[row]); });
  }
  if (from.id == TypeId::kDecimal128) {
    return by_row([](const Array& in, int64_t row) {
      __int128 value;
      std::memcpy(&value, in.values.data + row * 16, 16);
      return decimal_text(value, in.type.scale);
    });
  }
  if (from.id == TypeId::kDuration) return nullptr;
  return visit_fixed(from, [&](auto zero) -> CastKernel {
    using T = decltype(zero);
    return by_row([](const Array& in, int64_t row) {
      const T value = in.data<T>()[row];
      if constexpr (std::is_floating_point_v<T>) {
        return float_text(value);
      } else {
        return std::to_string(value);
      }
    });
  });
}

Array encode(const Array& in, const DataType& type) {
  std::unordered_map<std::string_view, int32_t> codes;
  DataType entry_type = type;
  entry_type.is_dictionary = false;
  VarBinaryBuilder entries(entry_type);
  MutableBuffer out(in.length * static_cast<int64_t>(sizeof(int32_t)));
  const StringReader read(in);
  for (int64_t row = 0; row < in.length; ++row) {
    int32_t code = 0;
    if (in.is_valid(row)) {
      const auto [at, is_new] =
          codes.try_emplace(read[row], static_cast<int32_t>(entries.length()));
      if (is_new) entries.append(read[row]);
      code = at->second;
    }
    out.as<int32_t>()[row] = code;
  }
  Array result = fixed_array(type, in.length, out.freeze(), validity_of(in));
  result.dictionary = std::make_shared<Array>(entries.finish());
  return result;
}

Array relabel(const Array& in, const DataType& type) {
  Array out = in;
  out.type = type;
  if (in.is_encoded() && in.dictionary->type.id != type.id) {
    Array dictionary = *in.dictionary;
    dictionary.type = DataType::of(type.id);
    out.dictionary = std::make_shared<Array>(std::move(dictionary));
  }
  return out;
}

// Empty in the rows that failed: no other bytes may stand in a string column, below nulls neither.
Array with_utf8_only(const Array& in, CastFailures& failures) {
  const StringReader read(in);
  for (int64_t row = 0; row < in.length; ++row) {
    if (in.is_valid(row) && !is_utf8(read[row]) && !failures.become_null(row)) {
      throw_row_error(failures.text(), row, "the bytes are not UTF-8",
                      "Keep them binary, or filter such rows out");
    }
  }
  if (failures.rows().empty()) return in;
  VarBinaryBuilder out(DataType::of(in.type.id));
  auto failed = failures.rows().begin();
  for (int64_t row = 0; row < in.length; ++row) {
    const bool has_failed = failed != failures.rows().end() && *failed == row;
    if (has_failed) ++failed;
    if (in.is_valid(row)) {
      out.append(has_failed ? std::string_view() : read[row]);
    } else {
      out.append_null();
    }
  }
  return out.finish();
}

}  // namespace

CastKernel parse_times_kernel(const DataType& to, TimeParser parse) {
  return [to, parse = std::move(parse)](const Array& in, CastFailures& failures) {
    const auto ticks = [&](std::string_view value) { return ticks_of(parse(value), to); };
    return to.id == TypeId::kDate32 ? parse_rows<int32_t>(in, to, failures, ticks)
                                    : parse_rows<int64_t>(in, to, failures, ticks);
  };
}

CastKernel find_text_cast(const DataType& from, const DataType& to) {
  if (from.is_var_binary() && to.is_var_binary()) {
    const bool must_check = from.id == TypeId::kBinary && to.id == TypeId::kString;
    return [to, must_check](const Array& in, CastFailures& failures) {
      const Array checked = must_check ? with_utf8_only(in, failures) : in;
      return to.is_dictionary && !checked.is_encoded() ? encode(checked, to) : relabel(checked, to);
    };
  }
  if (from.id == TypeId::kString) return parser(to);
  if (to.id == TypeId::kString && !to.is_dictionary) return formatter(from, to);
  return nullptr;
}

}  // namespace pystream::expressions::detail
