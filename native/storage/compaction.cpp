// Partition::compact: of each key, the last record stays.
//
//   sync · which transactions were committed · the last offset of each key in what is not compact
//   yet · for each segment, from the first on: choose · write beside · sync · rename · sync the
//   directory · count the change
//
// What is removed: records behind which their key comes again; tombstones, once their segment has
// been compact for so long; records of aborted transactions; markers of transactions of which no
// record is left. All else stays as it was, at its offset.
//
// From the first segment on, and each durable before the next: a tombstone or a marker never goes
// before what it is about. So every state in between is one that readers may see, and that a crash
// may leave.

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "base/error.hpp"
#include "storage/compacted_segment.hpp"
#include "storage/latest_offsets.hpp"
#include "storage/partition_state.hpp"
#include "storage/time_lookup.hpp"

namespace pystream::storage {
namespace {

[[noreturn]] void throw_unreadable(const PartitionPlace& place, int64_t offset, int64_t next_offset,
                                   const std::string& path) {
  throw Error(ErrorCode::kCorruptRecord,
              place.name() + " cannot be compacted: its records from offset " +
                  std::to_string(offset) + " up to " + std::to_string(next_offset) +
                  " cannot be read (" + path +
                  "). Nothing was changed; restore the file from a backup, or run \"pystream "
                  "verify --repair\".",
              {{"topic", place.topic},
               {"partition", int64_t{place.partition}},
               {"offset", offset},
               {"next_offset", next_offset},
               {"path", path}});
}

// A byte for each row that deletes its key: all columns but those of the key are null. Empty when
// there is none.
std::vector<uint8_t> find_tombstones(const LogBatch& batch, std::span<const int> key_columns) {
  std::vector<uint16_t> others;
  for (const ColumnEntry& column : batch.column_entries()) {
    if (column.id >= kFirstBuiltinColumn) continue;
    if (std::find(key_columns.begin(), key_columns.end(), column.id) != key_columns.end()) continue;
    if (column.null_count == 0) return {};
    others.push_back(column.id);
  }
  if (others.empty()) return {};
  std::vector<uint8_t> result(static_cast<size_t>(batch.record_count()), 1);
  for (const uint16_t id : others) {
    const Array values = batch.column(id);
    if (values.null_count == values.length) continue;
    for (int64_t row = 0; row < values.length; ++row) {
      if (values.is_valid(row)) result[static_cast<size_t>(row)] = 0;
    }
  }
  const bool has_any = std::find(result.begin(), result.end(), 1) != result.end();
  return has_any ? result : std::vector<uint8_t>();
}

class Compaction {
 public:
  Compaction(Partition::State& state, const CompactionOptions& options)
      : state_(state), options_(options), log_start_(state.ends().log_start_offset) {}

  CompactionResult run() {
    find_parts();
    if (parts_.empty() || !is_due()) return result_;
    // Behind the look at the parts: in what was published before, one of them may not be sealed.
    published_ = state_.read_published();
    state_.require_durable(published_.segment_base_offset);
    follow_transactions();
    for (size_t begin = first_dirty();;) {
      const size_t end = map_keys(begin);
      for (size_t i = 0; i < end; ++i) {
        if (is_stopped()) return result_;
        compact_part(&parts_[i]);
      }
      kept_transactions_.clear();
      latest_ = LatestOffsets();
      if (end == parts_.size()) return result_;
      begin = end;
    }
  }

 private:
  struct Part {
    int64_t base_offset = 0;
    int64_t bytes = 0;
    bool is_compacted = false;
    int64_t tombstones = 0;
    int64_t first_compacted_us = 0;
  };

  // What of a segment stays.
  struct Choice {
    std::vector<KeptRows> batches;  // of each entry; without bytes: all or nothing, by the count
    int64_t removed = 0;
    int64_t tombstones = 0;
  };

  bool is_stopped() const {
    return state_.log->is_compaction_stopped.load(std::memory_order_acquire);
  }

  void find_parts() {
    const int64_t stable = state_.last_stable_offset();
    for (const SegmentFacts& facts : state_.times->segment_facts()) {
      const bool is_cleanable =
          !facts.is_active && facts.end_offset <= stable &&
          (options_.min_compaction_lag_us == 0 || facts.last_append_us == INT64_MIN ||
           facts.last_append_us <= options_.now_us - options_.min_compaction_lag_us);
      if (!is_cleanable) return;
      const auto segment = state_.segments->get(facts.base_offset);
      const SegmentHeader& header = segment->header();
      parts_.push_back({facts.base_offset, facts.bytes, segment->is_compacted(),
                        static_cast<int64_t>(header.tombstone_count), header.first_compacted_us});
    }
  }

