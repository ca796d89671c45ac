#include "base/lz4.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace pystream {
namespace {

std::vector<uint8_t> compressible(size_t length) {
  std::mt19937 random(5);
  std::vector<uint8_t> bytes(length);
  for (size_t i = 0; i < length; ++i) bytes[i] = static_cast<uint8_t>((i / 50) + random() % 3);
  return bytes;
}

std::vector<uint8_t> compress(const std::vector<uint8_t>& raw) {
  std::vector<uint8_t> stored(raw.size() + 100);
  const int64_t length = lz4_compress(raw.data(), static_cast<int64_t>(raw.size()), stored.data(),
                                      static_cast<int64_t>(stored.size()));
  stored.resize(static_cast<size_t>(length));
  return stored;
}

bool decompress(const std::vector<uint8_t>& stored, std::vector<uint8_t>* raw) {
  return lz4_decompress(stored.data(), static_cast<int64_t>(stored.size()), raw->data(),
                        static_cast<int64_t>(raw->size()));
}

TEST(Lz4, RoundTrips) {
  for (size_t length : {1ul, 13ul, 1000ul, 100'000ul}) {
    const auto raw = compressible(length);
    std::vector<uint8_t> back(length);
    ASSERT_TRUE(decompress(compress(raw), &back));
    EXPECT_EQ(back, raw);
  }
}

TEST(Lz4, ReportsWhatDoesNotFit) {
  std::mt19937 random(6);
  std::vector<uint8_t> noise(1000);
  for (auto& byte : noise) byte = static_cast<uint8_t>(random());
  std::vector<uint8_t> target(900);
  EXPECT_EQ(lz4_compress(noise.data(), 1000, target.data(), 900), 0);
}

TEST(Lz4, RefusesAnotherRawLengthAndCutBlocks) {
  const auto raw = compressible(5000);
  auto stored = compress(raw);
  std::vector<uint8_t> longer(5001);
  EXPECT_FALSE(decompress(stored, &longer));
  std::vector<uint8_t> shorter(4999);
  EXPECT_FALSE(decompress(stored, &shorter));
  stored.pop_back();
  std::vector<uint8_t> same(5000);
  EXPECT_FALSE(decompress(stored, &same));
}

TEST(Lz4, MaximumRawLengthIsABound) {
  const std::vector<uint8_t> zeros(1'000'000, 0);
  const auto stored = compress(zeros);
  EXPECT_LE(1'000'000, lz4_max_raw_length(static_cast<int64_t>(stored.size())));
}

}  // namespace
}  // namespace pystream
