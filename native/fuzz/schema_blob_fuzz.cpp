// Arbitrary bytes as a schema blob. What is accepted is canonical and can be printed.

#include <cstring>
#include <vector>

#include "base/error.hpp"
#include "columns/schema.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  using namespace pystream;
  // A vector of exactly this size: the sanitizer sees each read past its end.
  std::vector<uint8_t> blob(input, input + size);
  for (const bool with_magic : {false, true}) {
    if (with_magic) {
      if (blob.size() < 8) return 0;
      const uint8_t begin[8] = {'P', 'S', 'S', 'C', 1, 0, 0, 0};  // mutations seldom keep it
      std::memcpy(blob.data(), begin, sizeof(begin));
    }
    try {
      const Schema schema = Schema::deserialize(blob);
      if (schema.serialize() != blob) __builtin_trap();
      if (schema.to_string().empty() != schema.fields.empty()) __builtin_trap();
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kSchema) throw;
    }
  }
  return 0;
}
