#pragma once
// Jobs that are run through, and jobs of which each round is run by another executor.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "job_support.hpp"

namespace pystream::runtime::testing {

using ResultRows = std::vector<std::vector<int64_t>>;

// A graph whose inputs begin anew with each executor, and its collects.
struct Job {
  Graph graph;
  std::vector<int> collects;
};

using Results = std::vector<ResultRows>;  // per collect

inline void take(Executor& executor, const Job& job, Results* results) {
  results->resize(job.collects.size());
  for (size_t i = 0; i < job.collects.size(); ++i) {
    const ResultRows rows = rows_of(executor.take_collected(job.collects[i]));
    (*results)[i].insert((*results)[i].end(), rows.begin(), rows.end());
  }
}

inline Results run_through(const Job& job, const ExecutorOptions& options) {
  Executor executor(job.graph, options);
  Results results;
  while (executor.run(1'000'000) != RunStatus::kFinished) {
  }
  take(executor, job, &results);
  return results;
}

inline JobSnapshot snapshot_of(Executor& executor, const Job& job, Results* results) {
  for (;;) {
    take(executor, job, results);
    if (auto snapshot = executor.snapshot()) return std::move(*snapshot);
  }
}

// After each round another executor goes on.
inline Results run_in_parts(const Job& job, const ExecutorOptions& options, int parts) {
  Results results;
  auto executor = std::make_unique<Executor>(job.graph, options);
  while (executor->run(0) != RunStatus::kFinished) {
    const JobSnapshot whole = snapshot_of(*executor, job, &results);
    std::vector<JobSnapshot> split;
    for (int part = 0; part < parts; ++part) {
      split.push_back(
          select(whole, state::key_group_range(part, parts, state::kDefaultMaxParallelism)));
    }
    executor = std::make_unique<Executor>(job.graph, options, split);
  }
  take(*executor, job, &results);
  return results;
}

// The first row that differs; nothing where all are equal.
inline std::string difference(const Results& got, const Results& expected) {
  for (size_t i = 0; i < expected.size(); ++i) {
    for (size_t row = 0; row < std::max(got[i].size(), expected[i].size()); ++row) {
      const auto text = [&](const ResultRows& rows) {
        return row < rows.size() ? ::testing::PrintToString(rows[row]) : "nothing";
      };
      if (text(got[i]) == text(expected[i])) continue;
      return "collect " + std::to_string(i) + ", row " + std::to_string(row) + " is " +
             text(got[i]) + " instead of " + text(expected[i]);
    }
  }
  return "";
}

inline Results sorted(Results results) {
  for (ResultRows& rows : results) std::sort(rows.begin(), rows.end());
  return results;
}

inline ErrorCode code_of(const std::function<void()>& call, const std::string& part) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    return error.code();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

// The snapshot of a job that has come to its end.
inline JobSnapshot snapshot_at_end(const Job& job) {
  Executor executor(job.graph);
  Results results;
  while (executor.run(1'000'000) != RunStatus::kFinished) take(executor, job, &results);
  return snapshot_of(executor, job, &results);
}

// Topic source "events" to collect "out".
inline Job copy_of(const TopicSourceSpec& spec) {
  Job job;
  job.collects.push_back(job.graph.add_collect("out", job.graph.add_topic_source("events", spec)));
  return job;
}

}  // namespace pystream::runtime::testing
