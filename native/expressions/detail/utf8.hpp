#pragma once
// Code points in UTF-8. What is counted is valid UTF-8; on other bytes the functions give some
// answer within the text.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace pystream::expressions::detail {

inline bool continues_code_point(char byte) { return (byte & 0xc0) == 0x80; }

inline int64_t count_code_points(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char byte) { return !continues_code_point(byte); });
}

// Bytes of the first `count` code points; all of them where there are fewer.
inline size_t bytes_of_first(std::string_view text, uint64_t count) {
  // Every code point has a byte at least, so a larger count need not be walked to.
  if (count >= text.size()) return text.size();
  size_t at = 0;
  for (; count > 0 && at < text.size(); --count) {
    do ++at;
    while (at < text.size() && continues_code_point(text[at]));
  }
  return at;
}

// Bytes of the last `count` code points; all of them where there are fewer.
inline size_t bytes_of_last(std::string_view text, uint64_t count) {
  if (count >= text.size()) return text.size();
  size_t at = text.size();
  for (; count > 0 && at > 0; --count) {
    do --at;
    while (at > 0 && continues_code_point(text[at]));
  }
  return text.size() - at;
}

// Whether one code point is white space, as str.isspace() of Python has it: Unicode's, and the
// separators U+001C to U+001F.
bool is_white_space(std::string_view code_point);

// The code point that valid UTF-8 begins with; of other bytes, some number below 2^21. `bytes` is
// what bytes_of_first(text, 1) or bytes_of_last(text, 1) covers.
uint32_t decode_utf8(std::string_view bytes);

void append_utf8(uint32_t code, std::string* out);

}  // namespace pystream::expressions::detail
