// Backups of partitions that are being written: what they hold, and that neither log can harm the
// other.

#include <sys/stat.h>

#include <fstream>
#include <iterator>

#include "log_testing.hpp"

namespace pystream::storage {
namespace {

constexpr int64_t kSegmentBytes = 16 * 1024;

std::vector<char> bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

int64_t links_of(const std::string& path) {
  struct stat status{};
  EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
  return static_cast<int64_t>(status.st_nlink);
}

class LogBackupTest : public ::testing::Test {
 protected:
  std::shared_ptr<Partition> open(int32_t number = 0) {
    return log_->open_partition(test_options(number, kSegmentBytes));
  }
  std::string target(int32_t number = 0) {
    const std::string directory = partition_directory(copy_.path(), number);
    std::filesystem::create_directories(directory);
    return directory;
  }
  BackupResult back_up(const std::shared_ptr<Partition>& partition) {
    return partition->backup(target(), log_->cut({{partition}}));
  }
  std::shared_ptr<Partition> restored(int32_t number = 0) {
    if (!copy_log_) copy_log_ = Log::open(copy_.path());
    return copy_log_->open_partition(test_options(number, kSegmentBytes));
  }

  TemporaryDirectory directory_{Medium::kMemory};
  TemporaryDirectory copy_{Medium::kMemory};
  std::shared_ptr<Log> log_ = Log::open(directory_.path());
  std::shared_ptr<Log> copy_log_;
};

TEST_F(LogBackupTest, HoldsWhatWasPublishedAndGoesOnThere) {
  const auto partition = open();
  for (int64_t i = 0; i < 20; ++i) append_values(*partition, i * 300, 300);
  const BackupResult result = back_up(partition);
  EXPECT_EQ(result.log_end_offset, 6000);
  EXPECT_GT(result.linked_bytes, 0);
  EXPECT_GT(result.copied_bytes, 0);
  append_values(*partition, 6000, 300);
  const auto copy = restored();
  EXPECT_EQ(copy->recovery().kind, RecoveryReport::Kind::kRecovered);
  EXPECT_EQ(copy->recovery().corrupt_records, 0);
  EXPECT_EQ(copy->recovery().torn_bytes, 0);
  EXPECT_EQ(read_values(*copy), iota(0, 6000));
  EXPECT_EQ(copy->ends().durable_offset, 6000);
  EXPECT_EQ(append_values(*copy, 6000).base_offset, 6000);
  EXPECT_EQ(read_values(*copy), iota(0, 6001));
  EXPECT_EQ(read_values(*partition), iota(0, 6300));
}

TEST_F(LogBackupTest, AnEmptyPartitionStaysEmpty) {
  const auto partition = open();
  EXPECT_EQ(back_up(partition).log_end_offset, 0);
  EXPECT_EQ(append_values(*restored(), 7).base_offset, 0);
}

TEST_F(LogBackupTest, NeitherLogWritesIntoAFileOfTheOther) {
  const auto partition = open();
  for (int64_t i = 0; i < 20; ++i) append_values(*partition, i * 300, 300);
  back_up(partition);
  std::map<std::string, std::vector<char>> before;
  for (const auto& entry : std::filesystem::directory_iterator(target())) {
    if (entry.path().extension() == ".seg")
      before[entry.path().filename()] = bytes_of(entry.path());
  }
  const auto copy = restored();
  for (int64_t i = 0; i < 20; ++i) {
    append_values(*copy, i, 300);
    append_values(*partition, -i, 300);
  }
  int64_t shared = 0;
  for (const auto& [name, bytes] : before) {
    shared += links_of(target() + "/" + name) > 1 ? 1 : 0;
    EXPECT_EQ(bytes_of(target() + "/" + name), bytes) << name;
  }
  EXPECT_GT(shared, 0);
  // The last one, which recovery may write to, is a copy.
  EXPECT_EQ(links_of(target() + "/" + before.rbegin()->first), 1);
}

// The control page of the backup is lost and a header in a shared segment is damaged. Recovery
// takes that for a torn tail and writes a terminator there, into a file of the backup's own.
TEST_F(LogBackupTest, RecoveryOfADamagedBackupLeavesTheOriginalAlone) {
  const auto partition = open();
  for (int64_t i = 0; i < 20; ++i) append_values(*partition, i * 300, 300);
  back_up(partition);
  const std::string original = segment_file(directory_.path(), 0);
  const std::string shared = segment_file(copy_.path(), 0);
  ASSERT_EQ(links_of(shared), 2);
  const auto damaged = partition->reader(600)->next();
  ASSERT_EQ(damaged->place().path, original);
  {
    std::fstream file(original, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(damaged->place().file_position + 24);
    file.put(static_cast<char>(0x5A));
  }
  const std::vector<char> before = bytes_of(original);
  std::filesystem::remove(target() + "/control");
  EXPECT_EQ(read_values(*restored()), iota(0, 600));
  EXPECT_EQ(links_of(shared), 1);
  EXPECT_NE(bytes_of(shared), before);
  EXPECT_EQ(bytes_of(original), before);
  EXPECT_EQ(read_values(*partition, 900), iota(900, 5100));
}

TEST_F(LogBackupTest, EndsAtTheCutEvenInAnEarlierSegment) {
  const auto partition = open();
  std::vector<uint64_t> sequences;
  for (int64_t i = 0; i < 20; ++i) {
    sequences.push_back(append_values(*partition, i * 300, 300).append_sequence);
  }
  for (size_t kept = 0; kept <= sequences.size(); ++kept) {
    const uint64_t cut = kept < sequences.size() ? sequences[kept] : sequences.back() + 1;
    std::filesystem::remove_all(copy_.path() + "/topics");
    std::filesystem::remove(copy_.path() + "/order");
    const auto end = static_cast<int64_t>(kept) * 300;
    EXPECT_EQ(partition->backup(target(), cut).log_end_offset, end);
    copy_log_.reset();
    const auto copy = restored();
    EXPECT_EQ(read_values(*copy), iota(0, end));
    EXPECT_EQ(append_values(*copy, end).base_offset, end);
    copy_log_->close();
  }
  EXPECT_EQ(read_values(*partition), iota(0, 6000));
}

// Writers that append to two partitions in turn: no backup has the second half of a pair alone.
TEST_F(LogBackupTest, IsOneMomentOfAllPartitionsWhileWritersRun) {
  const std::vector<std::shared_ptr<Partition>> partitions{open(0), open(1)};
  std::atomic<int> running{2};
  std::vector<std::thread> writers;
  for (int t = 0; t < 2; ++t) {
    writers.emplace_back([&] {
      for (int64_t i = 0; i < 500; ++i) {
        append_values(*partitions[0], i, 50);
        append_values(*partitions[1], i, 50);
      }
      --running;
    });
  }
  do {
    TemporaryDirectory copy{Medium::kMemory};
    const uint64_t cut = log_->cut(partitions);
    std::vector<std::vector<int64_t>> originals;
    for (int32_t p = 0; p < 2; ++p) {
      const std::string directory = partition_directory(copy.path(), p);
      std::filesystem::create_directories(directory);
      partitions[static_cast<size_t>(p)]->backup(directory, cut);
      originals.push_back(read_values(*partitions[static_cast<size_t>(p)]));
    }
    const auto copy_log = Log::open(copy.path());
    std::vector<int64_t> counts;
    for (int32_t p = 0; p < 2; ++p) {
      const auto restored = copy_log->open_partition(test_options(p, kSegmentBytes));
      const std::vector<int64_t> values = read_values(*restored);
      const auto& original = originals[static_cast<size_t>(p)];
      EXPECT_TRUE(values.size() <= original.size() &&
                  std::equal(values.begin(), values.end(), original.begin()));
      counts.push_back(static_cast<int64_t>(values.size()));
    }
    EXPECT_GE(counts[0], counts[1]);
    EXPECT_LE(counts[0], counts[1] + 2 * 50);
    copy_log->close();
  } while (running > 0);
  for (std::thread& writer : writers) writer.join();
}

TEST_F(LogBackupTest, OffsetsThatWereSkippedAreNotGivenOut) {
  const auto open_in_boot = [&](uint8_t boot) {
    const auto files = std::make_shared<FakeFiles>();
    files->boot[0] = boot;
    LogOptions options;
    options.files = files;
    return Log::open(directory_.path(), options);
  };
  log_->close();
  const auto lost = open_in_boot(1);  // not closed before the power goes
  append_values(*lost->open_partition(test_options(0, kSegmentBytes)), 0, 10);
  log_ = open_in_boot(2);
  const auto partition = open();
  const int64_t end = partition->ends().log_end_offset;
  ASSERT_GT(end, 10);
  EXPECT_EQ(back_up(partition).log_end_offset, end);
  EXPECT_EQ(append_values(*restored(), 1).base_offset, end);
}

TEST_F(LogBackupTest, AFullDiskIsAnErrorThatNamesTheFile) {
  const auto files = std::make_shared<FakeFiles>();
  LogOptions options;
  options.files = files;
  const auto log = Log::open(directory_.path(), options);
  const auto partition = log->open_partition(test_options(0, kSegmentBytes));
  append_values(*partition, 0, 300);
  files->set_fail([](const std::string& call, int) { return call == "allocate" ? ENOSPC : 0; });
  expect_error(ErrorCode::kStorage, copy_.path(),
               [&] { partition->backup(target(), log->cut({{partition}})); });
  files->set_fail(nullptr);
}

}  // namespace
}  // namespace pystream::storage
