#include "storage/segment_header.hpp"

#include <cstdio>
#include <cstring>

#include "base/crc32c.hpp"

namespace pystream::storage {
namespace {

constexpr int kOffsetDigits = 20;
constexpr const char* kSuffix = ".seg";
constexpr const char* kDamaged = "its header is damaged";

}  // namespace

int64_t segment_data_offset(size_t schema_length) {
  const int64_t end = kSegmentHeaderBytes + static_cast<int64_t>(schema_length);
  return (end + kSegmentHeaderBytes - 1) / kSegmentHeaderBytes * kSegmentHeaderBytes;
}

uint32_t segment_head_crc(std::span<const uint8_t> header_bytes, std::span<const uint8_t> schema) {
  const uint32_t header_crc =
      crc32c(0, header_bytes.data() + 8, static_cast<size_t>(kSegmentHeaderBytes) - 8);
  return crc32c(header_crc, schema.data(), schema.size());
}

std::vector<uint8_t> encode_segment_head(SegmentHeader* header, std::span<const uint8_t> schema) {
  header->magic = kSegmentMagic;
  header->version = kFormatVersion;
  header->schema_offset = static_cast<uint32_t>(kSegmentHeaderBytes);
  header->schema_length = static_cast<uint32_t>(schema.size());
  header->data_offset = segment_data_offset(schema.size());
  std::vector<uint8_t> bytes(static_cast<size_t>(header->data_offset));
  std::memcpy(bytes.data(), header, sizeof(*header));
  std::memcpy(bytes.data() + kSegmentHeaderBytes, schema.data(), schema.size());
  header->crc = segment_head_crc(
      std::span<const uint8_t>(bytes).first(static_cast<size_t>(kSegmentHeaderBytes)), schema);
  std::memcpy(bytes.data(), header, sizeof(*header));
  return bytes;
}

std::optional<std::string> decode_segment_header(std::span<const uint8_t> bytes,
                                                 SegmentHeader* out) {
  std::memcpy(out, bytes.data(), sizeof(*out));
  if (out->magic != kSegmentMagic) return "it does not begin with a segment header";
  if (out->schema_offset != kSegmentHeaderBytes || out->schema_length > kMaxSchemaBytes) {
    return kDamaged;
  }
  return std::nullopt;
}

std::optional<std::string> check_segment_header(const SegmentHeader& header) {
  const bool is_plausible =
      header.data_offset == segment_data_offset(header.schema_length) && header.base_offset >= 0 &&
      header.previous_end_offset >= 0 && header.previous_end_offset <= header.base_offset &&
      header.max_bytes > header.data_offset && header.max_bytes <= kMaxSegmentBytes;
  if (!is_plausible) return kDamaged;
  if ((header.incompatible_features & kFeatureCompacted) == 0) return std::nullopt;
  const bool is_sound =
      header.compacted_end_offset >= header.base_offset &&
      header.compared_end_offset >= header.compacted_end_offset &&
      header.compacted_end_position >= header.data_offset &&
      header.compacted_end_position % kBatchAlignment == 0 &&
      header.producer_count <= kMaxCompactedProducers &&
      header.compacted_end_position +
              int64_t{header.producer_count} * static_cast<int64_t>(sizeof(CompactedProducer)) <=
          header.max_bytes;
  if (!is_sound) return kDamaged;
  return std::nullopt;
}

std::string segment_name(int64_t base_offset) {
  char name[32];
  std::snprintf(name, sizeof(name), "%0*lld%s", kOffsetDigits, static_cast<long long>(base_offset),
                kSuffix);
  return name;
}

std::optional<int64_t> parse_segment_name(const std::string& name) {
  if (name.size() != kOffsetDigits + std::strlen(kSuffix) || !name.ends_with(kSuffix)) {
    return std::nullopt;
  }
  uint64_t value = 0;
  for (int i = 0; i < kOffsetDigits; ++i) {
    if (name[static_cast<size_t>(i)] < '0' || name[static_cast<size_t>(i)] > '9') {
      return std::nullopt;
    }
    if (value > UINT64_MAX / 10) return std::nullopt;
    value = value * 10 + static_cast<uint64_t>(name[static_cast<size_t>(i)] - '0');
  }
  if (value > INT64_MAX) return std::nullopt;
  return static_cast<int64_t>(value);
}

}  // namespace pystream::storage
