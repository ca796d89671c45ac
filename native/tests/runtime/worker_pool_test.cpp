#include "runtime/worker_pool.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace pystream::runtime {
namespace {

TEST(WorkerPool, OneThreadIsTheCaller) {
  WorkerPool pool(1);
  std::thread::id seen;
  pool.run([&](int thread) {
    EXPECT_EQ(thread, 0);
    seen = std::this_thread::get_id();
  });
  EXPECT_EQ(seen, std::this_thread::get_id());
}

TEST(WorkerPool, EachThreadWorksOncePerRunAndRunWaitsForAll) {
  WorkerPool pool(3);
  for (int round = 1; round <= 500; ++round) {
    std::vector<int> calls(3, 0);  // unsynchronized: run() must order these writes before the reads
    pool.run([&](int thread) { ++calls[static_cast<size_t>(thread)]; });
    ASSERT_EQ(calls, (std::vector<int>{1, 1, 1}));
  }
}

TEST(WorkerPool, UnusedPoolEnds) { const WorkerPool pool(4); }

}  // namespace
}  // namespace pystream::runtime
