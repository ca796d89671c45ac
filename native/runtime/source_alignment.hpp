#pragma once
// Watermark alignment: of sources that are read on their own, one that is ahead waits for the
// others (Flink's FLIP-182 and FLIP-217).
//
// Sources that meet below are read in one order, which alignment leaves alone; it looks at how far
// they are together, that is at the least of their watermarks. A reading group is held while
// another one of the same alignment, which has not ended and gave something when it was read last,
// is behind it by more than the drift. One that is held itself, by a group of another alignment,
// holds nobody, nor does one with nothing to read: there is always one that goes on, so there is no
// deadlock, and no speed is capped.
//
// Which of several independent groups is read first changes no result.
//
// Owned by the executor; serial.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "runtime/plan.hpp"

namespace pystream::runtime {

class SourceAlignment {
 public:
  // The plan outlives it.
  SourceAlignment(const Graph& graph, const Plan& plan);

  // Whether any source is aligned, and whether one of this reading group is.
  bool is_empty() const { return members_.empty(); }
  bool has(size_t group) const;

  // Whether the group is to wait now. Counts where it begins to.
  bool holds(size_t group, const std::vector<bool>& is_source_done);
  // After a round of the group: whether it brought anything.
  void note_round(size_t group, bool had_any) { is_active_[group] = had_any; }
  // Tells the sources' metrics how far each is ahead.
  void note_drift(const std::vector<bool>& is_source_done);

 private:
  using Nanoseconds = __int128;  // of any watermark of any unit
  struct Member {
    size_t source;
    size_t group;
    int64_t tick_ns;
    int64_t max_drift_ns;
  };

  bool is_ahead(size_t group, const std::vector<Member>& of, const std::vector<bool>& done) const;
  Nanoseconds watermark(const Member& member) const;

  const Plan& plan_;
  std::map<std::string, std::vector<Member>> members_;  // by name of the alignment
  std::vector<bool> is_active_;                         // per group
  std::vector<bool> is_held_;
};

}  // namespace pystream::runtime
