#pragma once
// The first bytes of a segment file: SegmentHeader and the schema blob, as one checked unit.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "storage/format.hpp"

namespace pystream::storage {

// A schema blob longer than this is refused by the writer and not believed by the reader.
inline constexpr int64_t kMaxSchemaBytes = int64_t{4} << 20;
inline constexpr int64_t kMaxSegmentBytes = int64_t{1} << 40;

// The bytes before the first batch. Fills in magic, version, schema_offset, schema_length,
// data_offset and CRC of `header`; the schema must not be longer than kMaxSchemaBytes.
std::vector<uint8_t> encode_segment_head(SegmentHeader* header, std::span<const uint8_t> schema);

// Where the first batch stands, for a schema of that length.
int64_t segment_data_offset(size_t schema_length);

// Reads what tells where the checksum's bytes are: magic, and the schema's place; gives the reason
// when there is no header here. `bytes` are the first kSegmentHeaderBytes.
std::optional<std::string> decode_segment_header(std::span<const uint8_t> bytes,
                                                 SegmentHeader* out);

// Of a header whose checksum is right, and whose version this program reads: gives the reason when
// its fields cannot be.
std::optional<std::string> check_segment_header(const SegmentHeader& header);

// The CRC that must equal header.crc, over the stored header and schema.
uint32_t segment_head_crc(std::span<const uint8_t> header_bytes, std::span<const uint8_t> schema);

// "00000000000000001024.seg", and back (nullopt for other names).
std::string segment_name(int64_t base_offset);
std::optional<int64_t> parse_segment_name(const std::string& name);

}  // namespace pystream::storage
