#pragma once
// Checks a log on disk against itself: what `pystream verify` runs. Opens nothing for writing, and
// works while others append: it is bounded by what was published when it began.
//
// Damage is found by the reader itself (PartitionReader), so that both agree on which offsets are
// lost; on top of that comes what a reader does not look at: the control page, the order file,
// chains, append sequences, statistics.
//
// One thread at a time.

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "storage/control_page.hpp"
#include "storage/log.hpp"

namespace pystream::storage {

// Something that is wrong, or, as a note, worth knowing.
struct Finding {
  std::string kind;    // a stable word, such as "corrupt-records"
  std::string what;    // a sentence
  std::string advice;  // what to do; empty for notes
  std::string path;
  int64_t position = -1;  // in the file; -1: none
  int64_t offset = -1;    // the records concerned: [offset, next_offset); -1: none
  int64_t next_offset = -1;
  bool is_note = false;
};

struct PartitionSummary {
  int64_t log_start_offset = 0;
  int64_t log_end_offset = 0;
  int64_t durable_offset = 0;
  int64_t segments = 0;
  int64_t batches = 0;  // that are sound
  int64_t records = 0;  // in them, but for markers of transactions
  int64_t bytes = 0;    // of them
  int64_t lost_records = 0;
  uint64_t last_append_sequence = 0;
};

class PartitionVerifier {
 public:
  // Looks at the control page; `topic` is for messages. Throws kStorage when the system refuses to
  // read, kLog for a newer format.
  PartitionVerifier(const std::string& log_directory, const std::string& topic,
                    const TopicId& topic_id, int32_t partition,
                    std::shared_ptr<FileLayer> files = nullptr);
  ~PartitionVerifier();

  // The partition of a log that this process has not opened, for reading alone; recovered in memory
  // where that is due. For this room.
  static std::shared_ptr<Partition> open_partition(const std::string& log_directory,
                                                   const std::string& topic,
                                                   const TopicId& topic_id, int32_t partition,
                                                   const std::shared_ptr<FileLayer>& files);
  static Partition::State& state_of(Partition& partition) { return *partition.state_; }

  // Verifies about so many more bytes; false when all is done.
  bool step(int64_t bytes);
  // Of the segments, for a progress bar: what step() has passed, and all.
  int64_t bytes_done() const { return bytes_done_; }
  int64_t bytes_total() const { return bytes_total_; }

  const PartitionSummary& summary() const { return summary_; }
  const std::vector<Finding>& findings() const { return findings_; }
  // By the markers that step() has passed: transactions, and whether they were committed. Costs
  // some tens of bytes for each.
  std::vector<std::pair<int64_t, bool>> decided_transactions() const {
    return {decided_.begin(), decided_.end()};
  }
  // Transactions that have batches and no marker, with their first offset.
  std::vector<std::pair<int64_t, int64_t>> open_transactions() const {
    return {open_.begin(), open_.end()};
  }

 private:
  void look_at_control_page();
  void look_at_files();
  void check_producers(int64_t base_offset, const std::string& path);
  void take_batch();
  void check_batch(const LogBatch& batch);
  void check_place_in_log(const LogBatch& batch);
  void check_contents(const LogBatch& batch);
  void check_transaction(const LogBatch& batch);
  void check_end();
  void add_damage(const Error& error);
  void add(Finding finding) { findings_.push_back(std::move(finding)); }

  std::string topic_;
  std::shared_ptr<FileLayer> files_;
  std::string directory_;
  std::shared_ptr<Partition> partition_;
  std::unique_ptr<PartitionReader> reader_;
  PublishedState published_;
  int64_t end_ = 0;              // the first offset that is not looked at
  bool is_shared_page_ = false;  // the page is the one that writers of this boot use

  // The batch before, when the next one must continue it.
  bool has_previous_ = false;
  std::string previous_path_;
  int64_t previous_end_ = 0;
  uint32_t previous_crc_ = 0;
  bool has_met_last_batch_ = false;

  std::unordered_map<int64_t, bool> decided_;
  std::unordered_map<int64_t, int64_t> open_;

  PartitionSummary summary_;
  std::vector<Finding> findings_;
  int64_t bytes_done_ = 0;
  int64_t bytes_total_ = 0;
};

struct OrderReport {
  std::vector<Finding> findings;
  bool is_current = false;     // of this boot and in its place, so that next_sequence must be right
  uint64_t next_sequence = 0;  // as stored
};

// Looks at the log's own file. Throws kLog when the directory is not a log or of a newer format,
// kStorage when the system refuses.
OrderReport verify_order(const std::string& log_directory,
                         std::shared_ptr<FileLayer> files = nullptr);

}  // namespace pystream::storage
