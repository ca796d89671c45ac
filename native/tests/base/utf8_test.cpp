#include "base/utf8.hpp"

#include <gtest/gtest.h>

#include <string>

namespace pystream {
namespace {

// As RFC 3629 writes a code point, also one that it does not allow.
std::string encoded(uint32_t code) {
  const auto byte = [](uint32_t value) { return static_cast<char>(value); };
  if (code < 0x80) return {byte(code)};
  if (code < 0x800) return {byte(0xc0 | code >> 6), byte(0x80 | (code & 0x3f))};
  if (code < 0x10000) {
    return {byte(0xe0 | code >> 12), byte(0x80 | (code >> 6 & 0x3f)), byte(0x80 | (code & 0x3f))};
  }
  return {byte(0xf0 | code >> 18), byte(0x80 | (code >> 12 & 0x3f)),
          byte(0x80 | (code >> 6 & 0x3f)), byte(0x80 | (code & 0x3f))};
}

TEST(Utf8, EveryCodePointButSurrogatesIsText) {
  for (uint32_t code = 0; code <= 0x10ffff; ++code) {
    const bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
    ASSERT_EQ(is_utf8(encoded(code)), !is_surrogate) << code;
  }
  EXPECT_TRUE(is_utf8(""));
  for (uint32_t code : {0x110000u, 0x13ffffu, 0x1fffffu}) EXPECT_FALSE(is_utf8(encoded(code)));
}

TEST(Utf8, NoCodePointIsWrittenLongerThanNeeded) {
  for (const std::string text : {"\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf",
                                 "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf"}) {
    EXPECT_FALSE(is_utf8(text));
  }
}

TEST(Utf8, PartsOfCodePointsAreNone) {
  const std::string whole = "a\u00e9\u20ac\U0001f600z";
  for (size_t begin = 0; begin <= whole.size(); ++begin) {
    for (size_t end = begin; end <= whole.size(); ++end) {
      const auto is_edge = [&](size_t at) {
        return at == whole.size() || (static_cast<unsigned char>(whole[at]) & 0xc0) != 0x80;
      };
      const std::string part = whole.substr(begin, end - begin);
      const bool is_whole = is_edge(begin) && is_edge(end);
      EXPECT_EQ(is_utf8(part), is_whole || part.empty()) << begin << " to " << end;
    }
  }
  for (const std::string text : {"\x80", "\xbf", "\xff", "\xf5\x80\x80\x80", "a\xe2\x82", "\xe2"}) {
    EXPECT_FALSE(is_utf8(text));
  }
}

}  // namespace
}  // namespace pystream
