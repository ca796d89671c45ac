#include "columns/bitmap.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "columns/buffer.hpp"
#include "columns/builder.hpp"

namespace pystream {
namespace {

// Exactly the bytes needed, on the heap, so that a sanitizer sees a read past the end.
std::vector<uint8_t> random_bits(std::mt19937* random, int64_t length) {
  std::vector<uint8_t> bytes(static_cast<size_t>(bitmap_bytes(length)));
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>((*random)());
  return bytes;
}

TEST(Bitmap, CountsLikeALoopAtEveryLength) {
  std::mt19937 random(1);
  for (int64_t length = 0; length <= 200; ++length) {
    const auto bits = random_bits(&random, length);
    int64_t expected = 0;
    for (int64_t i = 0; i < length; ++i) expected += get_bit(bits.data(), i);
    EXPECT_EQ(count_set_bits(bits.data(), length), expected) << length;
  }
}

TEST(Bitmap, CopyFromAnyBitToAnyBitMovesExactlyTheRange) {
  std::mt19937 random(2);
  for (int64_t begin = 0; begin < 17; ++begin) {
    for (int64_t target_begin = 0; target_begin < 17; ++target_begin) {
      for (int64_t length : {0, 1, 5, 7, 8, 9, 63, 64, 65, 130}) {
        const auto source = random_bits(&random, begin + length);
        std::vector<uint8_t> target(static_cast<size_t>(bitmap_bytes(target_begin + length)));
        fill_bits(target.data(), 0, target_begin);
        or_bits(source.data(), begin, length, target.data(), target_begin);
        for (int64_t i = 0; i < static_cast<int64_t>(target.size()) * 8; ++i) {
          const bool expected =
              i < target_begin ||
              (i < target_begin + length && get_bit(source.data(), begin + i - target_begin));
          ASSERT_EQ(get_bit(target.data(), i), expected)
              << begin << " " << target_begin << " " << length << " bit " << i;
        }
      }
    }
  }
}

TEST(Bitmap, FillSetsOnlyTheRange) {
  for (int64_t begin = 0; begin < 20; ++begin) {
    for (int64_t length = 0; length < 40; ++length) {
      std::vector<uint8_t> bits(8);
      fill_bits(bits.data(), begin, length);
      for (int64_t i = 0; i < 64; ++i) {
        ASSERT_EQ(get_bit(bits.data(), i), i >= begin && i < begin + length);
      }
    }
  }
}

TEST(Bitmap, FindsTheFirstZero) {
  for (int64_t length : {0, 1, 8, 63, 64, 65, 200}) {
    std::vector<uint8_t> bits(static_cast<size_t>(bitmap_bytes(length)), 0xFF);
    EXPECT_EQ(find_clear_bit(bits.data(), length), -1);
    for (int64_t at = 0; at < length; ++at) {
      clear_bit(bits.data(), at);
      EXPECT_EQ(find_clear_bit(bits.data(), length), at);
      set_bit(bits.data(), at);
    }
  }
}

TEST(BitmapBuilder, MixesRunsAndSingleBits) {
  BitmapBuilder builder;
  builder.append_run(true, 3);
  builder.append(false);
  builder.append_run(false, 70);
  builder.append_run(true, 9);
  EXPECT_EQ(builder.length(), 83);
  EXPECT_EQ(builder.ones(), 12);
  const Buffer bits = builder.finish();
  EXPECT_EQ(builder.length(), 0);
  for (int64_t i = 0; i < 83; ++i) EXPECT_EQ(get_bit(bits.data, i), i < 3 || i >= 74) << i;
}

TEST(MutableBuffer, GrowsKeepingBytesAndFreezesWithZeroTail) {
  MutableBuffer buffer;
  for (int i = 0; i < 1000; ++i) buffer.append(&i, sizeof(i));
  EXPECT_EQ(buffer.capacity() % 64, 0);
  const int64_t capacity = buffer.capacity();
  const Buffer frozen = buffer.freeze();
  EXPECT_EQ(buffer.size(), 0);
  EXPECT_EQ(buffer.data(), nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(frozen.data) % 64, 0u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(frozen.as<int>()[i], i);
  for (int64_t i = frozen.size; i < capacity; ++i) EXPECT_EQ(frozen.data[i], 0);
}

TEST(MutableBuffer, EmptyFreezesToAnEmptyBuffer) {
  EXPECT_FALSE(MutableBuffer().freeze());
  EXPECT_EQ(MutableBuffer(0).freeze().size, 0);
}

}  // namespace
}  // namespace pystream
