#include "columns/builder.hpp"

#include <limits>
#include <string>

#include "base/error.hpp"

namespace pystream {

void BitmapBuilder::append(bool bit) { append_run(bit, 1); }

void BitmapBuilder::append_run(bool bit, int64_t count) {
  const int64_t had = bits_.size();
  bits_.resize(bitmap_bytes(length_ + count));
  if (bits_.size() > had) {
    std::memset(bits_.data() + had, 0, static_cast<size_t>(bits_.size() - had));
  }
  if (bit) {
    fill_bits(bits_.data(), length_, count);
    ones_ += count;
  }
  length_ += count;
}

Buffer BitmapBuilder::finish() {
  length_ = 0;
  ones_ = 0;
  return bits_.freeze();
}

void VarBinaryBuilder::append(std::string_view value) {
  constexpr int64_t kMaxBytes = std::numeric_limits<int32_t>::max();
  const int64_t size = static_cast<int64_t>(value.size());
  if (size > kMaxBytes - bytes_.size()) {
    throw Error(ErrorCode::kRecordTooLarge,
                "a " + type_.to_string() + " column of one batch would pass " +
                    std::to_string(kMaxBytes) + " bytes with a value of " + std::to_string(size) +
                    " bytes. Use smaller batches.",
                {{"size", bytes_.size() + size}, {"limit", kMaxBytes}});
  }
  const int32_t begin = static_cast<int32_t>(bytes_.size());
  offsets_.append(&begin, sizeof(begin));
  bytes_.append(value.data(), size);
  if (has_validity_) validity_.append(true);
  ++length_;
}

void VarBinaryBuilder::append_null() {
  start_validity();
  const int32_t begin = static_cast<int32_t>(bytes_.size());
  offsets_.append(&begin, sizeof(begin));
  validity_.append(false);
  ++length_;
}

Array VarBinaryBuilder::finish() {
  const int32_t end = static_cast<int32_t>(bytes_.size());
  offsets_.append(&end, sizeof(end));
  Array array;
  array.type = type_;
  array.length = length_;
  array.offsets = offsets_.freeze();
  array.values = bytes_.freeze();
  if (has_validity_) {
    array.null_count = length_ - validity_.ones();
    array.validity = validity_.finish();
  }
  length_ = 0;
  has_validity_ = false;
  return array;
}

void VarBinaryBuilder::start_validity() {
  if (has_validity_) return;
  has_validity_ = true;
  validity_.append_run(true, length_);
}

}  // namespace pystream
