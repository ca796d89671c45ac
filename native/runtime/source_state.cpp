#include "runtime/source_state.hpp"

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

template <typename Table>
void columns(Table& table, std::vector<PartitionState>& rows) {
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
  state::PlainTableWriter table;
  std::vector<PartitionState> rows = source.partitions;
  columns(table, rows);
  writer->add_plain(kPartitions, table.finish());
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
  state::PlainTableReader table(reader, kPartitions);
  columns(table, source.partitions);
  return source;
}

std::string layout_of(const std::optional<WatermarkSpec>& watermark, const Schema& schema) {
  if (!watermark) return "no event time";
  const std::string& column = watermark->event_time_column;
  const Field& field = schema.fields[static_cast<size_t>(schema.index_of(column))];
  const std::string text = "event time '" + column + "' " + field.type.to_string();
  if (watermark->expression) return text + ", watermark of an expression";
  return text + ", delay " + std::to_string(watermark->delay);
}

}  // namespace pystream::runtime
