#pragma once
// A few threads that do one piece of work together and then wait for the next. The caller is
// thread 0; a pool of one starts no thread.
//
// After a fork the child has none of the threads: there the pool may only be destroyed, which
// leaves its memory alone.

#include <cstdint>
#include <functional>
#include <memory>

namespace pystream::runtime {

class WorkerPool {
 public:
  // Throws kConfig when the system gives no more threads.
  explicit WorkerPool(int threads);
  ~WorkerPool();  // joins
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  int threads() const;

  // Calls work(thread) once on each thread and returns when all are done. `work` must not throw.
  void run(const std::function<void(int)>& work);

 private:
  void close();

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace pystream::runtime
