#include "base/hash.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <string>
#include <unordered_set>

#include "base/murmur2.hpp"
#include "base/stable_hash.hpp"

namespace pystream {
namespace {

int32_t kafka_murmur2(const std::string& text) {
  return static_cast<int32_t>(murmur2(text.data(), text.size()));
}

// The vectors of Kafka's own UtilsTest.testMurmur2.
TEST(Murmur2, AgreesWithKafka) {
  EXPECT_EQ(kafka_murmur2("21"), -973932308);
  EXPECT_EQ(kafka_murmur2("foobar"), -790332482);
  EXPECT_EQ(kafka_murmur2("a-little-bit-long-string"), -985981536);
  EXPECT_EQ(kafka_murmur2("a-little-bit-longer-string"), -1486304829);
  EXPECT_EQ(kafka_murmur2("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8"), -58897971);
  EXPECT_EQ(kafka_murmur2("abc"), 479470107);
}

// Sketches are stored, so these never change. The words are the first two of splitmix64 from seed
// 0; the bytes are those of MurmurHash64A with seed 0.
TEST(StableHash, IsWhatItHasAlwaysBeen) {
  EXPECT_EQ(stable_hash_u64(0), 0xE220A8397B1DCDAFu);
  EXPECT_EQ(stable_hash_u64(0x9E3779B97F4A7C15u), 0x6E789E6AA1B965F4u);
  EXPECT_EQ(stable_hash_bytes(""), 0u);
  EXPECT_EQ(stable_hash_bytes("a"), 0x071717D2D36B6B11u);
  EXPECT_EQ(stable_hash_bytes("hello"), 0x1E68D17C457BF117u);
  EXPECT_EQ(stable_hash_bytes("12345678"), 0x758F67D162B2D202u);
  EXPECT_EQ(stable_hash_bytes("customer-000000000000042"), 0x7165ADCF1804A897u);
}

TEST(Hash, EqualBytesHashEqualAtAnyAlignment) {
  const std::string text = "the quick brown fox jumps over the lazy dog and then some more text";
  for (size_t length = 0; length < text.size(); ++length) {
    std::string shifted(1, '#');
    shifted.append(text, 0, length);
    EXPECT_EQ(hash_bytes(text.data(), length), hash_bytes(shifted.data() + 1, length));
  }
}

TEST(Hash, EveryByteAndTheLengthMatter) {
  for (size_t length = 1; length <= 70; ++length) {
    std::string text(length, 'a');
    std::unordered_set<uint64_t> seen{hash_bytes(text), hash_bytes(text.data(), length - 1)};
    EXPECT_EQ(seen.size(), 2u);
    for (size_t i = 0; i < length; ++i) {
      text[i] = 'b';
      EXPECT_TRUE(seen.insert(hash_bytes(text)).second) << length << " " << i;
      text[i] = 'a';
    }
  }
}

TEST(Hash, ZeroBytesOfAnyLengthDiffer) {
  std::unordered_set<uint64_t> seen;
  const std::string zeros(100, '\0');
  for (size_t length = 0; length <= 100; ++length) seen.insert(hash_bytes(zeros.data(), length));
  EXPECT_EQ(seen.size(), 101u);
}

// Tables take the low or the high bits: consecutive integers must spread over both.
TEST(Hash, ConsecutiveIntegersSpread) {
  for (int shift : {0, 24, 52}) {
    std::unordered_set<uint64_t> buckets;
    for (uint64_t i = 0; i < 4096; ++i) buckets.insert((hash_u64(i) >> shift) & 4095);
    // 4096 balls into 4096 buckets fill 63 % of them in expectation.
    EXPECT_GT(buckets.size(), 2400u) << shift;
  }
}

TEST(Hash, CombineDependsOnOrder) {
  EXPECT_NE(hash_combine(hash_u64(1), hash_u64(2)), hash_combine(hash_u64(2), hash_u64(1)));
}

}  // namespace
}  // namespace pystream
