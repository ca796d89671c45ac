#include "runtime/source_group.hpp"

#include <algorithm>
#include <utility>

#include "runtime/batch_reader.hpp"
#include "runtime/topic_reader.hpp"

namespace pystream::runtime {

SourceGroup::SourceGroup(std::vector<SourceReader*> readers, std::vector<WatermarkScope> scopes,
                         int64_t turn_rows)
    : readers_(std::move(readers)),
      scopes_(std::move(scopes)),
      statuses_(readers_.size()),
      turn_rows_(turn_rows) {
  for (SourceReader* reader : readers_) {
    histories_.push_back(reader->history());
    topics_.push_back(reader->topic());
  }
}

void SourceGroup::next_round(const RoundLimits& limits, std::vector<SourceBatch>* round) {
  if (!takes_turns()) {
    readers_[0]->next_round(limits, round);
    return;
  }
  begin_topics();
  for (int source = 0; source < size(); ++source) note_status(source);
  settle();
  RoundLimits left = limits;
  const auto is_open = [&] { return left.rows > 0 && left.bytes > 0 && left.batches > 0; };
  while (is_open() && take_next(left, round)) {
    const SourceBatch& batch = round->back();
    left.rows -= batch.num_rows;
    left.bytes -= batch.bytes;
    --left.batches;
    if (is_done(batch.source)) return;
  }
}

// What may be handed out now is decided for all topics at once: no batch with a smaller append
// sequence than the frontier can appear on any of them.
void SourceGroup::begin_topics() {
  std::vector<std::shared_ptr<storage::Partition>> partitions;
  const storage::Log* log = nullptr;
  for (const TopicReader* topic : topics_) {
    if (topic == nullptr) continue;
    log = topic->spec().log.get();  // there is one log to a job
    const auto& own = topic->spec().partitions;
    partitions.insert(partitions.end(), own.begin(), own.end());
  }
  if (log == nullptr) return;
  const storage::OrderFrontier all = log->frontier(partitions);
  auto end = all.log_end_offsets.begin();
  for (TopicReader* topic : topics_) {
    if (topic == nullptr) continue;
    const auto count = topic->partition_count();
    topic->begin_round({all.frontier, {end, end + count}});
    end += count;
  }
}

bool SourceGroup::take_next(const RoundLimits& limits, std::vector<SourceBatch>* round) {
  if (const auto source = next_history()) {
    if (!limits.may_take(*round)) return false;
    take(*source, std::min(turn_rows_left_, limits.rows), round);
    turn_rows_left_ -= round->back().num_rows;
    return true;
  }
  const auto source = next_topic();
  if (!source || !limits.may_take(*round)) return false;
  pass_log_time(topics_[static_cast<size_t>(*source)]->next_in_order()->header().append_time_us);
  take(*source, 0, round);
  return true;
}

std::optional<int> SourceGroup::next_history() {
  const auto has_more = [&](int source) {
    BatchReader* history = histories_[static_cast<size_t>(source)];
    return history != nullptr && history->has_more();
  };
  if (turn_ && turn_rows_left_ > 0 && has_more(*turn_)) return turn_;
  turn_.reset();
  turn_rows_left_ = turn_rows_;
  for (int source = 0; source < size(); ++source) {
    if (!has_more(source)) continue;
    const auto watermark = [&](int of) { return statuses_[static_cast<size_t>(of)].watermark; };
    if (!turn_ || watermark(source) < watermark(*turn_)) turn_ = source;
  }
  return turn_;
}

std::optional<int> SourceGroup::next_topic() {
  std::optional<int> first;
  uint64_t least = UINT64_MAX;
  for (const TopicReader* topic : topics_) {
    if (topic != nullptr) least = std::min(least, topic->undecided_sequence());
  }
  for (int source = 0; source < size(); ++source) {
    TopicReader* topic = topics_[static_cast<size_t>(source)];
    const storage::LogBatch* next = topic == nullptr ? nullptr : topic->next_in_order();
    if (next == nullptr || next->append_sequence() >= least) continue;
    first = source;
    least = next->append_sequence();
  }
  return first;
}

// The time of the log is one for all sources: records of one make another idle.
void SourceGroup::pass_log_time(int64_t time_us) {
  bool has_idleness = false;
  for (int source = 0; source < size(); ++source) {
    TopicReader* topic = topics_[static_cast<size_t>(source)];
    if (topic == nullptr || !topic->has_idleness()) continue;
    has_idleness = true;
    topic->pass_log_time(time_us);
    note_status(source);
  }
  if (has_idleness) settle_time();
}

void SourceGroup::take(int source, int64_t rows, std::vector<SourceBatch>* round) {
  const auto at = static_cast<size_t>(source);
  if (histories_[at] != nullptr && histories_[at]->has_more()) {
    histories_[at]->take(rows, round);
  } else {
    topics_[at]->take_next(round);
  }
  SourceBatch& batch = round->back();
  readers_[at]->carry_over(&batch);
  batch.source = source;
  for (const WatermarkScope& scope : scopes_)
    batch.scopes.push_back(scope.marks(source, statuses_));
  note_status(source);
  // Its rows have moved the watermark, also where it ends with them and all others are idle.
  const bool has_ended = std::exchange(statuses_[at].has_ended, false);
  settle();
  if (!has_ended) return;
  statuses_[at].has_ended = true;
  settle();
}

void SourceGroup::restore(const Turn& turn) {
  turn_.reset();
  if (turn.source) turn_ = static_cast<int>(*turn.source);
  turn_rows_left_ = turn.rows_left;
}

void SourceGroup::note_status(int source) {
  const auto at = static_cast<size_t>(source);
  if (histories_[at] != nullptr) histories_[at]->has_more();  // or has ended
  statuses_[at] = readers_[at]->status();
}

bool SourceGroup::settle() {
  bool has_moved = false;
  for (WatermarkScope& scope : scopes_) has_moved |= scope.settle(statuses_);
  return has_moved;
}

bool SourceGroup::settle_time() {
  bool has_moved = false;
  for (WatermarkScope& scope : scopes_) has_moved |= scope.pass_time(statuses_);
  return has_moved;
}

bool SourceGroup::pass_idle_time() {
  if (!takes_turns()) return readers_[0]->pass_idle_time();
  const TopicReader* any = nullptr;
  for (const TopicReader* topic : topics_) {
    if (topic != nullptr && topic->has_idleness()) any = topic;
  }
  if (any == nullptr || any->spec().bounded) return false;
  const int64_t now_us = any->spec().log->clock_us();
  for (int source = 0; source < size(); ++source) {
    TopicReader* topic = topics_[static_cast<size_t>(source)];
    BatchReader* history = histories_[static_cast<size_t>(source)];
    if (history != nullptr && history->has_more()) return false;
    if (topic != nullptr && !topic->has_ended() && !topic->is_drained()) return false;
  }
  bool has_moved = false;
  for (int source = 0; source < size(); ++source) {
    TopicReader* topic = topics_[static_cast<size_t>(source)];
    if (topic == nullptr || !topic->has_idleness()) continue;
    has_moved |= topic->pass_log_time(now_us);
    note_status(source);
  }
  return settle_time() || has_moved;
}

}  // namespace pystream::runtime
