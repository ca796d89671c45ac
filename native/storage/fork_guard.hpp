#pragma once
// What a forked child must not inherit: locks. A kernel lock lives as long as any copy of its
// descriptor, so a child that merely exists would keep the lock of a parent that was killed while
// appending. Registered locks are closed in the child at once; everything else there is only found
// to be forked (is_forked) and refused, never unlocked, joined or freed.

#include <cstdint>
#include <mutex>
#include <set>

namespace pystream::storage {

// Holds a descriptor with locks.
class ClosedInChild {
 public:
  // In a forked child, where mutexes may be locked by threads that do not exist. The parent's locks
  // are not released: its own copy of the descriptor keeps them.
  virtual void close_in_child() = 0;

 protected:
  ~ClosedInChild() = default;
};

// Counts the forks between the first process and this one. Compare with the value at open.
uint64_t fork_generation();

// Keeps `holder` closed in every child, while the object lives. Any thread.
class ForkGuard {
 public:
  explicit ForkGuard(ClosedInChild* holder);
  ~ForkGuard();
  ForkGuard(const ForkGuard&) = delete;
  ForkGuard& operator=(const ForkGuard&) = delete;

 private:
  ClosedInChild* holder_;
  uint64_t generation_;
};

}  // namespace pystream::storage
