#include "runtime/worker_pool.hpp"

#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "base/error.hpp"

namespace pystream::runtime {

struct WorkerPool::State {
  void serve(int thread);

  const pid_t owner = getpid();
  std::mutex mutex;
  std::condition_variable start;
  std::condition_variable done;
  const std::function<void(int)>* work = nullptr;
  uint64_t generation = 0;  // rises with each run()
  int running = 0;
  bool is_closing = false;
  std::vector<std::thread> workers;
};

WorkerPool::WorkerPool(int threads) : state_(std::make_unique<State>()) {
  State& state = *state_;
  try {
    for (int thread = 1; thread < threads; ++thread) {
      state.workers.emplace_back([&state, thread] { state.serve(thread); });
    }
  } catch (const std::system_error& error) {
    const size_t started = state.workers.size() + 1;
    close();
    throw Error(ErrorCode::kConfig, "the system refused thread " + std::to_string(started + 1) +
                                        " of " + std::to_string(threads) + ": " + error.what() +
                                        ". Run with fewer threads.");
  }
}

WorkerPool::~WorkerPool() { close(); }

void WorkerPool::close() {
  State& state = *state_;
  if (state.owner != getpid()) {
    // Joining threads that a fork did not copy, or destroying what they waited for, would hang.
    static_cast<void>(state_.release());
    return;
  }
  {
    const std::lock_guard lock(state.mutex);
    state.is_closing = true;
  }
  state.start.notify_all();
  for (std::thread& worker : state.workers) worker.join();
  state.workers.clear();
}

int WorkerPool::threads() const { return static_cast<int>(state_->workers.size()) + 1; }

void WorkerPool::run(const std::function<void(int)>& work) {
  State& state = *state_;
  if (state.workers.empty()) {
    work(0);
    return;
  }
  {
    const std::lock_guard lock(state.mutex);
    state.work = &work;
    state.running = static_cast<int>(state.workers.size());
    ++state.generation;
  }
  state.start.notify_all();
  work(0);
  std::unique_lock lock(state.mutex);
  state.done.wait(lock, [&state] { return state.running == 0; });
  state.work = nullptr;
}

void WorkerPool::State::serve(int thread) {
  uint64_t seen = 0;
  std::unique_lock lock(mutex);
  for (;;) {
    start.wait(lock, [&] { return is_closing || generation != seen; });
    if (is_closing) return;
    seen = generation;
    const std::function<void(int)>& task = *work;
    lock.unlock();
    task(thread);
    lock.lock();
    if (--running == 0) done.notify_one();
  }
}

}  // namespace pystream::runtime
