#pragma once
// What a forked child must not inherit: locks. A kernel lock lives as long as any copy of its
// descriptor, so a child that merely exists would keep the lock of a parent that was killed while
// appending. Registered locks are closed in the child at once; everything else there is only found
// to be forked (is_forked) and refused, never unlocked, joined or freed.

#include <cstdint>
#include <mutex>
#include <set>

#include "storage/file_lock.hpp"

namespace pystream::storage {

// Counts the forks between the first process and this one. Compare with the value at open.
uint64_t fork_generation();

// Keeps `lock` closed in every child, while the object lives. Any thread.
class ForkGuard {
 public:
  explicit ForkGuard(PartitionLock* lock);
  ~ForkGuard();
  ForkGuard(const ForkGuard&) = delete;
  ForkGuard& operator=(const ForkGuard&) = delete;

 private:
  PartitionLock* lock_;
  uint64_t generation_;
};

}  // namespace pystream::storage
