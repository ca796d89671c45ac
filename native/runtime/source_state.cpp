#include "runtime/source_state.hpp"

#include "base/error.hpp"
#include "state/plain_table.hpp"

namespace pystream::runtime {

namespace {

constexpr const char* kPartitions = "partitions";

std::string hexadecimal(const storage::TopicId& id) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const uint8_t byte : id.bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace

PartitionState state_of(const storage::Partition& partition) {
  PartitionState state;
  state.topic = partition.options().topic;
  state.topic_id = hexadecimal(partition.options().topic_id);
  state.partition = partition.options().partition;
  return state;
}

void write_source_state(const TopicSourceState& source, state::StateWriter* writer) {
  writer->set_fact("records_skipped", source.skipped_records);
  writer->set_fact("records_ahead", source.ahead_records);
  writer->set_fact("reached", source.watermark.reached);
  writer->set_fact("reached_idle", source.watermark.reached_idle);
  writer->set_fact("has_log_time", source.watermark.idleness.has_started ? 1 : 0);
  writer->set_fact("log_time", source.watermark.idleness.now_us);
  writer->set_fact("all_idle_since", source.watermark.idleness.all_since_us);
  state::write_rows(kPartitions, source.partitions, writer);
}

TopicSourceState read_source_state(const state::StateReader& reader) {
  TopicSourceState source;
  source.skipped_records = reader.fact("records_skipped");
  source.ahead_records = reader.fact("records_ahead");
  source.watermark.reached = reader.fact("reached");
  source.watermark.reached_idle = reader.fact("reached_idle");
  source.watermark.idleness.has_started = reader.fact("has_log_time") != 0;
  source.watermark.idleness.now_us = reader.fact("log_time");
  source.watermark.idleness.all_since_us = reader.fact("all_idle_since");
  source.partitions = state::read_rows<PartitionState>(reader, kPartitions);
  if (source.partitions.empty()) {
    throw Error(ErrorCode::kCheckpoint,
                "the snapshot of a source names no partition. It is damaged.");
  }
  return source;
}

std::string layout_of(const std::optional<WatermarkSpec>& watermark, const Schema& schema) {
  if (!watermark) return "no event time";
  const std::string& column = watermark->event_time_column;
  const Field& field = schema.fields[static_cast<size_t>(schema.index_of(column))];
  std::string text = "event time '" + column + "' " + field.type.to_string();
  if (field.type.id == TypeId::kInt64 && watermark->int64_unit != TimeUnit::kMilli) {
    text += " as " + DataType::timestamp(watermark->int64_unit).to_string();
  }
  if (watermark->expression) return text + ", watermark of an expression";
  return text + ", delay " + std::to_string(watermark->delay);
}

}  // namespace pystream::runtime
