#include "stored.hpp"

#include <cstdlib>
#include <cstring>
#include <span>

#include "storage/batch_encoder.hpp"

namespace pystream::gate {

Stored::Stored(const RecordBatch& batch)
    : schema_(batch.schema), place_(std::make_shared<storage::SegmentPlace>()) {
  storage::EncodedBatch encoded =
      storage::encode_batch(batch, storage::Timestamps{}, nullptr, storage::EncodeOptions{});
  storage::stamp_batch(&encoded, storage::Stamp{});
  bytes_ = std::make_shared<MutableBuffer>(encoded.total_length);
  std::memset(bytes_->data(), 0, static_cast<size_t>(encoded.total_length));
  std::memcpy(bytes_->data(), encoded.head.data(), encoded.head.size());
  int64_t at = static_cast<int64_t>(encoded.head.size());
  for (const Buffer& part : encoded.body) {
    std::memcpy(bytes_->data() + at, part.data, static_cast<size_t>(part.size));
    at += round_up_64(part.size);
  }
}

RecordBatch Stored::read(storage::Verify verify) const {
  const std::span<const uint8_t> span(bytes_->data(), static_cast<size_t>(bytes_->size()));
  storage::ParsedHeader header;
  if (storage::parse_header(span, 0, 0, &header) != storage::HeaderStatus::kOk) std::abort();
  const storage::LogBatch log_batch(span, header, bytes_, schema_, place_, 0, nullptr, nullptr);
  return log_batch.read_all(verify);
}

}  // namespace pystream::gate
