#include "storage/fork_guard.hpp"

#include <pthread.h>

#include <atomic>

namespace pystream::storage {
namespace {

// One per copy of the core in the process: fork handlers are a property of the process, so their
// list cannot have another owner. Never destroyed, because children may fork during exit.
struct Registry {
  std::mutex mutex;
  std::set<ClosedInChild*> holders;
  std::atomic<uint64_t> generation{0};
};

Registry& registry() {
  static Registry* instance = new Registry;
  return *instance;
}

void before_fork() { registry().mutex.lock(); }
void in_parent() { registry().mutex.unlock(); }
void in_child() {
  Registry& all = registry();
  all.generation.fetch_add(1);
  for (ClosedInChild* holder : all.holders) holder->close_in_child();
  all.holders.clear();
  all.mutex.unlock();
}

void install_handlers() {
  static const int installed = ::pthread_atfork(before_fork, in_parent, in_child);
  static_cast<void>(installed);
}

}  // namespace

uint64_t fork_generation() { return registry().generation.load(std::memory_order_relaxed); }

ForkGuard::ForkGuard(ClosedInChild* holder) : holder_(holder) {
  install_handlers();
  Registry& all = registry();
  std::lock_guard guard(all.mutex);
  all.holders.insert(holder);
  generation_ = all.generation.load();
}

ForkGuard::~ForkGuard() {
  Registry& all = registry();
  std::lock_guard guard(all.mutex);
  if (generation_ == all.generation.load()) all.holders.erase(holder_);
}

}  // namespace pystream::storage
