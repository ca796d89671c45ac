#pragma once
// CRC32C (Castagnoli), the checksum of everything on disk. Three interleaved SSE4.2 streams joined
// by carry-less multiplication where the processor has both, eight tables otherwise; the choice is
// made once at run time and both give the same result (see base/crc32c_test.cpp).

#include <cstddef>
#include <cstdint>

namespace pystream {

// The CRC32C of `length` bytes appended to something whose CRC32C is `seed` (0: nothing before):
// crc32c(crc32c(0, a), b) is the CRC32C of a followed by b. crc32c(0, "123456789") is 0xe3069283.
// Any thread; never fails.
uint32_t crc32c(uint32_t seed, const void* data, size_t length);

// Folds 8 bytes (little endian) into a seed: how a salt and a file position enter a checksum.
uint32_t crc32c_seed(uint64_t value);

namespace detail {

// The two implementations, for the test that compares them.
uint32_t crc32c_portable(uint32_t seed, const void* data, size_t length);
uint32_t crc32c_hardware(uint32_t seed, const void* data, size_t length);
bool has_hardware_crc32c();

}  // namespace detail

}  // namespace pystream
