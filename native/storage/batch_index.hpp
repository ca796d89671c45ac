#pragma once
// Where the batches of one segment stand, as far as this process has walked it. Grows at the end
// only, by one thread at a time (the segment's lock); read by any thread without a lock, because
// entries never move.

#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>

namespace pystream::storage {

struct BatchEntry {
  int64_t base_offset = 0;
  int64_t next_offset = 0;
  int64_t position = 0;               // of the batch, or of the damage
  int64_t length = 0;                 // bytes, up to the next entry
  bool is_corrupt = false;            // no batch could be read here; the offsets are lost
  uint16_t flags = 0;                 // of the batch
  int64_t transaction_id = -1;        // of the batch
  std::atomic<uint64_t> verified{0};  // a bit per buffer whose CRC was right
};

class BatchIndex {
 public:
  BatchIndex() = default;
  BatchIndex(const BatchIndex&) = delete;
  BatchIndex& operator=(const BatchIndex&) = delete;
  ~BatchIndex() {
    for (auto& chunk : chunks_) delete[] chunk;
  }

  int64_t count() const { return count_.load(std::memory_order_acquire); }

  // i < count(). The verified bits may change through it.
  BatchEntry& at(int64_t i) const {
    const uint64_t place = static_cast<uint64_t>(i) + kFirstChunk;
    const uint64_t chunk = std::bit_width(place) - std::bit_width(kFirstChunk);
    return chunks_[chunk][place - (kFirstChunk << chunk)];
  }

  void append(int64_t base_offset, int64_t next_offset, int64_t position, int64_t length,
              bool is_corrupt, uint16_t flags = 0, int64_t transaction_id = -1) {
    const int64_t i = count_.load(std::memory_order_relaxed);
    const uint64_t place = static_cast<uint64_t>(i) + kFirstChunk;
    const uint64_t chunk = std::bit_width(place) - std::bit_width(kFirstChunk);
    if (chunks_[chunk] == nullptr) chunks_[chunk] = new BatchEntry[kFirstChunk << chunk];
    BatchEntry& entry = at(i);
    entry.base_offset = base_offset;
    entry.next_offset = next_offset;
    entry.position = position;
    entry.length = length;
    entry.is_corrupt = is_corrupt;
    entry.flags = flags;
    entry.transaction_id = transaction_id;
    count_.store(i + 1, std::memory_order_release);
  }

  // The first entry with next_offset > offset, or count().
  int64_t find(int64_t offset) const {
    int64_t low = 0;
    int64_t high = count();
    while (low < high) {
      const int64_t middle = low + (high - low) / 2;
      if (at(middle).next_offset > offset) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }

 private:
  // Chunks double: chunk k holds kFirstChunk << k entries, so a small segment costs little.
  static constexpr uint64_t kFirstChunk = 16;
  static constexpr int kChunks = 48;

  BatchEntry* chunks_[kChunks] = {};
  std::atomic<int64_t> count_{0};
};

}  // namespace pystream::storage
