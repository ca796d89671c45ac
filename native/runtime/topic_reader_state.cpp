// A topic reader goes on where a snapshot was taken.

#include <map>
#include <string_view>
#include <utility>

#include "base/error.hpp"
#include "runtime/source_state.hpp"
#include "runtime/topic_reader.hpp"

namespace pystream::runtime {

namespace {

using Place = std::pair<std::string_view, int64_t>;

Place place_of(const PartitionState& row) { return {row.topic, row.partition}; }

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
  std::map<Place, const PartitionState*> rows;
  bool has_ends = false;
  for (const PartitionState& row : source.partitions) {
    rows.emplace(place_of(row), &row);
    has_ends |= row.end.has_value();
  }
  WatermarkState& watermark = source.watermark;
  watermark.partitions.resize(inputs_.size());
  for (size_t p = 0; p < inputs_.size(); ++p) {
    Input& input = inputs_[p];
    WatermarkState::Partition& of = watermark.partitions[p];
    const PartitionState own = state_of(*spec_.partitions[p]);
    const auto found = rows.extract(place_of(own));
    if (found.empty()) {
      input.end = input.position;  // it was not there when the ends were looked up
      of.idleness.last_us = watermark.idleness.now_us;
      continue;
    }
    const PartitionState& row = *found.mapped();
    if (row.topic_id != own.topic_id) fail_made_again(row, own.topic_id);
    input = Input{open(p, row.position), std::nullopt, row.position, row.end.value_or(0), {}};
    of.maximum = row.max_event_time.value_or(windows::kMinWatermark);
    of.idleness = {row.last_append_time, row.is_idle, row.had_batch};
  }
  if (!rows.empty()) fail_not_read(*rows.begin()->second);
  tracker_.restore(watermark);
  skipped_records_ = source.skipped_records;
  ahead_records_ = source.ahead_records;
  set_ends(spec_.bounded && has_ends);
  note_positions();
}

void TopicReader::fail_not_read(const PartitionState& row) const {
  throw Error(ErrorCode::kCheckpoint,
              "operator '" + name_ + "': the snapshot has read partition " + row.topic + "-" +
                  std::to_string(row.partition) + " up to offset " + std::to_string(row.position) +
                  ", which is not among those that the job reads. Read the topics that it was "
                  "taken of.",
              {{"operator", name_}, {"topic", row.topic}, {"partition", row.partition}});
}

void TopicReader::fail_made_again(const PartitionState& row, const std::string& id) const {
  throw Error(ErrorCode::kCheckpoint,
              "operator '" + name_ + "': topic '" + row.topic +
                  "' was deleted and created again since the snapshot was taken: its id was " +
                  row.topic_id + " and is " + id +
                  ". Offsets of the one say nothing of the other; start without the snapshot.",
              {{"operator", name_}, {"topic", row.topic}});
}

}  // namespace pystream::runtime
