// Where results stand in a union, whichever rounds they come in.

#include <gtest/gtest.h>

#include <memory>

#include "restart_support.hpp"
#include "topic_support.hpp"

namespace pystream::runtime {
namespace {

using namespace testing;

// Between two records of `slow` its own window closes, by the first of them, and then that of
// `fast`, by the time that passes until the second: a partition of `fast` becomes idle.
TEST(UnionOrder, WhatTimeBringsStandsBehindWhatTheRecordBeforeHasCaused) {
  const auto clock = std::make_shared<ManualClock>(1'000);
  TempLog log(clock);
  const Partitions fast = log.topic("fast", 2);
  const Partitions slow = log.topic("slow", 1);
  const auto append_at = [&](int64_t time, storage::Partition& partition, int64_t ts) {
    *clock = 1'000 + time;
    append(partition, {{ts, 1, 1}});
  };
  append_at(0, *fast[1], 5);
  append_at(1, *fast[0], 100);
  append_at(1, *slow[0], 7);
  append_at(2, *slow[0], 50);
  append_at(9, *slow[0], 60);
  append_at(30, *fast[0], 200);  // a source that has ended closes its windows
  TopicSourceSpec idle = topic_source(log, fast, 0);
  idle.watermark->idleness = IdlenessSpec{8, false};
  Job job;
  const auto window = [&](const char* name, const TopicSourceSpec& spec, int64_t size) {
    return job.graph.add_window(std::string(name) + "-window",
                                job.graph.add_topic_source(name, spec), count_and_sum(size, size));
  };
  const Port first = window("fast", idle, 10);
  const Port second = window("slow", topic_source(log, slow, 0), 20);
  job.collects = {job.graph.add_collect("out", job.graph.add_union("all", {first, second}))};
  for (const int64_t rows : {1, 2, 100}) {
    ExecutorOptions options;
    options.round_rows = rows;
    const ResultRows results = run_through(job, options)[0];
    ASSERT_EQ(results.size(), 6u);
    EXPECT_EQ(results[0], (std::vector<int64_t>{1, 0, 20, 1, 1})) << rows;
    EXPECT_EQ(results[1], (std::vector<int64_t>{1, 0, 10, 1, 1})) << rows;
  }
}

}  // namespace
}  // namespace pystream::runtime
