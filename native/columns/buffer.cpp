#include "columns/buffer.hpp"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <new>

namespace pystream {

MutableBuffer::~MutableBuffer() { std::free(data_); }

void MutableBuffer::reserve(int64_t capacity) {
  assert(capacity >= 0);
  if (capacity <= capacity_) return;
  const int64_t grown = round_up_64(std::max(capacity, capacity_ * 2));
  auto* block = static_cast<uint8_t*>(
      std::aligned_alloc(static_cast<size_t>(kBufferAlignment), static_cast<size_t>(grown)));
  if (block == nullptr) throw std::bad_alloc();
  if (size_ > 0) std::memcpy(block, data_, static_cast<size_t>(size_));
  std::free(data_);
  data_ = block;
  capacity_ = grown;
}

Buffer MutableBuffer::freeze() {
  if (data_ == nullptr) return {};
  std::memset(data_ + size_, 0, static_cast<size_t>(capacity_ - size_));
  // The control block is made before ownership moves: shared_ptr frees the block if that throws.
  std::shared_ptr<const void> owner(data_,
                                    [](const void* block) { std::free(const_cast<void*>(block)); });
  Buffer frozen{data_, size_, std::move(owner)};
  data_ = nullptr;
  size_ = 0;
  capacity_ = 0;
  return frozen;
}

}  // namespace pystream
