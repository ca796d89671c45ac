// Zeros ahead of durable commits: where they are, when they are written, and what they leave alone.

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <thread>

#include "log_crash_testing.hpp"
#include "storage/file.hpp"

namespace pystream::storage {
namespace {

constexpr int64_t kPageBytes = 4096;
constexpr int64_t kMostZeros = 256 * 1024;

// Remembers what was written where, and writes it.
class SeenWrites : public FakeFiles {
 public:
  struct Write {
    int64_t begin;
    int64_t end;
  };
  int64_t pwritev(int fd, const iovec* parts, int count, int64_t position) override {
    const int64_t written = FakeFiles::pwritev(fd, parts, count, position);
    std::lock_guard guard(writes_mutex_);
    if (written > 0) writes_.push_back({position, position + written});
    return written;
  }
  std::vector<Write> take() {
    std::lock_guard guard(writes_mutex_);
    return std::exchange(writes_, {});
  }

 private:
  std::mutex writes_mutex_;
  std::vector<Write> writes_;
};

class LogPrewriteTest : public ::testing::Test {
 protected:
  LogPrewriteTest() {
    options_.files = files_;
    options_.sync_interval_us = 3'600'000'000;
  }

  std::shared_ptr<Partition> open(const std::shared_ptr<Log>& log) {
    return log->open_partition(test_options());
  }
  int64_t file_size() {
    struct stat status{};
    EXPECT_EQ(::stat(segment_file(directory_.path(), 0).c_str(), &status), 0);
    return status.st_size;
  }
  // From where on the file holds nothing but zeros.
  int64_t zeros_begin() {
    std::ifstream file(segment_file(directory_.path(), 0), std::ios::binary);
    const std::string bytes(std::istreambuf_iterator<char>(file), {});
    return static_cast<int64_t>(bytes.find_last_not_of('\0')) + 1;
  }
  // How many bytes prewrite() writes; they lie behind all batches, one after the other.
  int64_t prewritten(Partition& partition, int64_t most_bytes = kMostZeros) {
    files_->take();
    const int64_t batches_end = zeros_begin();
    partition.prewrite(most_bytes);
    const std::vector<SeenWrites::Write> writes = files_->take();
    int64_t bytes = 0;
    for (size_t i = 0; i < writes.size(); ++i) {
      EXPECT_GE(writes[i].begin, batches_end);
      EXPECT_EQ(writes[i].begin % kPageBytes, 0);
      if (i > 0) {
        EXPECT_EQ(writes[i].begin, writes[i - 1].end);
      }
      bytes += writes[i].end - writes[i].begin;
    }
    EXPECT_EQ(zeros_begin(), batches_end);
    return bytes;
  }

  TemporaryDirectory directory_;
  std::shared_ptr<SeenWrites> files_ = std::make_shared<SeenWrites>();
  LogOptions options_;
};

TEST_F(LogPrewriteTest, ZerosAreWrittenBehindTheBatchesAndTheNextOnesGoOverThem) {
  const auto log = Log::open(directory_.path(), options_);
  const auto partition = open(log);
  int64_t values = 0;
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 5; ++i, values += 1000) append_values(*partition, values, 1000);
    prewritten(*partition);
    EXPECT_EQ(read_values(*partition), iota(0, values));
  }
  log->close();
  const auto again = Log::open(directory_.path(), options_);
  EXPECT_EQ(read_values(*open(again)), iota(0, values));
}

