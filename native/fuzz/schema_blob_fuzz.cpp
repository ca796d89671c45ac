// Arbitrary bytes as a schema blob, as they are and with the magic put right. What is accepted is
// canonical and can be printed.

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/error.hpp"
#include "columns/schema.hpp"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

using namespace pystream;

constexpr uint8_t kBegin[8] = {'P', 'S', 'S', 'C', 1, 0, 0, 0};
constexpr unsigned kLeftWrong = 16;  // one input of so many

bool begins_well(const uint8_t* data, size_t size) {
  return size >= sizeof(kBegin) && std::equal(std::begin(kBegin), std::end(kBegin), data);
}

void check(const std::vector<uint8_t>& blob) {
  try {
    const Schema schema = Schema::deserialize(blob);
    if (schema.serialize() != blob) __builtin_trap();
    if (schema.to_string().empty() != schema.fields.empty()) __builtin_trap();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kSchema) throw;
  }
}

}  // namespace

// Mutations seldom keep the magic, without which an input must be checked twice.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  const size_t mutated = LLVMFuzzerMutate(data, size, max_size);
  const bool is_kept = seed % kLeftWrong == 0 || mutated < sizeof(kBegin);
  if (!is_kept) std::memcpy(data, kBegin, sizeof(kBegin));
  return mutated;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  // A vector of exactly this size: the sanitizer sees each read past its end.
  std::vector<uint8_t> blob(input, input + size);
  check(blob);
  if (size < sizeof(kBegin) || begins_well(input, size)) return 0;
  std::memcpy(blob.data(), kBegin, sizeof(kBegin));
  check(blob);
  return 0;
}
