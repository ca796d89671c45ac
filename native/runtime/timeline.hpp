#pragma once
// The order of everything that happens in one round of a group of sources, for unions of inputs
// that do not come straight from their sources. Positions are multiples of 256 at records (by the
// number of the record's arrival). Between two of them come first the results that the record
// before has caused, then those that the time has that passed until the record behind: rounds may
// end between the two, and must not put them in another order. What a result causes in turn comes
// one behind it.
//
// A result that a watermark caused came when the watermark of its scope first passed the one that
// the result shows operators below. So its position does not depend on when it is computed, which
// is at the end of the round.

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "runtime/operator.hpp"
#include "runtime/source.hpp"
#include "runtime/watermark_scope.hpp"

namespace pystream::runtime {

class SourceGroup;

inline constexpr int64_t kPositionStep = 256;
inline int64_t position_of_arrival(int64_t arrival) { return kPositionStep * arrival; }
// Of what the record has caused, and of what time has until the record.
inline int64_t position_behind(int64_t arrival) { return position_of_arrival(arrival) + 1; }
inline int64_t position_by_time(int64_t arrival) {
  return position_of_arrival(arrival) - kPositionStep / 2;
}

// Owned by the plan, one for each group of sources. Serial phase.
class Timeline {
 public:
  struct Source {
    const SourceReader* reader;
    std::optional<int64_t> delay;  // none: without a watermark
  };
  void set_sources(std::vector<Source> sources, const SourceGroup* group) {
    sources_ = std::move(sources);
    group_ = group;
  }

  // What it keeps of the rounds before: for each scope, the marks of the last batch and the
  // watermark after it. Empty before the first batch.
  struct Last {
    ScopeMarks marks;
    int64_t after = windows::kMinWatermark;
  };
  const std::vector<Last>& last() const { return last_; }
  void restore(std::vector<Last> last) { last_ = std::move(last); }

  // The batches of the round, in order, which stay until end().
  void begin(const std::vector<SourceBatch>* round) { round_ = round; }
  void end();

  // Of rows that an operator of this scope emits: the given one, or by their watermarks.
  Buffer positions(int scope, std::optional<int64_t> position, const Rows& rows);
  // Of rows that the watermark of a scope fired at the moments behind those given, which do not get
  // less: the last watermark up to there. Where time moved it tick by tick while sources were idle,
  // the moments themselves, for it took every value.
  windows::RowWatermarks last_until(int scope, const windows::RowWatermarks& moments, int64_t rows);
  // The marks of a scope at a position of this round.
  const ScopeMarks& marks(int scope, int64_t position) const;

 private:
  // The first position at which the watermark of a scope is above this one; behind everything when
  // there is none in this round.
  int64_t first_above(int scope, int64_t watermark);
  int64_t last_until(int scope, int64_t moment);
  const Buffer& row_watermarks_of(size_t batch);

  std::vector<Source> sources_;
  const SourceGroup* group_ = nullptr;
  const std::vector<SourceBatch>* round_ = nullptr;
  std::vector<Last> last_;
  // Of one batch, the last that was asked for: before each row, and after the last.
  std::optional<size_t> known_;
  Buffer known_watermarks_;
};

}  // namespace pystream::runtime
