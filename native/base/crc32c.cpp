#include "base/crc32c.hpp"

#include <array>
#include <bit>
#include <cassert>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace pystream {

namespace {

static_assert(std::endian::native == std::endian::little, "the format is little endian");

constexpr uint32_t kPolynomial = 0x82f63b78;  // reflected

// tables[k][b] is the CRC state that byte b leaves after k more zero bytes.
constexpr std::array<std::array<uint32_t, 256>, 8> make_tables() {
  std::array<std::array<uint32_t, 256>, 8> tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t state = byte;
    for (int bit = 0; bit < 8; ++bit) {
      state = (state >> 1) ^ ((state & 1) != 0 ? kPolynomial : 0);
    }
    tables[0][byte] = state;
  }
  for (size_t k = 1; k < 8; ++k) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

constexpr auto kTables = make_tables();

uint64_t load_64(const uint8_t* bytes) {
  uint64_t word;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

#if defined(__x86_64__)

// x^exponent modulo the polynomial, reflected (bit 31 stands for x^0).
constexpr uint32_t power_of_x(uint64_t exponent) {
  uint32_t value = 0x80000000u;
  for (uint64_t i = 0; i < exponent; ++i) {
    value = (value >> 1) ^ ((value & 1) != 0 ? kPolynomial : 0);
  }
  return value;
}

// Multiplying a CRC by this and reducing with one crc32 instruction moves it past `bytes` bytes.
// The reduction itself multiplies by x^32 and the reflected product stands one bit too high:
// hence 33.
constexpr uint32_t shift_constant(uint64_t bytes) { return power_of_x(8 * bytes - 33); }

// Runs three streams of `kStream` bytes each while that many are left. Each crc32 instruction
// takes three cycles and one can start per cycle, so three streams keep the unit busy.
template <size_t kStream>
__attribute__((target("sse4.2,pclmul"))) inline uint64_t fold_streams(uint64_t state,
                                                                      const uint8_t*& at,
                                                                      size_t& left) {
  constexpr uint32_t kShiftOne = shift_constant(kStream);
  constexpr uint32_t kShiftTwo = shift_constant(2 * kStream);
  const __m128i shifts =
      _mm_set_epi64x(static_cast<int64_t>(kShiftOne), static_cast<int64_t>(kShiftTwo));
  while (left >= 3 * kStream) {
    uint64_t first = state;
    uint64_t second = 0;
    uint64_t third = 0;
    for (size_t i = 0; i < kStream; i += 8) {
      first = _mm_crc32_u64(first, load_64(at + i));
      second = _mm_crc32_u64(second, load_64(at + kStream + i));
      third = _mm_crc32_u64(third, load_64(at + 2 * kStream + i));
    }
    const __m128i moved_first =
        _mm_clmulepi64_si128(_mm_cvtsi64_si128(static_cast<int64_t>(first)), shifts, 0x00);
    const __m128i moved_second =
        _mm_clmulepi64_si128(_mm_cvtsi64_si128(static_cast<int64_t>(second)), shifts, 0x10);
    const int64_t product = _mm_cvtsi128_si64(_mm_xor_si128(moved_first, moved_second));
    state = _mm_crc32_u64(0, static_cast<uint64_t>(product)) ^ third;
    at += 3 * kStream;
    left -= 3 * kStream;
  }
  return state;
}

#endif

using Implementation = uint32_t (*)(uint32_t, const void*, size_t);

Implementation choose() {
  return detail::has_hardware_crc32c() ? detail::crc32c_hardware : detail::crc32c_portable;
}

}  // namespace

namespace detail {

uint32_t crc32c_portable(uint32_t seed, const void* data, size_t length) {
  const auto* at = static_cast<const uint8_t*>(data);
  uint32_t state = ~seed;
  for (; length >= 8; length -= 8, at += 8) {
    const uint64_t word = load_64(at) ^ state;
    state = kTables[7][word & 0xff] ^ kTables[6][(word >> 8) & 0xff] ^
            kTables[5][(word >> 16) & 0xff] ^ kTables[4][(word >> 24) & 0xff] ^
            kTables[3][(word >> 32) & 0xff] ^ kTables[2][(word >> 40) & 0xff] ^
            kTables[1][(word >> 48) & 0xff] ^ kTables[0][word >> 56];
  }
  for (; length > 0; --length, ++at) state = (state >> 8) ^ kTables[0][(state ^ *at) & 0xff];
  return ~state;
}

#if defined(__x86_64__)

bool has_hardware_crc32c() {
  return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
}

__attribute__((target("sse4.2,pclmul"))) uint32_t crc32c_hardware(uint32_t seed, const void* data,
                                                                  size_t length) {
  const auto* at = static_cast<const uint8_t*>(data);
  uint64_t state = static_cast<uint32_t>(~seed);
  state = fold_streams<2048>(state, at, length);
  state = fold_streams<256>(state, at, length);
  state = fold_streams<32>(state, at, length);
  for (; length >= 8; length -= 8, at += 8) state = _mm_crc32_u64(state, load_64(at));
  auto narrow = static_cast<uint32_t>(state);
  for (; length > 0; --length, ++at) narrow = _mm_crc32_u8(narrow, *at);
  return ~narrow;
}

#else

bool has_hardware_crc32c() { return false; }

uint32_t crc32c_hardware(uint32_t seed, const void* data, size_t length) {
  assert(false && "no hardware CRC32C on this processor");
  return crc32c_portable(seed, data, length);
}

#endif

}  // namespace detail

uint32_t crc32c(uint32_t seed, const void* data, size_t length) {
  static const Implementation implementation = choose();
  return implementation(seed, data, length);
}

uint32_t crc32c_seed(uint64_t value) { return crc32c(0, &value, sizeof(value)); }

}  // namespace pystream
