// Files of an open log that someone removes by hand: nothing is acknowledged that would be lost.

#include <filesystem>
#include <fstream>

#include "log_testing.hpp"

namespace pystream::storage {
namespace {

class LogInPlaceTest : public ::testing::Test {
 protected:
  LogInPlaceTest() { options_.files = files_; }

  std::shared_ptr<Log> open() { return Log::open(directory_.path(), options_); }
  std::string path_of(const std::string& name) {
    return partition_directory(directory_.path()) + "/" + name;
  }

  TemporaryDirectory directory_;
  std::shared_ptr<FakeFiles> files_ = std::make_shared<FakeFiles>();
  LogOptions options_;
};

// Two writers that do not see each other would give out the same offsets.
class LogTakenAwayTest : public LogInPlaceTest,
                         public ::testing::WithParamInterface<const char*> {};

TEST_P(LogTakenAwayTest, AWriterGoesNoFurtherThanWhoOpensNext) {
  const auto log = open();
  const auto partition = log->open_partition(test_options());
  append_values(*partition, 0, 10, Acks::kDurable);
  std::filesystem::remove(path_of(GetParam()));
  const auto later = open();
  const auto other = later->open_partition(test_options());
  append_values(*other, 10, 10, Acks::kDurable);
  for (const Acks acks : {Acks::kPublished, Acks::kInterval, Acks::kDurable}) {
    expect_error(ErrorCode::kStorage, "was removed or replaced while the log was open",
                 [&] { append_values(*partition, 100, 1, acks); });
  }
  append_values(*other, 20, 10, Acks::kDurable);
  log->close();
  later->close();
  const auto reopened = open();
  EXPECT_EQ(read_values(*reopened->open_partition(test_options())), iota(0, 30));
}

TEST_P(LogTakenAwayTest, UntilSomeoneOpensItNothingIsLost) {
  {
    const auto log = open();
    const auto partition = log->open_partition(test_options());
    append_values(*partition, 0, 10);
    std::filesystem::remove(path_of(GetParam()));
    append_values(*partition, 10, 10);
    append_values(*partition, 20, 10, Acks::kDurable);
    log->close();
  }
  const auto log = open();
  const auto partition = log->open_partition(test_options());
  append_values(*partition, 30, 10);
  EXPECT_EQ(read_values(*partition), iota(0, 40));
}

TEST_P(LogTakenAwayTest, NothingIsDeletedBehindTheBackOfWhoOpensNext) {
  const auto log = open();
  const auto partition = log->open_partition(test_options());
  append_values(*partition, 0, 10);
  std::filesystem::remove(path_of(GetParam()));
  const auto later = open();
  const auto other = later->open_partition(test_options());
  expect_error(ErrorCode::kStorage, GetParam(), [&] { partition->delete_records(5); });
  EXPECT_EQ(read_values(*other), iota(0, 10));
}

TEST_P(LogTakenAwayTest, OfADeletedTopicItIsSaidThatItWasDeleted) {
  const auto log = open();
  const auto partition = log->open_partition(test_options());
  append_values(*partition, 0, 10);
  std::ofstream(partition_directory(directory_.path()) + "/../topic.deleted");
  std::filesystem::remove(path_of(GetParam()));
  log->open_partition(test_options(1));  // makes files
  expect_error(ErrorCode::kUnknownTopic, "topic orders was deleted",
               [&] { append_values(*partition, 10); });
}

INSTANTIATE_TEST_SUITE_P(Files, LogTakenAwayTest, ::testing::Values("control", "lock"));

TEST_F(LogInPlaceTest, ThePageOfWhoOpenedNextKeepsItsLease) {
  const auto log = open();
  const auto partition = log->open_partition(test_options());
  append_values(*partition, 0, 10, Acks::kDurable);
  std::filesystem::remove(path_of("control"));
  const auto later = open();
  const auto other = later->open_partition(test_options());
  append_values(*other, 10, 10, Acks::kDurable);
  const int64_t seen = other->ends().log_end_offset;
  log->close();  // it holds a lease of the page before
  files_->boot = {9, 9, 9};
  const auto rebooted = open();
  EXPECT_GT(rebooted->open_partition(test_options())->ends().log_end_offset, seen);
}

TEST_F(LogInPlaceTest, WhoWaitsForAPageThatNobodyWritesIsTold) {
  const auto log = open();
  const auto partition = log->open_partition(test_options());
  append_values(*partition, 0, 10);
  EXPECT_FALSE(partition->wait(10, 250'000));
  std::filesystem::remove(path_of("control"));
  EXPECT_FALSE(partition->wait(10, 250'000));
  const auto later = open();
  const auto other = later->open_partition(test_options());
  expect_error(ErrorCode::kStorage, "the control page of orders-0",
               [&] { partition->wait(10, 10'000'000); });
  // Of a deleted topic there is nothing more to come, which is no error.
  std::ofstream(partition_directory(directory_.path()) + "/../topic.deleted");
  EXPECT_FALSE(partition->wait(10, 250'000));
}

TEST_F(LogInPlaceTest, NothingIsDurableInASegmentThatWasRemoved) {
  const auto log = open();
  const auto partition = log->open_partition(test_options());
  append_values(*partition, 0, 10, Acks::kDurable);
  std::filesystem::remove(segment_file(directory_.path(), 0));
  expect_error(ErrorCode::kStorage, "the segment that is written",
               [&] { append_values(*partition, 10, 10, Acks::kDurable); });
  EXPECT_EQ(partition->ends().durable_offset, 10);
  expect_error(ErrorCode::kStorage, "takes no more appends",
               [&] { append_values(*partition, 20, 10); });
  expect_error(ErrorCode::kStorage, "a sync of orders-0 failed", [&] { log->close(); });
  const auto reopened = open();
  const auto again = reopened->open_partition(test_options());
  const int64_t next = append_values(*again, 30, 10, Acks::kDurable).base_offset;
  EXPECT_GE(next, 20);
  EXPECT_EQ(read_values(*again, next), iota(30, 10));
}

TEST_F(LogInPlaceTest, ASegmentOfADeletedTopicIsNoFailedSync) {
  const auto log = open();
  const auto partition = log->open_partition(test_options());
  append_values(*partition, 0, 10, Acks::kDurable);
  std::ofstream(partition_directory(directory_.path()) + "/../topic.deleted");
  std::filesystem::remove(segment_file(directory_.path(), 0));
  expect_error(ErrorCode::kUnknownTopic, "was deleted before its records were durable",
               [&] { append_values(*partition, 10, 10, Acks::kDurable); });
  EXPECT_NO_THROW(log->close());
}

}  // namespace
}  // namespace pystream::storage
