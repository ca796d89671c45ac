#include "windows/value_text.hpp"

#include <cstdio>
#include <string_view>

namespace pystream::windows {

namespace {

constexpr size_t kMaxText = 100;

template <typename T>
std::string number(const Array& array, int64_t i) {
  return std::to_string(array.data<T>()[i]);
}

std::string real(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.17g", value);
  return text;
}

std::string hexadecimal(std::string_view bytes) {
  std::string text = "0x";
  char digits[3];
  for (const char byte : bytes) {
    std::snprintf(digits, sizeof(digits), "%02x", static_cast<unsigned char>(byte));
    text += digits;
  }
  return text;
}

std::string quoted(const std::string& text) {
  std::string result = "'";
  result += text;
  result += "'";
  return result;
}

std::string cut(std::string text) {
  if (text.size() <= kMaxText) return text;
  size_t end = kMaxText;
  while (end > 0 && (text[end] & 0xC0) == 0x80) --end;  // not within a UTF-8 character
  return text.substr(0, end) + "...";
}

// No more elements than there is room for.
std::string list_text(const Array& array, int64_t i) {
  const int32_t* offsets = array.offsets.as<int32_t>() + i;
  std::string text = "[";
  for (int32_t at = offsets[0]; at < offsets[1] && text.size() <= kMaxText; ++at) {
    text += (at == offsets[0] ? "" : ", ") + value_text(*array.elements, at);
  }
  return cut(text + "]");
}

}  // namespace

std::string value_text(const Array& array, int64_t i) {
  if (!array.is_valid(i)) return "null";
  if (array.is_encoded()) return value_text(*array.dictionary, array.codes()[i]);
  switch (array.type.id) {
    case TypeId::kBool:
      return get_bit(array.values.data, i) ? "true" : "false";
    case TypeId::kInt8:
      return number<int8_t>(array, i);
    case TypeId::kInt16:
      return number<int16_t>(array, i);
    case TypeId::kInt32:
    case TypeId::kDate32:
      return number<int32_t>(array, i);
    case TypeId::kUInt8:
      return number<uint8_t>(array, i);
    case TypeId::kUInt16:
      return number<uint16_t>(array, i);
    case TypeId::kUInt32:
      return number<uint32_t>(array, i);
    case TypeId::kUInt64:
      return number<uint64_t>(array, i);
    case TypeId::kFloat32:
      return real(array.data<float>()[i]);
    case TypeId::kFloat64:
      return real(array.data<double>()[i]);
    case TypeId::kString:
      return quoted(cut(std::string(array.view(i))));
    case TypeId::kBinary:
      return cut(hexadecimal(array.view(i)));
    case TypeId::kDecimal128:
      return hexadecimal({array.data<char>() + 16 * i, 16});
    case TypeId::kList:
      return list_text(array, i);
    default:
      return number<int64_t>(array, i);
  }
}

}  // namespace pystream::windows
