#pragma once
// Appends rows to the partitions of a topic, in the order in which they are delivered.
//
// Small inputs are gathered up to kAppendRows rows and appended at the latest at the end of the
// round. Keyed rows go where Kafka's partitioner sends them; the others, in blocks of
// kKeylessBlockRows, to one partition after the other, counted from the start of the job: so the
// partition of a row does not depend on how the input was cut.
//
// Crash: what was appended stays, according to acks; rows still gathered are lost with the job.
// Snapshotable between rounds, when nothing is gathered: which partition is next.

#include <string>
#include <vector>

#include "runtime/graph.hpp"
#include "runtime/operator.hpp"
#include "storage/topic_writer.hpp"

namespace pystream::runtime {

class TopicSinkOperator final : public OrderedOperator {
 public:
  static constexpr int64_t kAppendRows = 65536;
  static constexpr int64_t kKeylessBlockRows = 1024;

  TopicSinkOperator(std::string name, TopicSinkSpec spec);

  void deliver(Rows&& rows, Lane& lane) override;
  void write_state(state::StateWriter* writer) override {
    write_number("rows_appended", appended_rows_, writer);
  }
  void read_state(const state::StateReader& reader, state::KeyGroupRange) override {
    appended_rows_ = read_number("rows_appended", reader);
  }

 protected:
  void on_flush() override;

 private:
  void append(const RecordBatch& rows);
  void append_to(int32_t partition, const RecordBatch& rows, const storage::Timestamps& timestamps);
  std::vector<int32_t> partitions_of(const RecordBatch& rows);

  TopicSinkSpec spec_;
  SchemaPtr schema_;  // of the topic
  storage::TopicWriter writer_;
  std::vector<RecordBatch> gathered_;
  int64_t gathered_rows_ = 0;
  int64_t appended_rows_ = 0;  // of the job
};

}  // namespace pystream::runtime
