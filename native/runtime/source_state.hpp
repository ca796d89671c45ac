#pragma once
// What a source reads on from, as tables of a snapshot: positions, and how far event time is. It
// belongs to no key. Columns and names: docs/formats/state.md.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/graph.hpp"
#include "runtime/watermark.hpp"
#include "state/snapshot.hpp"

namespace pystream::runtime {

// Of one partition of a topic.
struct PartitionState {
  std::string topic;
  std::string topic_id;  // in hexadecimal digits
  int64_t partition = 0;
  int64_t position = 0;        // next offset
  std::optional<int64_t> end;  // of a bounded source
  // Of its WatermarkState.
  std::optional<int64_t> max_event_time;
  int64_t last_append_time = 0;
  bool is_idle = false;
  bool had_batch = false;

  template <typename Table, typename Rows>
  static void columns(Table& table, Rows& rows) {
    table.column("topic", rows, &PartitionState::topic);
    table.column("topic_id", rows, &PartitionState::topic_id);
    table.column("partition", rows, &PartitionState::partition);
    table.column("position", rows, &PartitionState::position);
    table.column("end", rows, &PartitionState::end);
    table.column("max_event_time", rows, &PartitionState::max_event_time);
    table.column("last_append_time", rows, &PartitionState::last_append_time);
    table.column("is_idle", rows, &PartitionState::is_idle);
    table.column("had_batch", rows, &PartitionState::had_batch);
  }
};

struct TopicSourceState {
  std::vector<PartitionState> partitions;
  int64_t skipped_records = 0;
  int64_t ahead_records = 0;
  WatermarkState watermark;  // without its partitions
};

// Of a partition as it is now; the rest is not known yet.
PartitionState state_of(const storage::Partition& partition);

void write_source_state(const TopicSourceState& source, state::StateWriter* writer);
// Throws kCheckpoint when the tables are damaged.
TopicSourceState read_source_state(const state::StateReader& reader);

// In words: what event time is, and how the watermark follows it.
std::string layout_of(const std::optional<WatermarkSpec>& watermark, const Schema& schema);

}  // namespace pystream::runtime
