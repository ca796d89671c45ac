#include "columns/data_type.hpp"

#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.hpp"

namespace pystream {

namespace {

constexpr std::pair<std::string_view, TypeId> kSimpleTypes[] = {
    {"bool", TypeId::kBool},       {"int8", TypeId::kInt8},       {"int16", TypeId::kInt16},
    {"int32", TypeId::kInt32},     {"int64", TypeId::kInt64},     {"uint8", TypeId::kUInt8},
    {"uint16", TypeId::kUInt16},   {"uint32", TypeId::kUInt32},   {"uint64", TypeId::kUInt64},
    {"float32", TypeId::kFloat32}, {"float64", TypeId::kFloat64}, {"date32", TypeId::kDate32},
    {"string", TypeId::kString},   {"binary", TypeId::kBinary},
};

constexpr std::string_view kUnitNames[] = {"s", "ms", "us", "ns"};

constexpr int kMaxDecimalPrecision = 38;

[[noreturn]] void throw_unknown_type(const std::string& text) {
  std::string accepted;
  for (const auto& [name, id] : kSimpleTypes) accepted += std::string(name) + ", ";
  throw Error(ErrorCode::kConfig,
              "'" + text + "' is not a column type. Use one of " + accepted +
                  "timestamp[s|ms|us|ns] or timestamp[unit, zone], duration[unit], "
                  "decimal128(precision, scale), dictionary<string>, list<type> of one of these.",
              {{"type", text}});
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// The text between `prefix` + open and close, or nullopt when `text` has another form.
std::optional<std::string_view> arguments(std::string_view text, std::string_view prefix, char open,
                                          char close) {
  if (!text.starts_with(prefix)) return std::nullopt;
  text.remove_prefix(prefix.size());
  if (text.size() < 2 || text.front() != open || text.back() != close) return std::nullopt;
  return trim(text.substr(1, text.size() - 2));
}

std::optional<TimeUnit> parse_unit(std::string_view text) {
  for (size_t i = 0; i < std::size(kUnitNames); ++i) {
    if (text == kUnitNames[i]) return static_cast<TimeUnit>(i);
  }
  return std::nullopt;
}

std::optional<int> parse_int(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<DataType> parse_timestamp(std::string_view args) {
  const size_t comma = args.find(',');
  const auto unit = parse_unit(trim(args.substr(0, comma)));
  if (!unit) return std::nullopt;
  if (comma == std::string_view::npos) return DataType::timestamp(*unit);
  std::string_view zone = trim(args.substr(comma + 1));
  if (zone.starts_with("tz=")) zone.remove_prefix(3);  // as pyarrow prints it
  if (zone.empty()) return std::nullopt;
  return DataType::timestamp(*unit, std::string(zone));
}

std::optional<DataType> parse_decimal(std::string_view args) {
  const size_t comma = args.find(',');
  if (comma == std::string_view::npos) return std::nullopt;
  const auto precision = parse_int(trim(args.substr(0, comma)));
  const auto scale = parse_int(trim(args.substr(comma + 1)));
  if (!precision || *precision < 1 || *precision > kMaxDecimalPrecision) return std::nullopt;
  if (!scale || *scale < -kMaxDecimalPrecision || *scale > kMaxDecimalPrecision) {
    return std::nullopt;
  }
  DataType type = DataType::of(TypeId::kDecimal128);
  type.precision = static_cast<uint8_t>(*precision);
  type.scale = static_cast<int8_t>(*scale);
  return type;
}

std::optional<DataType> parse_list(std::string_view args);

std::optional<DataType> parse_type(std::string_view text) {
  for (const auto& [name, id] : kSimpleTypes) {
    if (text == name) return DataType::of(id);
  }
  if (text == "date32[day]") return DataType::of(TypeId::kDate32);  // as pyarrow prints it
  if (const auto args = arguments(text, "timestamp", '[', ']')) return parse_timestamp(*args);
  if (const auto args = arguments(text, "decimal128", '(', ')')) return parse_decimal(*args);
  if (const auto args = arguments(text, "duration", '[', ']')) {
    const auto unit = parse_unit(*args);
    if (!unit) return std::nullopt;
    DataType type = DataType::of(TypeId::kDuration);
    type.unit = *unit;
    return type;
  }
  if (const auto args = arguments(text, "dictionary", '<', '>'); args == "string") {
    DataType type = DataType::of(TypeId::kString);
    type.is_dictionary = true;
    return type;
  }
  if (const auto args = arguments(text, "list", '<', '>')) return parse_list(*args);
  return std::nullopt;
}

// Of a list: "int64", or "item: int64" as pyarrow prints it.
std::optional<DataType> parse_list(std::string_view args) {
  const size_t colon = args.find(": ");
  if (colon != std::string_view::npos) args = trim(args.substr(colon + 2));
  auto element = parse_type(args);
  if (!element || element->is_list()) return std::nullopt;
  return DataType::list_of(*std::move(element));
}

}  // namespace

bool DataType::operator==(const DataType& other) const {
  if (id != other.id || unit != other.unit || precision != other.precision ||
      scale != other.scale || is_dictionary != other.is_dictionary || timezone != other.timezone) {
    return false;
  }
  if (element == nullptr || other.element == nullptr) return element == other.element;
  return *element == *other.element;
}

int DataType::byte_width() const {
  switch (id) {
    case TypeId::kBool:
    case TypeId::kString:
    case TypeId::kBinary:
    case TypeId::kList:
      return 0;
    case TypeId::kInt8:
    case TypeId::kUInt8:
      return 1;
    case TypeId::kInt16:
    case TypeId::kUInt16:
      return 2;
    case TypeId::kInt32:
    case TypeId::kUInt32:
    case TypeId::kFloat32:
    case TypeId::kDate32:
      return 4;
    case TypeId::kInt64:
    case TypeId::kUInt64:
    case TypeId::kFloat64:
    case TypeId::kTimestamp:
    case TypeId::kDuration:
      return 8;
    case TypeId::kDecimal128:
      return 16;
  }
  return 0;
}

std::string DataType::to_string() const {
  const std::string unit_name(kUnitNames[static_cast<size_t>(unit)]);
  if (is_dictionary) return "dictionary<string>";
  if (id == TypeId::kTimestamp) {
    return "timestamp[" + unit_name + (timezone.empty() ? "" : ", " + timezone) + "]";
  }
  if (is_list()) return "list<" + element->to_string() + ">";
  if (id == TypeId::kDuration) return "duration[" + unit_name + "]";
  if (id == TypeId::kDecimal128) {
    return "decimal128(" + std::to_string(precision) + ", " + std::to_string(scale) + ")";
  }
  for (const auto& [name, simple] : kSimpleTypes) {
    if (id == simple) return std::string(name);
  }
  return "type " + std::to_string(static_cast<int>(id));
}

DataType DataType::parse(const std::string& text) {
  if (auto type = parse_type(trim(text))) return *std::move(type);
  throw_unknown_type(text);
}

int64_t ticks_per_second(TimeUnit unit) {
  constexpr int64_t kTicks[] = {1, 1'000, 1'000'000, 1'000'000'000};
  return kTicks[static_cast<size_t>(unit)];
}

}  // namespace pystream
