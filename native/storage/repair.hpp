#pragma once
// What `pystream verify --repair` does to the files of a log: what cannot be read is moved to a
// quarantine, what can is put together again. Nothing is ever deleted, and nothing that is kept is
// changed in place: a segment that loses batches is written anew beside the damaged one.
//
// Owner: one process, which has the log for itself as long as the object lives (the use lock of the
// order file). One thread at a time.
//
// Crash: each file is complete before it gets its name; a repair that was cut short is found by the
// next verify, and what it had moved is in the quarantine.

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "storage/control_page.hpp"
#include "storage/file.hpp"
#include "storage/log.hpp"

namespace pystream::storage {

class LogRepair {
 public:
  // `quarantine` must exist, within the log's file system. Throws kLog when another process has the
  // log open.
  LogRepair(const std::string& log_directory, const std::string& quarantine,
            std::shared_ptr<FileLayer> files = nullptr);

  // Says what it did, a sentence per act.
  //
  // Keeps every batch that can be read, at its offsets; those that cannot become offsets that were
  // skipped, and no offset is ever given out again. The control page is made anew. Of a transaction
  // whose marker may have been lost to damage nobody knows whether it was committed: what it has
  // here is set aside with the rest, unless it is one of `known_transactions`, which are decided
  // elsewhere.
  std::vector<std::string> repair_partition(const std::string& topic, const TopicId& topic_id,
                                            int32_t partition,
                                            const std::set<int64_t>& known_transactions = {});

 private:
  std::string directory_;
  std::string quarantine_;
  std::shared_ptr<FileLayer> files_;
  BootId boot_{};
  File order_;
};

}  // namespace pystream::storage
