// Every system call of the write path is made to fail once: what was acknowledged stays, what was
// not is nowhere, and the log goes on.

#include <cerrno>

#include "log_testing.hpp"

namespace pystream::storage {
namespace {

struct Failure {
  std::string call;
  int error;
};

void PrintTo(const Failure& failure, std::ostream* out) { *out << failure.call; }

class LogFailureTest : public ::testing::TestWithParam<Failure> {
 protected:
  LogFailureTest() { options_.files = files_; }

  // Fails the call of that number once; counted from now on.
  void fail_call(int number) {
    files_->calls.clear();
    has_failed_ = false;
    files_->fail = [this, number](const std::string& call, int at) {
      if (call != GetParam().call || at != number || has_failed_) return 0;
      has_failed_ = true;
      return GetParam().error;
    };
  }

  std::shared_ptr<FakeFiles> files_ = std::make_shared<FakeFiles>();
  LogOptions options_;
  bool has_failed_ = false;
};

TEST_P(LogFailureTest, AFailedAppendLeavesTheLogAsItWas) {
  constexpr int64_t kBatches = 12;
  for (int number = 1; number < 60; ++number) {
    TemporaryDirectory directory(Medium::kMemory);
    const auto log = Log::open(directory.path(), options_);
    const auto partition = log->open_partition(test_options(0, 32 * 1024));
    fail_call(number);
    std::vector<int64_t> expected;
    for (int64_t i = 0; i < kBatches; ++i) {
      // Sizes that fill segments at different places.
      const int64_t count = 300 + 100 * (i % 3);
      const int64_t first = static_cast<int64_t>(expected.size());
      try {
        append_values(*partition, first, count);
      } catch (const Error& error) {
        EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(ErrorCode::kStorage));
        EXPECT_TRUE(has_failed_);
        ASSERT_EQ(read_values(*partition), expected) << "call " << number;
        ASSERT_EQ(partition->ends().log_end_offset, first);
        append_values(*partition, first, count);
      }
      for (const int64_t value : iota(first, count)) expected.push_back(value);
    }
    const bool was_reached = has_failed_;
    files_->fail = nullptr;
    ASSERT_EQ(read_values(*partition), expected) << "call " << number;
    log->close();
    const auto reopened = Log::open(directory.path(), options_);
    ASSERT_EQ(read_values(*reopened->open_partition(test_options())), expected);
    if (!was_reached) {
      EXPECT_GT(number, 1) << "the write path never makes this call";
      return;
    }
  }
  FAIL() << "the write path makes more calls than the test goes through";
}

INSTANTIATE_TEST_SUITE_P(Calls, LogFailureTest,
                         ::testing::Values(Failure{"open", EMFILE}, Failure{"pwritev", ENOSPC},
                                           Failure{"pwritev", EIO}, Failure{"allocate", ENOSPC},
                                           Failure{"sync_data", EIO}, Failure{"rename", EIO},
                                           Failure{"unlink", EIO}));

class LogFilesTest : public ::testing::Test {
 protected:
  LogFilesTest() { options_.files = files_; }
  TemporaryDirectory directory_;
  std::shared_ptr<FakeFiles> files_ = std::make_shared<FakeFiles>();
  LogOptions options_;
};

TEST_F(LogFilesTest, AFullDiskIsAnErrorAndTheLogGoesOn) {
  const auto log = Log::open(directory_.path(), options_);
  const auto partition = log->open_partition(test_options());
  append_values(*partition, 0, 10);
  files_->fail = [](const std::string& call, int) { return call == "allocate" ? ENOSPC : 0; };
  expect_error(ErrorCode::kStorage, "No space left",
               [&] { append_values(*partition, 10, 50'000); });
  EXPECT_EQ(read_values(*partition), iota(0, 10));
  append_values(*partition, 10, 10);  // fits into the blocks that are there
  files_->fail = nullptr;
  append_values(*partition, 20, 50'000);
  EXPECT_EQ(read_values(*partition), iota(0, 50'020));
}

// All of the batch was written when the terminator behind it failed.
TEST_F(LogFilesTest, ARefusedBatchDoesNotComeBackAfterAPowerLoss) {
  for (const bool fails_for_long : {false, true}) {
    TemporaryDirectory directory;
    const auto files = std::make_shared<FakeFiles>();
    LogOptions options;
    options.files = files;
    {
      const auto log = Log::open(directory.path(), options);
      const auto partition = log->open_partition(test_options());
      append_values(*partition, 0, 10);
      files->calls.clear();
      files->longest_write = 400;  // a small batch, and then its terminator
      files->fail = [&](const std::string& call, int number) {
        return call == "pwritev" && (number == 2 || (fails_for_long && number > 2)) ? EIO : 0;
      };
      expect_error(ErrorCode::kStorage, "cannot write", [&] { append_values(*partition, 10); });
      files->fail = nullptr;
      files->longest_write = INT64_MAX;
      // When the disk failed for long, the next append takes back what it could not.
      if (fails_for_long) append_values(*partition, 10, 10);
    }
    ++files->boot[0];
    const auto log = Log::open(directory.path(), options);
    const auto partition = log->open_partition(test_options());
    EXPECT_EQ(read_values(*partition), iota(0, fails_for_long ? 20 : 10));
  }
}

TEST_F(LogFilesTest, AnErrorCarriesErrnoAndPath) {
  const auto log = Log::open(directory_.path(), options_);
  const auto partition = log->open_partition(test_options());
  files_->fail = [](const std::string& call, int) { return call == "pwritev" ? ENOSPC : 0; };
  try {
    append_values(*partition, 0);
    FAIL() << "no error";
  } catch (const Error& error) {
    std::map<std::string, std::variant<int64_t, std::string>> facts(error.facts().begin(),
                                                                    error.facts().end());
    EXPECT_EQ(std::get<int64_t>(facts["errno"]), ENOSPC);
    EXPECT_TRUE(std::get<std::string>(facts["path"]).starts_with(directory_.path()));
  }
}

TEST_F(LogFilesTest, ShortWritesAreContinued) {
  files_->longest_write = 100;
  const auto log = Log::open(directory_.path(), options_);
  const auto partition = log->open_partition(test_options());
  for (int64_t i = 0; i < 5; ++i) append_values(*partition, 1000 * i, 1000);
  EXPECT_EQ(read_values(*partition), iota(0, 5000));
}

TEST_F(LogFilesTest, AFilesystemWithoutFallocateGetsZeros) {
  files_->fail = [](const std::string& call, int) { return call == "allocate" ? EOPNOTSUPP : 0; };
  const auto log = Log::open(directory_.path(), options_);
  const auto partition = log->open_partition(test_options(0, 256 * 1024));
  for (int64_t i = 0; i < 100; ++i) append_values(*partition, 1000 * i, 1000);
  EXPECT_EQ(read_values(*partition), iota(0, 100'000));
}

TEST_F(LogFilesTest, ZerosWrittenWhereNothingCanBeReservedSpareTheBatchesOfOthers) {
  files_->fail = [](const std::string& call, int) { return call == "allocate" ? EOPNOTSUPP : 0; };
  const auto log = Log::open(directory_.path(), options_);
  const auto other = Log::open(directory_.path(), options_);
  const auto partition = log->open_partition(test_options());
  const auto others = other->open_partition(test_options());
  append_values(*others, 0, 1000);  // knows the file as it is now
  for (int64_t i = 1; i <= 20; ++i) append_values(*partition, 1000 * i, 1000);
  append_values(*others, 21'000, 1000);
  EXPECT_EQ(read_values(*partition), iota(0, 22'000));
}

TEST_F(LogFilesTest, AKernelWithoutPopulateReadsThrough) {
  files_->fail = [](const std::string& call, int) { return call == "populate" ? EINVAL : 0; };
  const auto log = Log::open(directory_.path(), options_);
  const auto partition = log->open_partition(test_options(0, 64 * 1024));
  for (int64_t i = 0; i < 100; ++i) append_values(*partition, 1000 * i, 1000);
  EXPECT_EQ(read_values(*partition), iota(0, 100'000));
}

TEST_F(LogFilesTest, AReadErrorIsAnErrorAndMayPass) {
  const auto log = Log::open(directory_.path(), options_);
  const auto partition = log->open_partition(test_options());
  append_values(*partition, 0, 1000);
  const auto reader = partition->reader(0);
  files_->fail = [](const std::string& call, int) { return call == "populate" ? EFAULT : 0; };
  expect_error(ErrorCode::kStorage, "of a segment of orders-0, whose records begin at offset 0",
               [&] { reader->next(); });
  files_->fail = nullptr;
  EXPECT_EQ(values_of(*reader->next()), iota(0, 1000));
}

TEST_F(LogFilesTest, AShortenedFileIsAnErrorAndNotASignal) {
  const auto log = Log::open(directory_.path(), options_);
  const auto partition = log->open_partition(test_options());
  append_values(*partition, 0, 1000);
  std::filesystem::resize_file(segment_file(directory_.path(), 0), 10'000);
  const auto other = Log::open(directory_.path(), options_);
  const auto reader = other->open_partition(test_options())->reader(0);
  expect_error(ErrorCode::kCorruptRecord, "from offset 0 up to 1000 cannot be read",
               [&] { reader->next(); });
  // Its file takes no more batches; the partition does.
  EXPECT_EQ(append_values(*other->open_partition(test_options()), 1000).base_offset, 1000);
}

}  // namespace
}  // namespace pystream::storage
