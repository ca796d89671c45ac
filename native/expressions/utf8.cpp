#include "expressions/detail/utf8.hpp"

#include <array>

namespace pystream::expressions::detail {

bool is_white_space(std::string_view code_point) {
  static constexpr std::array<std::string_view, 19> kWide = {
      "\u0085", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003",
      "\u2004", "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200a",
      "\u2028", "\u2029", "\u202f", "\u205f", "\u3000",
  };
  if (code_point.size() == 1) {
    const char c = code_point[0];
    return c == ' ' || (c >= '\t' && c <= '\r') || (c >= '\x1c' && c <= '\x1f');
  }
  return std::find(kWide.begin(), kWide.end(), code_point) != kWide.end();
}

uint32_t decode_utf8(std::string_view bytes) {
  const auto lead = static_cast<uint8_t>(bytes[0]);
  uint32_t code = lead < 0x80   ? lead
                  : lead < 0xe0 ? lead & 0x1f
                  : lead < 0xf0 ? lead & 0x0f
                                : lead & 0x07;
  for (const char byte : bytes.substr(1, 3)) {
    code = code << 6 | (static_cast<uint8_t>(byte) & 0x3f);
  }
  return code & 0x1fffff;
}

void append_utf8(uint32_t code, std::string* out) {
  const auto push = [out](uint32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (code < 0x80) return push(code);
  if (code < 0x800) {
    push(0xc0 | code >> 6);
  } else {
    if (code < 0x10000) {
      push(0xe0 | code >> 12);
    } else {
      push(0xf0 | code >> 18);
      push(0x80 | (code >> 12 & 0x3f));
    }
    push(0x80 | (code >> 6 & 0x3f));
  }
  push(0x80 | (code & 0x3f));
}

}  // namespace pystream::expressions::detail
