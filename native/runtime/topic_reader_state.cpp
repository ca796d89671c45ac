// A topic reader goes on where a snapshot was taken.

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "runtime/source_state.hpp"
#include "runtime/topic_reader.hpp"

namespace pystream::runtime {

namespace {

bool is_same(const PartitionState& left, const PartitionState& right) {
  return left.topic == right.topic && left.partition == right.partition;
}

std::string name_of(const PartitionState& partition) {
  return partition.topic + "-" + std::to_string(partition.partition);
}

}  // namespace

std::string TopicReader::state_layout() const {
  Schema all = *topic_schema_;
  const DataType micros = DataType::timestamp(TimeUnit::kMicro);
  for (const std::string& name : {spec_.timestamp_column, spec_.append_time_column}) {
    if (!name.empty()) all.fields.push_back({name, micros, false});
  }
  return layout_of(spec_.watermark, all);
}

void TopicReader::write_state(state::StateWriter* writer) const {
  TopicSourceState source;
  source.skipped_records = skipped_records_;
  source.ahead_records = ahead_records_;
  source.watermark = tracker_.state();
  for (size_t p = 0; p < inputs_.size(); ++p) {
    PartitionState row = state_of(*spec_.partitions[p]);
    row.position = inputs_[p].position;
    if (spec_.bounded && has_ends_) row.end = inputs_[p].end;
    const WatermarkState::Partition& of = source.watermark.partitions[p];
    if (of.maximum != windows::kMinWatermark) row.max_event_time = of.maximum;
    row.last_append_time = of.idleness.last_us;
    row.is_idle = of.idleness.is_idle;
    row.had_batch = of.idleness.had_batch;
    source.partitions.push_back(std::move(row));
  }
  write_source_state(source, writer);
}

void TopicReader::read_state(const state::StateReader& reader) {
  TopicSourceState source = read_source_state(reader);
  std::vector<PartitionState> own;
  for (const auto& partition : spec_.partitions) own.push_back(state_of(*partition));
  check_partitions(source.partitions, own);
  WatermarkState& watermark = source.watermark;
  watermark.partitions.resize(own.size());
  bool has_all = true;
  const bool has_ends = std::any_of(source.partitions.begin(), source.partitions.end(),
                                    [](const PartitionState& row) { return row.end.has_value(); });
  int64_t least = windows::kMaxWatermark;
  for (size_t p = 0; p < own.size(); ++p) {
    Input& input = inputs_[p];
    const auto row = std::find_if(source.partitions.begin(), source.partitions.end(),
                                  [&](const PartitionState& at) { return is_same(at, own[p]); });
    WatermarkState::Partition& of = watermark.partitions[p];
    if (row == source.partitions.end()) {
      has_all = false;
      input.end = input.position;  // it was not there when the ends were looked up
      of.idleness.last_us = watermark.idleness.now_us;
      continue;
    }
    input = Input{open(p, row->position), std::nullopt, row->position, row->end.value_or(0), {}};
    of.maximum = row->max_event_time.value_or(windows::kMinWatermark);
    of.idleness = {row->last_append_time, row->is_idle, row->had_batch};
    least = std::min(least, of.maximum);
  }
  // What is new begins where event time is: it does not go back.
  if (!has_all) watermark.reached = std::max(watermark.reached, least);
  tracker_.restore(watermark);
  skipped_records_ = source.skipped_records;
  ahead_records_ = source.ahead_records;
  set_ends(spec_.bounded && has_ends);
  note_positions();
}

void TopicReader::check_partitions(const std::vector<PartitionState>& of,
                                   const std::vector<PartitionState>& own) const {
  for (const PartitionState& row : of) {
    const auto found = std::find_if(own.begin(), own.end(),
                                    [&](const PartitionState& at) { return is_same(at, row); });
    if (found == own.end()) {
      throw Error(ErrorCode::kCheckpoint,
                  "operator '" + name_ + "': the snapshot has read partition " + name_of(row) +
                      " up to offset " + std::to_string(row.position) +
                      ", which is not among those that the job reads. Read the topics that it was "
                      "taken of.",
                  {{"operator", name_}, {"topic", row.topic}, {"partition", row.partition}});
    }
    if (found->topic_id != row.topic_id) {
      throw Error(ErrorCode::kCheckpoint,
                  "operator '" + name_ + "': topic '" + row.topic +
                      "' was deleted and created again since the snapshot was taken: its id was " +
                      row.topic_id + " and is " + found->topic_id +
                      ". Offsets of the one say nothing of the other; start without the snapshot.",
                  {{"operator", name_}, {"topic", row.topic}});
    }
  }
}

}  // namespace pystream::runtime
