// Random histories of appends, syncs, failed syncs and power losses, on a disk that keeps any
// mixture of what was not synced (volatile_disk.hpp), and of deletions. What was synced is there;
// what comes back is a prefix of what was published; what was deleted stays so; and no offset and
// no append sequence is ever given out twice.

#include <algorithm>

#include "storage/verify.hpp"
#include "torture.hpp"
#include "volatile_disk.hpp"

namespace pystream::storage {
namespace {

constexpr int64_t kSegmentBytes = 32 * 1024;
constexpr uint64_t kLossesPerVerify = 3;

class History {
 public:
  explicit History(uint64_t seed) : random_(seed) { start(); }

  uint64_t losses() const { return losses_; }

  void run(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
      const uint64_t action = random_() % 100;
      if (action < 65) {
        append();
      } else if (action < 70) {
        prewrite();
      } else if (action < 73) {
        delete_records();
      } else if (action < 78) {
        fail_a_sync();
      } else if (action < 85) {
        partition_->sync();
        durable_ = values_.size();
        disk_->observe();
      } else if (action < 92) {
        reopen();
      } else {
        lose_power();
      }
    }
    check(values_.size());
  }

 private:
  void start() {
    disk_->restart();
    open();
  }

  void open() {
    LogOptions options;
    options.files = disk_;
    options.sync_interval_us = 3'600'000'000;
    log_ = Log::open(directory_.path(), options);
    partition_ = log_->open_partition(test_options(0, kSegmentBytes));
    disk_->observe();
  }

  void append() {
    const auto count = static_cast<int64_t>(random_() % 200 + 1);
    const Acks acks = levels_[random_() % levels_.size()];
    const AppendResult result = append_values(*partition_, next_value_, count, acks);
    disk_->observe();
    ASSERT_GE(result.base_offset, next_offset_) << "an offset was given out twice";
    ASSERT_GT(result.append_sequence, last_sequence_) << "a sequence was given out twice";
    next_offset_ = result.base_offset + count;
    last_sequence_ = result.append_sequence;
    add(count, result.base_offset);
    if (acks == Acks::kDurable) durable_ = values_.size();
    given_up_.clear();
    given_up_offsets_.clear();
  }

  void add(int64_t count, int64_t base_offset) {
    for (int64_t i = 0; i < count; ++i) {
      values_.push_back(next_value_ + i);
      offsets_.push_back(base_offset + i);
    }
    next_value_ += count;
    batch_ends_.push_back(values_.size());
  }

  // Up to the begin of a batch, or all. Nothing of it comes back, durable or not.
  void delete_records() {
    if (batch_ends_.empty()) return;
    if (random_() % 3 == 0) partition_->end_segment();
    const size_t end = batch_ends_[random_() % batch_ends_.size()];
    const bool is_all = end == values_.size();
    const int64_t offset = is_all ? partition_->ends().log_end_offset : offsets_[end];
    partition_->delete_records(offset);
    kept_from_ = std::max(kept_from_, end);
    log_start_ = std::max(log_start_, offset);
    ASSERT_EQ(partition_->ends().log_start_offset, log_start_);
    note_synced();
    disk_->observe();
    check(values_.size());
  }

  std::vector<int64_t> read_kept() {
    const int64_t start = partition_->ends().log_start_offset;
    EXPECT_EQ(start, log_start_) << "the log start has moved";
    return read_values(*partition_, start);
  }

  void prewrite() {
    partition_->prewrite(kSegmentBytes / 2);
    note_synced();
    disk_->observe();
  }

  // What the partition says to be durable is held against it: ending a segment and writing zeros
  // ahead sync all that was published.
  void note_synced() {
    const int64_t synced = partition_->ends().durable_offset;
    const auto end = std::lower_bound(offsets_.begin(), offsets_.end(), synced);
    durable_ = std::max(durable_, static_cast<size_t>(end - offsets_.begin()));
  }