  bool may_drop_tombstones(const Part& part) const {
    return part.is_compacted &&
           options_.now_us - part.first_compacted_us >= options_.delete_retention_us;
  }

  size_t first_dirty() const {
    const auto dirty = std::find_if(parts_.begin(), parts_.end(),
                                    [](const Part& part) { return !part.is_compacted; });
    return static_cast<size_t>(dirty - parts_.begin());
  }

  bool is_due() const {
    int64_t total = 0;
    int64_t dirty = 0;
    const size_t first = first_dirty();
    for (size_t i = 0; i < parts_.size(); ++i) {
      const Part& part = parts_[i];
      if (part.tombstones > 0 && may_drop_tombstones(part)) return true;
      total += part.bytes;
      if (i >= first) dirty += part.bytes;
    }
    return dirty > 0 &&
           static_cast<double>(dirty) >= options_.min_cleanable_ratio * static_cast<double>(total);
  }

  // Markers stand behind what they are about, perhaps in the active segment. On the way, damage is
  // found before anything is replaced.
  void follow_transactions() {
    const int64_t active = published_.segment_base_offset;
    state_.walk_batches(
        parts_[0].base_offset, published_, [&](Segment* segment, const BatchEntry& entry) {
          if (entry.is_corrupt && entry.base_offset < active) {
            throw_unreadable(*state_.place, entry.base_offset, entry.next_offset,
                             segment != nullptr ? segment->path() : state_.place->directory);
          }
          if ((entry.flags & kFlagControl) != 0) {
            const bool is_commit = (entry.flags & kFlagCommit) != 0;
            is_committed_.emplace(entry.transaction_id, is_commit);
          }
          return true;
        });
  }

  std::shared_ptr<Segment> open(const Part& part) {
    auto segment = state_.segments->get(part.base_offset);
    const WalkLimit limit = state_.walk_limit(*segment, published_);
    while (segment->extend_index(limit, INT64_MAX)) {
    }
    return segment;
  }

  bool is_aborted(const BatchEntry& entry) const {
    const auto found = is_committed_.find(entry.transaction_id);
    return (entry.flags & kFlagTransactional) != 0 && found != is_committed_.end() &&
           !found->second;
  }

  // Of one whose marker cannot be read, nobody knows.
  bool is_unknown(const BatchEntry& entry) const {
    return (entry.flags & kFlagTransactional) != 0 &&
           is_committed_.find(entry.transaction_id) == is_committed_.end();
  }

  // Enters the keys of the parts from `begin` on, until there are enough; returns the part behind.
  size_t map_keys(size_t begin) {
    for (size_t i = begin; i < parts_.size(); ++i) {
      const bool is_full = latest_.bytes() >= options_.most_key_bytes;
      if (i > begin && (is_full || is_stopped())) return i;
      const auto segment = open(parts_[i]);
      for (int64_t at = 0; at < segment->index().count(); ++at) {
        const BatchEntry& entry = segment->index().at(at);
        const bool is_left_out = (entry.flags & kFlagControl) != 0 || is_aborted(entry) ||
                                 is_unknown(entry) || entry.next_offset <= log_start_;
        if (is_left_out) continue;
        const LogBatch batch = segment->batch(entry);
        BatchKeys(batch, options_.key_columns)
            .put_into(&latest_, batch, batch.row_from(log_start_));
      }
      segment->release_file();
    }
    return parts_.size();
  }

  KeptRows choose_rows(const LogBatch& batch, bool may_drop, Choice* choice) {
    if ((batch.header().flags & kFlagRowKinds) != 0) {
      throw Error(ErrorCode::kNotSupported,
                  "compacting row kinds in " + state_.place->name() + " is not supported yet.");
    }
    BatchKeys keys(batch, options_.key_columns);
    const std::vector<int64_t> latest = keys.look_up(latest_);
    const std::vector<uint8_t> tombstones = find_tombstones(batch, options_.key_columns);
    const Array deltas = batch.offset_deltas();
    const int32_t* delta = deltas.data<int32_t>();
    KeptRows kept;
    kept.is_kept.resize(latest.size());
    for (size_t row = 0; row < latest.size(); ++row) {
      const int64_t offset = batch.base_offset() + delta[row];
      const bool is_tombstone =
          !tombstones.empty() && tombstones[row] != 0 && keys.has_key(static_cast<int64_t>(row));
      const bool is_kept =
          offset >= log_start_ && latest[row] <= offset && !(is_tombstone && may_drop);
      kept.is_kept[row] = is_kept ? 1 : 0;
      kept.count += is_kept ? 1 : 0;
      choice->tombstones += is_kept && is_tombstone ? 1 : 0;
    }
    return kept;
  }

