#include "columns/arrow_format.hpp"

#include <charconv>
#include <optional>
#include <string_view>

#include "base/error.hpp"

namespace pystream::detail {

namespace {

struct SimpleFormat {
  std::string_view format;
  TypeId id;
  ArrowLayout layout;
};

// The first entry of a type is the one that is exported.
constexpr SimpleFormat kSimpleFormats[] = {
    {"b", TypeId::kBool, ArrowLayout::kBool},
    {"c", TypeId::kInt8, ArrowLayout::kFixed},
    {"s", TypeId::kInt16, ArrowLayout::kFixed},
    {"i", TypeId::kInt32, ArrowLayout::kFixed},
    {"l", TypeId::kInt64, ArrowLayout::kFixed},
    {"C", TypeId::kUInt8, ArrowLayout::kFixed},
    {"S", TypeId::kUInt16, ArrowLayout::kFixed},
    {"I", TypeId::kUInt32, ArrowLayout::kFixed},
    {"L", TypeId::kUInt64, ArrowLayout::kFixed},
    {"f", TypeId::kFloat32, ArrowLayout::kFixed},
    {"g", TypeId::kFloat64, ArrowLayout::kFixed},
    {"tdD", TypeId::kDate32, ArrowLayout::kFixed},
    {"tdm", TypeId::kDate32, ArrowLayout::kMillis64},
    {"u", TypeId::kString, ArrowLayout::kVarBinary32},
    {"z", TypeId::kBinary, ArrowLayout::kVarBinary32},
    {"U", TypeId::kString, ArrowLayout::kVarBinary64},
    {"Z", TypeId::kBinary, ArrowLayout::kVarBinary64},
    {"vu", TypeId::kString, ArrowLayout::kView},
    {"vz", TypeId::kBinary, ArrowLayout::kView},
};

constexpr std::string_view kUnitLetters = "smun";

std::optional<TimeUnit> parse_unit(char letter) {
  const size_t at = kUnitLetters.find(letter);
  if (at == std::string_view::npos) return std::nullopt;
  return static_cast<TimeUnit>(at);
}

std::optional<DataType> parse_decimal(std::string_view text) {
  int numbers[3] = {0, 0, 128};  // precision, scale, bits
  int count = 0;
  while (count < 3) {
    const size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    const auto parsed = std::from_chars(part.data(), part.data() + part.size(),
                                        numbers[static_cast<size_t>(count)]);
    if (parsed.ec != std::errc() || parsed.ptr != part.data() + part.size()) return std::nullopt;
    ++count;
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  if (count < 2 || numbers[2] != 128 || numbers[0] < 1 || numbers[0] > 38) return std::nullopt;
  DataType type = DataType::of(TypeId::kDecimal128);
  type.precision = static_cast<uint8_t>(numbers[0]);
  type.scale = static_cast<int8_t>(numbers[1]);
  return type;
}

std::optional<DataType> parse_parametric(const std::string& format) {
  if (format.starts_with("d:")) return parse_decimal(std::string_view(format).substr(2));
  if (format.size() >= 4 && format.starts_with("ts") && format[3] == ':') {
    if (const auto unit = parse_unit(format[2]))
      return DataType::timestamp(*unit, format.substr(4));
  }
  if (format.size() == 3 && format.starts_with("tD")) {
    if (const auto unit = parse_unit(format[2])) {
      DataType type = DataType::of(TypeId::kDuration);
      type.unit = *unit;
      return type;
    }
  }
  return std::nullopt;
}

// What a person calls the type behind a format string that is not supported.
std::string arrow_name(const std::string& format) {
  constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"e", "float16"},
      {"tt", "time"},
      {"ti", "interval"},
      {"w:", "fixed_size_binary"},
      {"+v", "list_view"},
      {"+s", "struct"},
      {"+m", "map"},
      {"+u", "union"},
      {"+r", "run_end_encoded"},
      {"d:", "decimal of other than 128 bits"}};
  for (const auto& [prefix, name] : kNames) {
    if (format.starts_with(prefix)) return std::string(name);
  }
  return "'" + format + "'";
}

}  // namespace

std::optional<ListFormat> list_format(std::string_view format) {
  if (format == "+l") return ListFormat{ListLayout::kOffsets32, 0};
  if (format == "+L") return ListFormat{ListLayout::kOffsets64, 0};
  if (!format.starts_with("+w:")) return std::nullopt;
  format.remove_prefix(3);
  ListFormat fixed{ListLayout::kFixedSize, 0};
  const auto parsed = std::from_chars(format.data(), format.data() + format.size(), fixed.size);
  if (parsed.ec != std::errc() || parsed.ptr != format.data() + format.size() || fixed.size < 0) {
    return std::nullopt;
  }
  return fixed;
}

std::string format_of(const DataType& type) {
  if (type.is_dictionary) return "i";
  if (type.is_list()) return "+l";
  const char unit = kUnitLetters[static_cast<size_t>(type.unit)];
  if (type.id == TypeId::kTimestamp) return std::string("ts") + unit + ":" + type.timezone;
  if (type.id == TypeId::kDuration) return std::string("tD") + unit;
  if (type.id == TypeId::kDecimal128) {
    return "d:" + std::to_string(type.precision) + "," + std::to_string(type.scale);
  }
  for (const SimpleFormat& simple : kSimpleFormats) {
    if (simple.id == type.id) return std::string(simple.format);
  }
  return "n";
}

ArrowFormat parse_format(const std::string& format, const std::string& column) {
  if (format == "n") return {DataType{}, ArrowLayout::kNull};
  for (const SimpleFormat& simple : kSimpleFormats) {
    if (simple.format == format) return {DataType::of(simple.id), simple.layout};
  }
  if (auto type = parse_parametric(format)) return {*std::move(type), ArrowLayout::kFixed};
  throw Error(ErrorCode::kNotSupported,
              "column '" + column + "' has Arrow type " + arrow_name(format) +
                  ", which a topic cannot hold. Cast it to a supported type or leave it out.",
              {{"column", column}, {"format", format}});
}

}  // namespace pystream::detail
