#pragma once
// The state of a whole job between two rounds: that of each operator, and what belongs to none of
// them, which is how sources take turns and where the watermarks of several sources are. A job that
// begins with it goes on as if it had never been interrupted.
//
// Plain data, see state/snapshot.hpp. Columns and names: docs/formats/state.md.

#include <cstdint>
#include <string>
#include <vector>

#include "state/snapshot.hpp"

namespace pystream::runtime {

struct Plan;
class RoundClock;

struct JobSnapshot {
  struct Entry {
    std::string name;
    state::Snapshot state;
  };
  state::Snapshot job;
  std::vector<Entry> operators;  // in the order of the graph
};

// The rows of some key groups, with all that belongs to no key.
JobSnapshot select(const JobSnapshot& snapshot, state::KeyGroupRange range);

// What a job knows beside its plan.
struct JobProgress {
  int64_t arrivals = 0;   // rows that sources handed out
  int64_t turn_rows = 0;  // see ExecutorOptions
  int64_t clock_ms = 0;   // the latest time that it has shown
};

// Once all has been delivered.
JobSnapshot write_job(const Plan& plan, const JobProgress& progress);
// Into a plan that has just been made, from snapshots of one moment, at least one. Throws
// kCheckpoint where they are not of this job, naming what differs; the plan is not to be used then.
void read_job(const std::vector<JobSnapshot>& parts, Plan* plan, JobProgress* progress);

}  // namespace pystream::runtime
