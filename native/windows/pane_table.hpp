#pragma once
// Panes: one key in one window each, with bounds, timers and what is counted of them.
//
// A pane has a number, which is also its row in an AccumulatorTable. The panes of a key are chained
// from the one that ends last to the one that ends first. Timers are Flink's: a pane has any number
// of them, each at most once, and loses them when it is merged or forgotten.
//
// Owned by one operator; one thread at a time. Snapshotable: panes and timers; chains, and when to
// look at which pane, follow from them.

#include <cstdint>
#include <optional>
#include <queue>
#include <span>
#include <vector>

#include "state/limits.hpp"
#include "windows/chain_index.hpp"
#include "windows/route_rows.hpp"
#include "windows/session_timers.hpp"

namespace pystream::windows {

inline constexpr uint32_t kNoPane = state::kNoId;
// The last time of a window that has no end.
inline constexpr int64_t kEndless = INT64_MAX;

struct Pane {
  int64_t start = 0;
  int64_t last = 0;     // the latest time in the window, Flink's maxTimestamp; or kEndless
  int64_t cleanup = 0;  // the watermark that forgets it; kMaxWatermark: none does
  int64_t arrival = 0;  // number of the record that came first
  int64_t taken = 0;    // records since it was opened
  // What it holds since it was purged: records, and the extremes of their times.
  int64_t held = 0;
  int64_t min_time = INT64_MAX;
  int64_t max_time = INT64_MIN;
  uint32_t key = kNoPane;    // kNoPane: the number is free
  uint32_t newer = kNoPane;  // of the same key; of a free number, the next free one
  uint32_t older = kNoPane;
  // When its timers are looked at, if ever; rebuilt.
  int64_t armed = 0;
  bool is_armed = false;
  std::vector<int64_t> timers;

  bool is_live() const { return key != kNoPane; }
};

class PaneTable {
 public:
  // Key ids are < universe from here on.
  void reserve_keys(uint32_t universe) { newest_.resize(universe, kNoPane); }

  uint32_t newest(uint32_t key) const { return newest_[key]; }
  Pane& operator[](uint32_t pane) { return panes_[pane]; }
  const Pane& operator[](uint32_t pane) const { return panes_[pane]; }
  // One more than the largest number ever in use, and how many are in use.
  uint32_t size() const { return static_cast<uint32_t>(panes_.size()); }
  int64_t in_use() const { return in_use_; }

  // The newest pane of the key that starts at `time` or before, and the one behind it; of panes
  // that all start at different times.
  ChainIndex::Place seek(uint32_t key, int64_t time) {
    return index_.seek(key, newest_[key], time,
                       [&](uint32_t at) -> const Pane& { return panes_[at]; });
  }
  void set_start(uint32_t pane, int64_t start) {
    index_.move(panes_[pane].key, panes_[pane].start, start, pane);
    panes_[pane].start = start;
  }

  // A new pane of the key in the chain behind `newer`, or as the newest (kNoPane). Throws kOperator
  // at 2^32 - 2 panes.
  uint32_t open(uint32_t key, uint32_t newer, int64_t start, int64_t last, int64_t arrival);
  // Takes a pane out of its chain, with its timers; the number may be used again.
  void release(uint32_t pane);

  // As SessionTimers::next().
  std::optional<int64_t> next_timer() const { return timers_.next(); }

  int64_t watermark() const { return watermark_; }
  // Before any pane is open.
  void start_at(int64_t watermark) {
    watermark_ = watermark;
    timers_.pass(watermark, [](int64_t, uint32_t) {});
  }
  // Whether the watermark has passed the window's end.
  bool has_ended(uint32_t pane) const { return panes_[pane].last <= watermark_; }

  // One that the watermark has passed already fires when it moves next. Throws kOperator on one
  // that a timer of the same time or a later one registers: it would fire for ever.
  void register_timer(uint32_t pane, int64_t time);
  void delete_timer(uint32_t pane, int64_t time);
  void clear_timers(uint32_t pane) { panes_[pane].timers.clear(); }
  // The watermark that forgets the pane.
  void set_cleanup(uint32_t pane, int64_t time);

  // Moves the watermark on, and calls visit(pane, time) for each timer and cleanup that it reaches,
  // in order of time, then of the windows' ends, then of the panes' first records. With the last
  // watermark, a window without end loses the timers that it registers meanwhile, which might have
  // no end either; but not the one at its own end.
  template <typename Visit>
  void pass(int64_t watermark, Visit visit) {
    watermark_ = watermark;
    is_passing_ = true;
    collect_due();
    while (!due_.empty()) {
      const Due due = due_.top();
      due_.pop();
      now_ = due.time;
      if (take_timer(due.pane, due.time)) visit(due.pane, due.time);
      look_at(due.pane);
    }
    is_passing_ = false;
  }

  // Sets the byte of each key that has a pane.
  void mark_keys(std::span<uint8_t> live) const;
  // Key ids have changed; those of panes are kept.
  void remap_keys(std::span<const uint32_t> new_ids, uint32_t universe);

  int64_t bytes() const;

 private:
  struct Due {
    int64_t time;
    int64_t last;
    int64_t arrival;
    uint32_t pane;
    // The queue's top is its greatest.
    bool operator<(const Due& other) const {
      if (time != other.time) return time > other.time;
      if (last != other.last) return last > other.last;
      return arrival > other.arrival;
    }
  };

  void arm(uint32_t pane, int64_t time);
  void collect_due();
  bool take_timer(uint32_t pane, int64_t time);
  // Queues the pane when the watermark has passed its next timer, or arms it.
  void look_at(uint32_t pane);

  std::vector<Pane> panes_;
  std::vector<uint32_t> newest_;  // by key
  uint32_t free_ = kNoPane;
  int64_t in_use_ = 0;
  ChainIndex index_;
  int64_t watermark_ = kMinWatermark;

  SessionTimers timers_;
  std::priority_queue<Due> due_;
  std::vector<uint32_t> looked_at_;
  bool is_passing_ = false;
  int64_t now_ = kMinWatermark;  // time of the timer at work
};

}  // namespace pystream::windows
