#pragma once
// Memory of columns. A Buffer is a read-only view that keeps its owner alive (a heap block, a
// mapped segment, a foreign Arrow array). A MutableBuffer is a heap block being filled.

#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

namespace pystream {

inline constexpr int64_t kBufferAlignment = 64;

inline constexpr int64_t round_up_64(int64_t size) { return (size + 63) & ~int64_t{63}; }

struct Buffer {
  const uint8_t* data = nullptr;
  int64_t size = 0;  // bytes that may be read
  std::shared_ptr<const void> owner;

  explicit operator bool() const { return data != nullptr; }

  template <typename T>
  const T* as() const {
    return reinterpret_cast<const T*>(data);
  }

  // The bytes [begin, begin + length), same owner.
  Buffer slice(int64_t begin, int64_t length) const { return {data + begin, length, owner}; }
};

// A 64-byte aligned, growable heap block; capacity is a multiple of 64 so that SIMD kernels may
// read whole vectors. Bytes past size() up to capacity() are zero when frozen.
class MutableBuffer {
 public:
  MutableBuffer() = default;
  explicit MutableBuffer(int64_t size) { resize(size); }
  MutableBuffer(MutableBuffer&& other) noexcept { swap(other); }
  MutableBuffer& operator=(MutableBuffer&& other) noexcept {
    swap(other);
    return *this;
  }
  MutableBuffer(const MutableBuffer&) = delete;
  MutableBuffer& operator=(const MutableBuffer&) = delete;
  ~MutableBuffer();

  uint8_t* data() { return data_; }
  const uint8_t* data() const { return data_; }
  int64_t size() const { return size_; }
  int64_t capacity() const { return capacity_; }

  template <typename T>
  T* as() {
    return reinterpret_cast<T*>(data_);
  }
  template <typename T>
  const T* as() const {
    return reinterpret_cast<const T*>(data_);
  }

  // Grows geometrically; new bytes are uninitialized.
  void reserve(int64_t capacity);
  void resize(int64_t size) {
    if (size > capacity_) reserve(size);
    size_ = size;
  }
  void append(const void* bytes, int64_t length) {
    const int64_t at = size_;
    resize(size_ + length);
    if (length > 0) std::memcpy(data_ + at, bytes, static_cast<size_t>(length));
  }

  // Hands the block over to a shared read-only Buffer; this object is empty afterwards.
  Buffer freeze();

 private:
  void swap(MutableBuffer& other) {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
  }

  uint8_t* data_ = nullptr;
  int64_t size_ = 0;
  int64_t capacity_ = 0;
};

}  // namespace pystream
