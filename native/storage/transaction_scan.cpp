#include "storage/transaction_scan.hpp"

#include <algorithm>

namespace pystream::storage {

std::optional<bool> TransactionScan::find(Partition::State& source, const BatchEntry& batch) {
  const auto known = decided_.find(batch.transaction_id);
  if (known != decided_.end()) return known->second;
  std::optional<bool> result;
  end_offset_ = std::max(end_offset_, batch.next_offset);
  end_offset_ = source.walk_batches(end_offset_, source.read_published(),
                                    [&](Segment*, const BatchEntry& entry) {
                                      if (entry.is_corrupt) damage_offset_ = entry.base_offset;
                                      if ((entry.flags & kFlagControl) == 0) return true;
                                      const bool is_commit = (entry.flags & kFlagCommit) != 0;
                                      decided_.insert_or_assign(entry.transaction_id, is_commit);
                                      if (entry.transaction_id != batch.transaction_id) return true;
                                      result = is_commit;
                                      return false;
                                    });
  return result;
}

}  // namespace pystream::storage