  // What was not durable counts as unwritten once the log is opened anew.
  void fail_a_sync() {
    disk_->fail_next_sync();
    const auto count = static_cast<int64_t>(random_() % 200 + 1);
    const int64_t end = partition_->ends().log_end_offset;
    try {
      append_values(*partition_, next_value_, count, Acks::kDurable);
      FAIL() << "a durable append was acknowledged without a sync";
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), ErrorCode::kStorage);
    }
    disk_->observe();
    // The sync of a lease may be the one that failed; then nothing was published.
    if (partition_->ends().log_end_offset == end) return;
    add(count, end);
    next_offset_ = std::max(next_offset_, partition_->ends().log_end_offset);
    check(values_.size());
    if (random_() % 4 == 0) return lose_power();
    partition_.reset();
    log_.reset();
    open();
    const auto lost = static_cast<std::ptrdiff_t>(std::max(durable_, kept_from_));
    given_up_.assign(values_.begin() + lost, values_.end());
    given_up_offsets_.assign(offsets_.begin() + lost, offsets_.end());
    shrink_to(std::max(durable_, kept_from_));
    check(values_.size());
  }

  void shrink_to(size_t count) {
    if (count < values_.size()) values_.resize(count);
    if (count < offsets_.size()) offsets_.resize(count);
    std::erase_if(batch_ends_, [&](size_t end) { return end > count; });
  }

  // Ended in order, and opened again in the same boot.
  void reopen() {
    log_->close();
    durable_ = values_.size();
    open();
    check(values_.size());
  }

  void lose_power() {
    disk_->die();
    partition_.reset();
    log_.reset();
    disk_->lose(directory_.path(), partition_directory(directory_.path()));
    ++losses_;
    disk_->restart();
    const bool is_verified = losses_ % kLossesPerVerify == 0;
    if (is_verified) verify();
    open();
    // A prefix, of whole batches, of at least what was synced. What a failed sync cost may come
    // back as long as nothing was appended after it.
    const std::vector<int64_t> found = read_kept();
    values_.insert(values_.end(), given_up_.begin(), given_up_.end());
    offsets_.insert(offsets_.end(), given_up_offsets_.begin(), given_up_offsets_.end());
    given_up_.clear();
    given_up_offsets_.clear();
    const size_t end = kept_from_ + found.size();
    ASSERT_GE(end, durable_);
    ASSERT_LE(end, values_.size());
    ASSERT_TRUE(std::equal(found.begin(), found.end(),
                           values_.begin() + static_cast<std::ptrdiff_t>(kept_from_)));
    ASSERT_TRUE(found.empty() || std::count(batch_ends_.begin(), batch_ends_.end(), end));
    if (is_verified) expect_verified(found.size());
    shrink_to(end);
    // What was read back after a boot is on the disk.
    durable_ = values_.size();
  }

  // What "pystream verify" says of the files, before anyone recovers them.
  void verify() {
    PartitionVerifier verifier(directory_.path(), "orders", test_options().topic_id, 0, disk_);
    while (verifier.step(1 << 20)) {
    }
    verified_ = verifier.summary();
    for (const Finding& finding : verifier.findings()) {
      // A failed sync before it, or a page that was not synced; the next open puts both right.
      const bool is_expected = finding.kind == "control-missing" ||
                               finding.kind == "control-damaged" || finding.kind == "sync-failed";
      EXPECT_TRUE(finding.is_note || is_expected) << finding.kind << ": " << finding.what;
    }
  }

  // The partition was opened since, and its reader delivered `count` records.
  void expect_verified(size_t count) {
    EXPECT_EQ(verified_.records, static_cast<int64_t>(count));
    EXPECT_EQ(verified_.lost_records, 0);
    EXPECT_EQ(verified_.log_end_offset, partition_->ends().log_end_offset);
  }

  void check(size_t count) {
    const std::vector<int64_t> found = read_kept();
    ASSERT_EQ(kept_from_ + found.size(), count);
    ASSERT_TRUE(std::equal(found.begin(), found.end(),
                           values_.begin() + static_cast<std::ptrdiff_t>(kept_from_)));
  }

  std::mt19937_64 random_;
  TemporaryDirectory directory_{Medium::kMemory};
  std::shared_ptr<VolatileDisk> disk_ = std::make_shared<VolatileDisk>(&random_);
  const std::vector<Acks> levels_ = supported_levels();
  std::shared_ptr<Log> log_;
  std::shared_ptr<Partition> partition_;

  // The model.
  std::vector<int64_t> values_;
  std::vector<int64_t> offsets_;  // of values_
  std::vector<size_t> batch_ends_;
  size_t kept_from_ = 0;  // values_ before it were deleted
  int64_t log_start_ = 0;
  std::vector<int64_t> given_up_;  // values behind values_ that a failed sync cost
  std::vector<int64_t> given_up_offsets_;
  size_t durable_ = 0;  // values
  int64_t next_value_ = 0;
  int64_t next_offset_ = 0;
  uint64_t last_sequence_ = 0;
  uint64_t losses_ = 0;
  PartitionSummary verified_;
};

TEST(LogPowerLossTest, KeepsWhatWasSyncedAndReusesNothing) {
  Torture torture(2'000);
  while (torture.goes_on()) {
    const uint64_t seed = torture.next_seed();
    SCOPED_TRACE("seed " + std::to_string(seed));
    History history(seed);
    try {
      history.run(60);
    } catch (const Error& error) {
      ADD_FAILURE() << error.what();
    }
    torture.count(history.losses());
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace pystream::storage
