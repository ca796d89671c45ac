#include "base/crc32c.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string_view>
#include <vector>

namespace pystream {
namespace {

// The definition, bit by bit.
uint32_t slow_crc32c(uint32_t seed, const uint8_t* data, size_t length) {
  uint32_t state = ~seed;
  for (size_t i = 0; i < length; ++i) {
    state ^= data[i];
    for (int bit = 0; bit < 8; ++bit) state = (state >> 1) ^ ((state & 1) ? 0x82f63b78u : 0);
  }
  return ~state;
}

std::vector<uint8_t> random_bytes(size_t length, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<uint8_t> bytes(length);
  for (auto& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

uint32_t of_text(std::string_view text) { return crc32c(0, text.data(), text.size()); }

TEST(Crc32c, KnownVectors) {
  EXPECT_EQ(of_text(""), 0u);
  EXPECT_EQ(of_text("123456789"), 0xe3069283u);
  // RFC 3720, appendix B.4.
  EXPECT_EQ(crc32c(0, std::vector<uint8_t>(32, 0x00).data(), 32), 0x8a9136aau);
  EXPECT_EQ(crc32c(0, std::vector<uint8_t>(32, 0xff).data(), 32), 0x62a8ab43u);
}

TEST(Crc32c, EveryLengthAndAlignmentAgreesWithTheDefinition) {
  const auto bytes = random_bytes(1600, 1);
  for (size_t begin = 0; begin < 8; ++begin) {
    for (size_t length = 0; length + begin <= bytes.size(); ++length) {
      if (length > 200 && (length % 61) != begin) continue;
      const uint32_t expected = slow_crc32c(7, bytes.data() + begin, length);
      ASSERT_EQ(crc32c(7, bytes.data() + begin, length), expected) << begin << " " << length;
      ASSERT_EQ(detail::crc32c_portable(7, bytes.data() + begin, length), expected) << length;
    }
  }
}

TEST(Crc32c, HardwareEqualsPortableOnLongInput) {
  if (!detail::has_hardware_crc32c()) GTEST_SKIP() << "this processor has no SSE4.2 and PCLMUL";
  const auto bytes = random_bytes(300'000, 2);
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    const size_t begin = random() % 5000;
    const size_t length = random() % (bytes.size() - begin);
    const auto seed = static_cast<uint32_t>(random());
    ASSERT_EQ(detail::crc32c_hardware(seed, bytes.data() + begin, length),
              detail::crc32c_portable(seed, bytes.data() + begin, length))
        << begin << " " << length;
  }
}

TEST(Crc32c, OfPartsIsThatOfTheWhole) {
  const auto bytes = random_bytes(50'000, 4);
  const uint32_t whole = crc32c(0, bytes.data(), bytes.size());
  for (size_t cut : {0ul, 1ul, 7ul, 96ul, 767ul, 6144ul, 49'999ul, 50'000ul}) {
    const uint32_t head = crc32c(0, bytes.data(), cut);
    EXPECT_EQ(crc32c(head, bytes.data() + cut, bytes.size() - cut), whole) << cut;
  }
}

TEST(Crc32c, SeedDependsOnEveryBit) {
  const uint32_t zero = crc32c_seed(0);
  for (int bit = 0; bit < 64; ++bit) EXPECT_NE(crc32c_seed(uint64_t{1} << bit), zero) << bit;
}

}  // namespace
}  // namespace pystream