TEST_F(LogPrewriteTest, AsManyZerosAsTheSegmentHoldsInBatchesAndNoMore) {
  const auto log = Log::open(directory_.path(), options_);
  const auto partition = open(log);
  EXPECT_EQ(prewritten(*partition), 0);  // no segment yet
  append_values(*partition, 0, 10);
  const int64_t few = prewritten(*partition);
  EXPECT_GT(few, 60 * 1024);
  EXPECT_LE(few, 64 * 1024);
  EXPECT_EQ(prewritten(*partition), 0);  // they are there
  append_values(*partition, 10, 20'000);
  const int64_t end = zeros_begin();
  EXPECT_LE(prewritten(*partition), end);
  EXPECT_LE(file_size(), 2 * end + 2 * kMostZeros);
  append_values(*partition, 20'010, 50'000);
  const int64_t most = prewritten(*partition);
  EXPECT_GT(most, kMostZeros - 2 * kPageBytes);
  EXPECT_LE(most, kMostZeros);
}

TEST_F(LogPrewriteTest, WhileSomeoneAppendsThereAreNoZeros) {
  const auto log = Log::open(directory_.path(), options_);
  const auto partition = open(log);
  append_values(*partition, 0, 10);
  const std::string lock_path = partition_directory(directory_.path()) + "/lock";
  const File lock = File::open(std::make_shared<FileLayer>(), lock_path, O_RDWR);
  ASSERT_EQ(lock.layer().lock(lock.fd(), LockMode::kExclusive), 0);  // as another process
  EXPECT_EQ(prewritten(*partition), 0);
  ASSERT_EQ(lock.layer().lock(lock.fd(), LockMode::kUnlock), 0);
  EXPECT_GT(prewritten(*partition), 0);
}

TEST_F(LogPrewriteTest, ZerosEndWithTheSegmentAndBeginAgainInTheNext) {
  const auto log = Log::open(directory_.path(), options_);
  const auto partition = log->open_partition(test_options(0, 64 * 1024));
  append_values(*partition, 0, 3000);
  prewritten(*partition);
  EXPECT_EQ(file_size(), 64 * 1024);
  EXPECT_EQ(prewritten(*partition), 0);
  append_values(*partition, 3000, 3000);
  EXPECT_EQ(prewritten(*partition), 0);
  append_values(*partition, 6000, 3000);  // rolls
  files_->take();
  partition->prewrite(kMostZeros);
  EXPECT_FALSE(files_->take().empty());
  EXPECT_EQ(read_values(*partition), iota(0, 9000));
}

TEST_F(LogPrewriteTest, ZerosAreSyncedAndWithThemWhatWasPublished) {
  const auto log = Log::open(directory_.path(), options_);
  const auto partition = open(log);
  append_values(*partition, 0, 10);
  partition->prewrite(kMostZeros);
  EXPECT_EQ(partition->ends().durable_offset, 10);
  append_values(*partition, 10, 20'000);
  partition->sync();
  files_->calls.clear();
  partition->prewrite(kMostZeros);
  EXPECT_EQ(files_->calls["sync_data"], 1);
  files_->calls.clear();
  partition->prewrite(kMostZeros);
  EXPECT_EQ(files_->calls["sync_data"], 0);
}

TEST_F(LogPrewriteTest, BatchesThatOthersAppendAtTheSameTimeAreSpared) {
  constexpr int64_t kBatches = 300;
  constexpr int64_t kRows = 500;
  const auto log = Log::open(directory_.path(), options_);
  const auto other = Log::open(directory_.path(), options_);
  const auto own = open(log);
  const auto others = open(other);
  std::atomic<int> running{2};
  const auto append_all = [&](Partition& partition, int64_t first) {
    for (int64_t i = 0; i < kBatches; ++i) append_values(partition, first + i * kRows, kRows);
    --running;
  };
  std::thread first([&] { append_all(*own, 0); });
  std::thread second([&] { append_all(*others, kBatches * kRows); });
  std::thread third([&] {
    while (running > 0) own->prewrite(kMostZeros);
  });
  while (running > 0) others->prewrite(kMostZeros);
  first.join();
  second.join();
  third.join();
  std::vector<int64_t> values = read_values(*own);
  std::sort(values.begin(), values.end());
  EXPECT_EQ(values, iota(0, 2 * kBatches * kRows));
}

TEST_F(LogPrewriteTest, DurableCommitsHaveZerosWrittenAndOthersDoNot) {
  options_.prewrite_bytes = kMostZeros;
  const auto log = Log::open(directory_.path(), options_);
  const auto partition = open(log);
  append_values(*partition, 0, 10);
  append_values(*partition, 10, 10, Acks::kInterval);
  partition->sync();
  EXPECT_EQ(file_size(), 64 * 1024);
  append_values(*partition, 20, 10, Acks::kDurable);
  for (int i = 0; i < 60'000 && file_size() == 64 * 1024; ++i) ::usleep(1'000);
  EXPECT_GT(file_size(), 64 * 1024);
  EXPECT_EQ(read_values(*partition), iota(0, 30));
}

TEST_F(LogPrewriteTest, LargeBatchesHaveNoZerosWritten) {
  options_.prewrite_bytes = 16 * 1024;
  const auto log = Log::open(directory_.path(), options_);
  const auto partition = open(log);
  for (int64_t i = 0; i < 10; ++i) append_values(*partition, i * 1000, 1000, Acks::kDurable);
  log->close();  // joins the thread
  for (const SeenWrites::Write& write : files_->take()) {
    const bool is_segment_head = write.begin == 0;
    EXPECT_TRUE(is_segment_head || write.begin % kPageBytes != 0 || write.end % kPageBytes != 0);
  }
}

TEST_F(LogPrewriteTest, ZerosThatCannotBeWrittenAreDoneWithout) {
  const auto log = Log::open(directory_.path(), options_);
  const auto partition = open(log);
  append_values(*partition, 0, 10);
  for (const char* failing : {"allocate", "pwritev"}) {
    files_->set_fail([&](const std::string& call, int) { return call == failing ? ENOSPC : 0; });
    expect_error(ErrorCode::kStorage, "cannot", [&] { partition->prewrite(kMostZeros); });
    files_->set_fail(nullptr);
    EXPECT_EQ(read_values(*partition), iota(0, 10));
  }
  append_values(*partition, 10, 10, Acks::kDurable);
  EXPECT_EQ(read_values(*partition), iota(0, 20));
}

TEST_F(LogPrewriteTest, AFailedSyncOfZerosIsAFailedSync) {
  const auto log = Log::open(directory_.path(), options_);
  const auto partition = open(log);
  append_values(*partition, 0, 10, Acks::kDurable);
  files_->set_fail([](const std::string& call, int) { return call == "sync_data" ? EIO : 0; });
  expect_error(ErrorCode::kStorage, "failed", [&] { partition->prewrite(kMostZeros); });
  files_->set_fail(nullptr);
  files_->calls.clear();
  expect_error(ErrorCode::kStorage, "takes no more", [&] { append_values(*partition, 10); });
  expect_error(ErrorCode::kStorage, "takes no more", [&] { partition->prewrite(kMostZeros); });
  EXPECT_EQ(files_->calls["sync_data"], 0);
  EXPECT_EQ(files_->calls["pwritev"], 0);
}

TEST_F(LogPrewriteTest, AFileThatIsAlsoABackupsGetsNoZeros) {
  const auto log = Log::open(directory_.path(), options_);
  const auto partition = open(log);
  append_values(*partition, 0, 10);
  const std::string second_name = directory_.path() + "/second";
  ASSERT_EQ(::link(segment_file(directory_.path(), 0).c_str(), second_name.c_str()), 0);
  EXPECT_EQ(prewritten(*partition), 0);
  ASSERT_EQ(::unlink(second_name.c_str()), 0);
  EXPECT_GT(prewritten(*partition), 0);
}

TEST_F(LogPrewriteTest, AReadOnlyLogGetsNoZeros) {
  {
    append_values(*open(Log::open(directory_.path(), options_)), 0, 10);
  }
  options_.read_only = true;
  const auto log = Log::open(directory_.path(), options_);
  EXPECT_EQ(prewritten(*open(log)), 0);
}

}  // namespace
}  // namespace pystream::storage
