#pragma once
// A growable array of plain values for tables that are read at random places. Large blocks are
// aligned to 2 MiB and offered to the kernel as huge pages: at a million keys most of the cost of a
// lookup is otherwise the page table walk.
//
// Owned by one table; no locking. Rebuilt from the table's keys after a restart.

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

namespace pystream::state {

template <typename T>
class LargeArray {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  LargeArray() = default;
  explicit LargeArray(int64_t size) { resize(size); }
  LargeArray(LargeArray&& other) noexcept { swap(other); }
  LargeArray& operator=(LargeArray&& other) noexcept {
    swap(other);
    return *this;
  }
  LargeArray(const LargeArray& other) { *this = other; }
  LargeArray& operator=(const LargeArray& other) {
    if (this == &other) return *this;
    size_ = 0;
    resize(other.size_);
    if (size_ > 0) std::memcpy(data_, other.data_, static_cast<size_t>(size_) * sizeof(T));
    return *this;
  }
  ~LargeArray() { std::free(data_); }

  T* data() { return data_; }
  const T* data() const { return data_; }
  int64_t size() const { return size_; }
  int64_t bytes() const { return capacity_ * static_cast<int64_t>(sizeof(T)); }
  T& operator[](int64_t i) { return data_[i]; }
  const T& operator[](int64_t i) const { return data_[i]; }

  // New elements are uninitialized. Grows geometrically.
  void resize(int64_t size) {
    if (size > capacity_) grow(size);
    size_ = size;
  }
  // Keeps the block for reuse.
  void clear() { size_ = 0; }
  void push_back(const T& value) {
    resize(size_ + 1);
    data_[size_ - 1] = value;
  }

  void append(const T* values, int64_t count) {
    resize(size_ + count);
    std::memcpy(data_ + size_ - count, values, static_cast<size_t>(count) * sizeof(T));
  }

  void swap(LargeArray& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
  }

 private:
  static constexpr int64_t kHugePage = int64_t{2} << 20;

  void grow(int64_t size) {
    const int64_t wanted = size > 2 * capacity_ ? size : 2 * capacity_;
    int64_t bytes = wanted * static_cast<int64_t>(sizeof(T));
    const int64_t alignment = bytes >= kHugePage ? kHugePage : 64;
    bytes = (bytes + alignment - 1) / alignment * alignment;
    void* block = std::aligned_alloc(static_cast<size_t>(alignment), static_cast<size_t>(bytes));
    if (block == nullptr) throw std::bad_alloc();
    // Advice only: where the kernel declines, the array is slower and nothing else changes.
    if (bytes >= kHugePage) (void)madvise(block, static_cast<size_t>(bytes), MADV_HUGEPAGE);
    if (size_ > 0) std::memcpy(block, data_, static_cast<size_t>(size_) * sizeof(T));
    std::free(data_);
    data_ = static_cast<T*>(block);
    capacity_ = bytes / static_cast<int64_t>(sizeof(T));
  }

  T* data_ = nullptr;
  int64_t size_ = 0;
  int64_t capacity_ = 0;
};

}  // namespace pystream::state