  KeptRows choose(Segment& segment, const BatchEntry& entry, bool may_drop, Choice* choice) {
    constexpr int64_t kAll = 1;
    if ((entry.flags & kFlagControl) != 0) {
      return {{}, kept_transactions_.contains(entry.transaction_id) ? kAll : 0};
    }
    if (is_aborted(entry)) return {};
    KeptRows kept{{}, kAll};
    if (!is_unknown(entry)) {
      const LogBatch batch = segment.batch(entry);
      kept = choose_rows(batch, may_drop, choice);
      if (kept.count == 0 || kept.count == batch.record_count()) kept.is_kept.clear();
    }
    if (kept.count > 0 && (entry.flags & kFlagTransactional) != 0) {
      kept_transactions_.insert(entry.transaction_id);
    }
    return kept;
  }

  void compact_part(Part* part) {
    const auto segment = open(*part);
    Choice choice;
    const bool may_drop = may_drop_tombstones(*part);
    const BatchIndex& index = segment->index();
    for (int64_t i = 0; i < index.count(); ++i) {
      const BatchEntry& entry = index.at(i);
      choice.batches.push_back(choose(*segment, entry, may_drop, &choice));
      const KeptRows& kept = choice.batches.back();
      const int64_t records = segment->parsed(entry).header.record_count;
      const bool is_whole = kept.is_kept.empty() && kept.count > 0;
      choice.removed += records - (is_whole ? records : kept.count);
    }
    // One that was never compacted is written even if all of it stays: that it is compact then is
    // what the next compaction builds on.
    if (choice.removed > 0 || !part->is_compacted) replace(part, *segment, choice);
    segment->release_file();
  }

  void replace(Part* part, Segment& segment, const Choice& choice) {
    std::atomic<uint64_t>& changes = state_.control.words().segment_changes;
    // Of a compaction that was killed between a rename and this.
    if (result_.segments == 0) changes.fetch_add(1, std::memory_order_seq_cst);
    CompactedSegment fresh(*state_.place, segment);
    for (size_t i = 0; i < choice.batches.size(); ++i) {
      const KeptRows& kept = choice.batches[i];
      if (kept.count == 0) continue;
      const BatchEntry& entry = segment.index().at(static_cast<int64_t>(i));
      const LogBatch batch = segment.batch(entry);
      if (kept.is_kept.empty()) {
        batch.verify();
        fresh.add(entry);
      } else {
        fresh.add(batch, kept);
      }
    }
    const int64_t first_us = part->is_compacted ? part->first_compacted_us : options_.now_us;
    const int64_t end = state_.walk_limit(segment, published_).offset;
    const int64_t size =
        fresh.finish({end, first_us, choice.tombstones, published_.log_end_offset});
    fresh.take_place();
    changes.fetch_add(1, std::memory_order_seq_cst);
    state_.read_published();  // lets go of the old one here
    ++result_.segments;
    result_.removed_records += choice.removed;
    result_.bytes_before += part->bytes;
    result_.bytes_after += size;
    *part = {part->base_offset, size, true, choice.tombstones, first_us};
  }

  Partition::State& state_;
  const CompactionOptions& options_;
  const int64_t log_start_;
  PublishedState published_;
  std::vector<Part> parts_;  // that may be compacted, from the log start on
  std::unordered_map<int64_t, bool> is_committed_;
  LatestOffsets latest_;
  std::unordered_set<int64_t> kept_transactions_;  // records of which are left
  CompactionResult result_;
};

}  // namespace

CompactionResult Partition::compact(const CompactionOptions& options) {
  State& state = *state_;
  state.log->require_usable();
  if (!state.is_writable()) {
    throw Error(ErrorCode::kLog, "cannot compact " + state.place->name() +
                                     ": the log was opened read-only. Open it for writing.");
  }
  if (options.key_columns.empty()) {
    throw Error(ErrorCode::kConfig,
                "cannot compact " + state.place->name() + ": it has no key. Compaction is by key.");
  }
  const int64_t first_log_start = state.ends().log_start_offset;
  for (;;) {
    const int64_t log_start = state.ends().log_start_offset;
    try {
      CompactionResult result = Compaction(state, options).run();
      // What was deleted meanwhile, in any of the runs, may have got its name back.
      if (state.ends().log_start_offset > first_log_start) state.remove_below_start();
      return result;
    } catch (const Error& error) {
      // Records were deleted, and their segments with them.
      const bool has_moved = state.ends().log_start_offset > log_start;
      if (error.code() != ErrorCode::kCorruptRecord || !has_moved) throw;
    }
  }
}

}  // namespace pystream::storage
