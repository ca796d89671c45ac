// Arbitrary bytes as the head of a segment file: its header, and the schema blob behind it.

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/error.hpp"
#include "columns/schema.hpp"
#include "storage/segment_header.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  using namespace pystream;
  std::vector<uint8_t> head(static_cast<size_t>(storage::kSegmentHeaderBytes), 0);
  const size_t header_size = std::min(size, sizeof(storage::SegmentHeader));
  if (header_size > 0) std::memcpy(head.data(), input, header_size);
  // The magic is put right, as mutations seldom keep it.
  const uint32_t magic = storage::kSegmentMagic;
  std::memcpy(head.data(), &magic, sizeof(magic));
  storage::SegmentHeader header;
  if (!storage::decode_segment_header(head, &header)) {
    if (header.schema_length > storage::kMaxSchemaBytes) __builtin_trap();
    if (!storage::check_segment_header(header) && header.data_offset < 4096) __builtin_trap();
  }

  const std::vector<uint8_t> blob(input + header_size, input + size);
  try {
    // What is accepted is canonical.
    if (Schema::deserialize(blob).serialize() != blob) __builtin_trap();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kSchema) throw;
  }
  return 0;
}
