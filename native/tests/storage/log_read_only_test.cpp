// Reading a log that may not be written: after another boot, in a copy, with damage. Nothing is
// written, and what is read is what a writer's recovery would leave.

#include "corruption_testing.hpp"

namespace pystream::storage {
namespace {

class LogReadOnlyTest : public ::testing::Test {
 protected:
  // Every file with its bytes.
  static std::map<std::string, std::string> contents(const std::string& directory) {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
      files[entry.path()] = entry.is_regular_file() ? read_bytes(entry.path()) : "";
    }
    return files;
  }

  // What a read-only open in `boot` reads; nothing in the directory may change.
  Found read_only(const std::string& directory, uint8_t boot) {
    const auto before = contents(directory);
    LogOptions options = after_boot(boot);
    options.read_only = true;
    const auto log = Log::open(directory, options);
    const auto partition = log->open_partition(rich_options());
    ends_ = partition->ends();
    report_ = partition->recovery();
    const Found found = read_skipping(*partition);
    const std::vector<std::shared_ptr<Partition>> partitions{partition};
    EXPECT_GT(log->frontier(partitions).frontier, log_.batches().back().header.append_sequence);
    log->close();
    EXPECT_TRUE(contents(directory) == before) << "a read-only open wrote something";
    return found;
  }

  // The same with a writer's recovery.
  Found recovered(const std::string& directory, uint8_t boot) {
    const auto log = Log::open(directory, after_boot(boot));
    const auto partition = log->open_partition(rich_options());
    EXPECT_EQ(partition->ends().log_end_offset, ends_.log_end_offset);
    EXPECT_EQ(partition->recovery().torn_bytes, report_.torn_bytes);
    EXPECT_EQ(partition->recovery().corrupt_records, report_.corrupt_records);
    return read_skipping(*partition);
  }

  void expect_same(const std::string& directory, uint8_t boot) {
    const Found seen = read_only(directory, boot);
    const Found later = recovered(directory, boot);
    EXPECT_EQ(seen.delivered, later.delivered);
    EXPECT_EQ(seen.lost, later.lost);
    EXPECT_FALSE(seen.is_wrong || later.is_wrong);
  }

  RichLog log_;
  PartitionEnds ends_;
  RecoveryReport report_;
};

TEST_F(LogReadOnlyTest, InTheSameBootItSeesTheSharedPage) {
  const Found found = read_only(log_.directory(), 1);
  EXPECT_EQ(report_.kind, RecoveryReport::Kind::kNone);
  EXPECT_EQ(ends_.log_end_offset, RichLog::kEnd);
  EXPECT_EQ(found.delivered, (std::vector<std::pair<int64_t, int64_t>>{{0, RichLog::kEnd}}));
}

TEST_F(LogReadOnlyTest, AfterAnotherBootItRecoversInMemory) {
  expect_same(log_.directory(), 2);
  EXPECT_EQ(report_.kind, RecoveryReport::Kind::kRecovered);
  EXPECT_GT(ends_.log_end_offset, RichLog::kEnd) << "the lease was not taken";
}

TEST_F(LogReadOnlyTest, ACopyIsRecoveredInMemory) {
  const TemporaryDirectory copy{Medium::kMemory};
  std::filesystem::copy(log_.directory(), copy.path(), std::filesystem::copy_options::recursive);
  expect_same(copy.path(), 1);
}

TEST_F(LogReadOnlyTest, ATornTailAndSegmentsBehindItAreLeftOutAndLeftAlone) {
  // Batches above the durable offset, in a segment with others behind it.
  const int64_t i = RichLog::kBatches / 2 + 3;
  const auto& batch = log_.batches()[static_cast<size_t>(i)];
  flip_bit(batch.place.path, (batch.place.file_position + 40) * 8);
  expect_same(log_.directory(), 2);
  EXPECT_GT(report_.torn_bytes, 0);
  EXPECT_EQ(report_.corrupt_records, 0);
}

TEST_F(LogReadOnlyTest, DamageBelowTheDurableOffsetIsNamed) {
  const auto& batch = log_.batches()[RichLog::kBatches / 2];
  flip_bit(batch.place.path, (batch.place.file_position + 40) * 8);
  expect_same(log_.directory(), 2);
  EXPECT_EQ(report_.corrupt_records, RichLog::kBatchRows);
}

TEST_F(LogReadOnlyTest, WithoutAnOrderFileItReadsTheSegments) {
  std::filesystem::remove(log_.directory() + "/order");
  expect_same(log_.directory(), 1);
}

TEST_F(LogReadOnlyTest, WithoutControlPageOrLockItReadsTheSegments) {
  std::filesystem::remove(log_.partition_path() + "/control");
  std::filesystem::remove(log_.partition_path() + "/lock");
  expect_same(log_.directory(), 1);
}

}  // namespace
}  // namespace pystream::storage
