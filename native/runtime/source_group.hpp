#pragma once
// Sources that are read in one order, because they meet below (or are to be aligned):
//
//   1. what has no place in the log, that is tables, files and the histories of hybrid sources: in
//      turns of `turn_rows` rows, each of the source whose watermark is the lowest then, of equal
//      ones the first. A turn ends early where its source ends;
//   2. then the topics, batch by batch in append order.
//
// So the order depends neither on how inputs are cut into batches nor on the clock, and a replay
// repeats it. A source ends right after its last row: the group looks ahead.

#include <cstdint>
#include <optional>
#include <vector>

#include "runtime/source.hpp"
#include "runtime/watermark_scope.hpp"

namespace pystream::runtime {

class BatchReader;
class TopicReader;

// Serial: one thread at a time, but for what its readers allow.
class SourceGroup {
 public:
  // One source by itself, with its own rounds, or several that take turns.
  SourceGroup(std::vector<SourceReader*> readers, std::vector<WatermarkScope> scopes,
              int64_t turn_rows);

  // As SourceReader::next_round(). A round ends where one of the sources does.
  void next_round(const RoundLimits& limits, std::vector<SourceBatch>* round);
  // As SourceReader::pass_idle_time(): whether a watermark, of a source or scope, moved.
  bool pass_idle_time();
  int64_t scope_watermark(int scope) const { return scopes_[static_cast<size_t>(scope)].current(); }
  // Of the moves behind the last batch: whether time made them, tick by tick.
  bool is_gradual(int scope) const { return scopes_[static_cast<size_t>(scope)].is_gradual(); }
  int size() const { return static_cast<int>(readers_.size()); }

  // What outlives a round, besides what the readers know: whose turn it is, with the rows that are
  // left of it, and the scopes.
  struct Turn {
    std::optional<int64_t> source;
    int64_t rows_left = 0;
  };
  Turn turn() const { return {turn_, turn_rows_left_}; }
  void restore(const Turn& turn);
  std::vector<WatermarkScope>& scopes() { return scopes_; }

 private:
  bool takes_turns() const { return readers_.size() > 1 || !scopes_.empty(); }
  bool is_done(int source) const { return statuses_[static_cast<size_t>(source)].has_ended; }
  void begin_topics();
  // Takes the next batch in order; false when there is none now.
  bool take_next(const RoundLimits& limits, std::vector<SourceBatch>* round);
  std::optional<int> next_history();
  std::optional<int> next_topic();
  void pass_log_time(int64_t time_us);
  void take(int source, int64_t rows, std::vector<SourceBatch>* round);
  void note_status(int source);
  bool settle();
  bool settle_time();

  std::vector<SourceReader*> readers_;
  std::vector<BatchReader*> histories_;  // per source; null of a mere topic
  std::vector<TopicReader*> topics_;     // per source; null where there is none
  std::vector<WatermarkScope> scopes_;
  std::vector<SourceStatus> statuses_;
  int64_t turn_rows_;
  std::optional<int> turn_;  // whose turn it is
  int64_t turn_rows_left_ = 0;
};

}  // namespace pystream::runtime
