// The sleep on a sync's end: who is woken by which one. What a page says is tested with the log.

#include "storage/control_page.hpp"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace pystream::storage {
namespace {

constexpr int64_t kLongUs = 60'000'000;

// Sleeps once, in a thread of its own.
class Sleeper {
 public:
  Sleeper(const ControlPage& page, bool is_covered) {
    const uint32_t seen = page.words().sync_word.load();
    page.words().sync_waiters.store(1);
    thread_ = std::thread([this, &page, is_covered, seen] {
      id_ = static_cast<pid_t>(::syscall(SYS_gettid));
      is_woken_by_another_ = page.wait_synced(seen, is_covered, kLongUs);
      is_awake_ = true;
    });
    while (!is_awake_ && !is_asleep()) ::usleep(100);
  }
  ~Sleeper() { thread_.join(); }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;

  bool is_awake() const { return is_awake_; }
  bool is_woken_by_another() const { return is_woken_by_another_; }

 private:
  // As the kernel says: the thread sleeps nowhere but there.
  bool is_asleep() const {
    if (id_ == 0) return false;
    std::ifstream file("/proc/self/task/" + std::to_string(id_) + "/stat");
    std::string stat;
    std::getline(file, stat);
    const size_t name_end = stat.rfind(')');
    return name_end != std::string::npos && stat.compare(name_end, 3, ") S") == 0;
  }

  std::atomic<pid_t> id_{0};
  std::atomic<bool> is_awake_{false};
  std::atomic<bool> is_woken_by_another_{false};
  std::thread thread_;
};

class SyncWaitTest : public ::testing::Test {
 protected:
  Sleeper& add(bool is_covered) {
    sleepers_.push_back(std::make_unique<Sleeper>(page_, is_covered));
    return *sleepers_.back();
  }
  int awake() const {
    int count = 0;
    for (const auto& sleeper : sleepers_) count += sleeper->is_awake();
    return count;
  }
  // Waits until so many are awake, and a little for one more.
  void expect_awake(int count) {
    for (int i = 0; i < 100'000 && awake() < count; ++i) ::usleep(100);
    ::usleep(10'000);
    EXPECT_EQ(awake(), count);
  }

  ControlPage page_ = ControlPage::in_memory(File(), "none");
  std::vector<std::unique_ptr<Sleeper>> sleepers_;
};

TEST_F(SyncWaitTest, AnEndWakesThoseItCoveredAndOneOfTheOthers) {
  for (int i = 0; i < 3; ++i) add(true);
  for (int i = 0; i < 4; ++i) add(false);
  page_.wake_synced();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE((expect_awake(4), sleepers_[i]->is_awake()));
  page_.wake_synced();  // of the one that was woken to go on
  expect_awake(7);
  for (const auto& sleeper : sleepers_) EXPECT_TRUE(sleeper->is_woken_by_another());
}

TEST_F(SyncWaitTest, WhoComesDuringTheNextSyncIsWokenByItsEndOrLeadsTheOneAfter) {
  add(false);
  add(false);
  page_.wake_synced();
  expect_awake(1);
  Sleeper& covered = add(true);
  Sleeper& late = add(false);
  page_.wake_synced();  // covered, and the second of the first two; late leads the next
  expect_awake(4);
  EXPECT_TRUE(covered.is_awake() && late.is_awake());
}

TEST_F(SyncWaitTest, OneWhoNeedNotLeadPassesTheWakeOn) {
  for (int i = 0; i < 3; ++i) add(false);
  page_.wake_synced();
  expect_awake(1);
  page_.pass_on_wake(0);
  expect_awake(3);
  page_.pass_on_wake(0);  // nobody is left
  Sleeper& next = add(true);
  page_.wake_synced();
  expect_awake(4);
  EXPECT_TRUE(next.is_awake());
  page_.pass_on_wake(0);  // long over
}

TEST_F(SyncWaitTest, AnEndThatNobodyWaitsForChangesNothing) {
  page_.wake_synced();
  EXPECT_EQ(page_.words().sync_word.load(), 0u);
  EXPECT_FALSE(page_.wait_synced(0, true, 1'000));
  EXPECT_TRUE(page_.wait_synced(7, true, kLongUs));  // it has another value already
}

TEST_F(SyncWaitTest, TheWordMayOverflow) {
  page_.words().sync_word.store(UINT32_MAX);
  add(true);
  add(false);
  add(false);
  page_.wake_synced();
  expect_awake(2);
  page_.wake_synced();
  expect_awake(3);
}

}  // namespace
}  // namespace pystream::storage
