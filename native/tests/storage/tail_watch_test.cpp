// Waiting in an event loop: the descriptor of a watch becomes readable when a partition grows.

#include "storage/tail_watch.hpp"

#include <poll.h>

#include "log_crash_testing.hpp"

namespace pystream::storage {
namespace {

constexpr int kLongMs = 60'000;  // of waits that end much sooner

bool is_readable(const TailWatch& watch, int timeout_ms) {
  pollfd entry{watch.fd(), POLLIN, 0};
  return ::poll(&entry, 1, timeout_ms) == 1;
}

class TailWatchTest : public ::testing::Test {
 protected:
  std::shared_ptr<Partition> open(int32_t number = 0) {
    if (!log_) log_ = Log::open(directory_.path());
    return log_->open_partition(test_options(number));
  }

  TemporaryDirectory directory_{Medium::kMemory};
  std::shared_ptr<Log> log_;  // opened with the first partition
};

TEST_F(TailWatchTest, BecomesReadableWhenAPartitionGrows) {
  const std::vector<std::shared_ptr<Partition>> partitions{open(0), open(1)};
  const auto watch = log_->tail_watch();
  for (int64_t round = 0; round < 20; ++round) {
    watch->arm(partitions, {round, round}, 0);
    EXPECT_FALSE(is_readable(*watch, 0));
    append_values(*partitions[1], round);
    EXPECT_TRUE(is_readable(*watch, kLongMs));
    watch->disarm();
    EXPECT_FALSE(is_readable(*watch, 0));
    append_values(*partitions[0], round);
  }
}

TEST_F(TailWatchTest, IsReadableAtOnceWhenThereIsMoreAlready) {
  const auto partition = open();
  append_values(*partition, 0);
  const auto watch = log_->tail_watch();
  watch->arm({{partition}}, {0}, watch->interrupts());
  EXPECT_TRUE(is_readable(*watch, kLongMs));
}

TEST_F(TailWatchTest, FiresOnceForEachArming) {
  const auto partition = open();
  const auto watch = log_->tail_watch();
  watch->arm({{partition}}, {0}, watch->interrupts());
  append_values(*partition, 0);
  ASSERT_TRUE(is_readable(*watch, kLongMs));
  watch->disarm();
  const auto other = log_->tail_watch();
  other->arm({{partition}}, {1}, 0);
  append_values(*partition, 1);
  ASSERT_TRUE(is_readable(*other, kLongMs));  // so the thread has looked
  EXPECT_FALSE(is_readable(*watch, 0));
}

TEST_F(TailWatchTest, AnAppendOfAnotherProcessWakesEveryWatch) {
  WaitingProcess writer([&] {
    const auto own = Log::open(directory_.path());
    const auto partition = own->open_partition(test_options());
    append_values(*partition, 0);
    own->close();
  });
  const auto partition = open();
  std::vector<std::shared_ptr<TailWatch>> watches;
  for (int i = 0; i < 200; ++i) {  // more than the kernel waits for at once
    watches.push_back(log_->tail_watch());
    watches.back()->arm({{partition}}, {0}, 0);
  }
  writer.let_go();
  for (const auto& watch : watches) EXPECT_TRUE(is_readable(*watch, kLongMs));
  EXPECT_EQ(writer.wait(), 0);
}

TEST_F(TailWatchTest, InterruptFiresAnArmedWatchAndNoOther) {
  const auto partition = open();
  const auto watch = log_->tail_watch();
  watch->interrupt();
  EXPECT_FALSE(is_readable(*watch, 0));
  watch->arm({{partition}}, {0}, watch->interrupts());
  watch->interrupt();
  EXPECT_TRUE(is_readable(*watch, kLongMs));
  watch->disarm();
  // One that came between the decision what to wait for and the wait is not missed.
  const uint32_t seen = watch->interrupts();
  watch->interrupt();
  watch->arm({{partition}}, {0}, seen);
  EXPECT_TRUE(is_readable(*watch, 0));
}

TEST_F(TailWatchTest, InterruptEndsAWaitInAThread) {
  const auto partition = open();
  const auto watch = log_->tail_watch();
  // Without partitions, and with more than the kernel waits for.
  std::vector<std::shared_ptr<Partition>> many;
  for (int32_t i = 0; i < 130; ++i) many.push_back(open(i));
  for (const auto& partitions : {std::vector<std::shared_ptr<Partition>>{}, {partition}, many}) {
    const std::vector<int64_t> offsets(partitions.size(), 0);
    const FutexWait interrupt = watch->interrupt_word(watch->interrupts());
    std::thread other([&] { watch->interrupt(); });
    EXPECT_TRUE(log_->wait_any(partitions, offsets, int64_t{kLongMs} * 1'000, &interrupt));
    other.join();
    const FutexWait next = watch->interrupt_word(watch->interrupts());
    EXPECT_FALSE(log_->wait_any(partitions, offsets, 1'000, &next));
  }
}

TEST_F(TailWatchTest, ClosingTheLogFiresAndEndsTheThread) {
  const auto partition = open();
  const auto watch = log_->tail_watch();
  watch->arm({{partition}}, {0}, watch->interrupts());
  log_->close();
  EXPECT_TRUE(is_readable(*watch, 0));
  watch->disarm();
  expect_error(ErrorCode::kClosed, "is closed",
               [&] { watch->arm({{partition}}, {0}, watch->interrupts()); });
  log_.reset();
  watch->disarm();
  watch->interrupt();
}

TEST_F(TailWatchTest, MayGoWhileItIsArmed) {
  const auto partition = open();
  for (int i = 0; i < 50; ++i) {
    const auto watch = log_->tail_watch();
    watch->arm({{partition}}, {int64_t{i} + 1}, 0);
    append_values(*partition, i);
  }
  EXPECT_EQ(partition->ends().log_end_offset, 50);
}

TEST_F(TailWatchTest, ADamagedControlPageIsFoundByWhoLooks) {
  const auto partition = open();
  const auto watch = log_->tail_watch();
  watch->arm({{partition}}, {0}, watch->interrupts());
  const int fd = ::open((partition_directory(directory_.path()) + "/control").c_str(), O_RDWR);
  ASSERT_GE(fd, 0);
  const std::vector<uint8_t> noise(128, 0x5A);
  ASSERT_EQ(::pwrite(fd, noise.data(), noise.size(), 1088), 128);
  ::close(fd);
  EXPECT_TRUE(is_readable(*watch, kLongMs));
  expect_error(ErrorCode::kCorruptRecord, "is damaged", [&] { partition->ends(); });
}

}  // namespace
}  // namespace pystream::storage
