// What a dead process owed to sync, and who does it.

#include "storage/sync_pledges.hpp"

#include <atomic>

#include "log_crash_testing.hpp"

namespace pystream::storage {
namespace {

constexpr size_t kPledgesBegin = 1024;  // in the order file
constexpr size_t kPledgesEnd = kPledgesBegin + kPledgeWords * sizeof(uint64_t);
constexpr int64_t kNeverUs = 3'600'000'000;

class SyncPledgesTest : public ::testing::Test {
 protected:
  LogOptions options(int64_t sync_interval_us,
                     const std::shared_ptr<FileLayer>& files = nullptr) const {
    LogOptions result;
    result.files = files ? files : files_;
    result.sync_interval_us = sync_interval_us;
    return result;
  }

  // Will append five records to each of the partitions and die before it has synced. To be made
  // before a log is opened here, as every WaitingProcess: what it does starts a thread.
  WaitingProcess writer(const std::vector<int32_t>& partitions, Acks acks = Acks::kInterval) const {
    return WaitingProcess([this, partitions, acks] {
      const auto log = Log::open(directory_.path(), options(kNeverUs));
      leak(log);
      for (const int32_t number : partitions) {
        append_values(*log->open_partition(test_options(number)), 0, 5, acks);
      }
    });
  }
  static void append_and_die(WaitingProcess& process) {
    process.let_go();
    ASSERT_EQ(process.wait(), 0);
  }
  void append_and_die(const std::vector<int32_t>& partitions) const {
    WaitingProcess process = writer(partitions);
    append_and_die(process);
  }

  // By a log that syncs nothing.
  int64_t durable_offset(int32_t partition) const {
    LogOptions looking = options(kNeverUs);
    looking.read_only = true;
    const auto log = Log::open(directory_.path(), looking);
    return log->open_partition(test_options(partition))->ends().durable_offset;
  }

  size_t open_pledges() const {
    const std::string page = read_bytes(directory_ / "order");
    size_t count = 0;
    for (size_t i = kPledgesBegin; i < kPledgesEnd; ++i) {
      count += static_cast<size_t>(__builtin_popcount(static_cast<unsigned char>(page[i])));
    }
    return count;
  }

  TemporaryDirectory directory_;
  std::shared_ptr<FakeFiles> files_ = std::make_shared<FakeFiles>();
};

TEST_F(SyncPledgesTest, WhoHasNoPartitionOpenSyncsForTheDead) {
  WaitingProcess owing = writer({0, 1, 4});
  WaitingProcess other = writer({2}, Acks::kPublished);
  const auto log = Log::open(directory_.path(), options(1'000));
  append_and_die(owing);
  append_and_die(other);
  for (const int32_t number : {0, 1, 4}) await([&] { return durable_offset(number) == 5; });
  await([&] { return open_pledges() == 0; });
  EXPECT_EQ(durable_offset(2), 0);
  EXPECT_FALSE(std::filesystem::exists(partition_directory(directory_.path(), 3)));
}

TEST_F(SyncPledgesTest, WhoOpensTheLogLaterSyncsForTheDead) {
  WaitingProcess later = writer({0});
  append_and_die({0, 1});
  EXPECT_EQ(open_pledges(), 1u);
  EXPECT_EQ(durable_offset(0), 0);
  const auto log = Log::open(directory_.path(), options(1'000));
  await([&] { return open_pledges() == 0; });
  EXPECT_EQ(durable_offset(0), 5);
  EXPECT_EQ(durable_offset(1), 5);
  append_and_die(later);
  await([&] { return durable_offset(0) == 10; });
}

TEST_F(SyncPledgesTest, WhoClosesTheLogOwesNothing) {
  const auto log = Log::open(directory_.path(), options(kNeverUs));
  const auto partition = log->open_partition(test_options());
  append_values(*partition, 0);
  EXPECT_EQ(open_pledges(), 0u);
  append_values(*partition, 1, 1, Acks::kInterval);
  append_values(*partition, 2, 1, Acks::kInterval);
  EXPECT_EQ(open_pledges(), 1u);
  log->close();
  EXPECT_EQ(open_pledges(), 0u);
}

TEST_F(SyncPledgesTest, WhoCannotSyncAtTheEndLeavesItToOthers) {
  auto log = Log::open(directory_.path(), options(kNeverUs));
  append_values(*log->open_partition(test_options()), 0, 5, Acks::kInterval);
  files_->set_fail([](const std::string& call, int) { return call == "sync_data" ? EMFILE : 0; });
  EXPECT_THROW(log->close(), Error);
  files_->set_fail(nullptr);
  EXPECT_EQ(open_pledges(), 1u);
  log = Log::open(directory_.path(), options(1'000));
  await([&] { return durable_offset(0) == 5; });
}

TEST_F(SyncPledgesTest, TheLivingAreLeftAlone) {
  WaitingProcess dying = writer({1});
  const auto living = Log::open(directory_.path(), options(kNeverUs));
  append_values(*living->open_partition(test_options()), 0, 5, Acks::kInterval);
  const auto log = Log::open(directory_.path(), options(1'000));
  append_and_die(dying);
  await([&] { return open_pledges() == 1; });  // the dead one's is gone: the log has looked
  EXPECT_EQ(durable_offset(0), 5);             // a look that finds one dead syncs everything
  append_values(*living->open_partition(test_options()), 5, 5, Acks::kInterval);
  ::usleep(50'000);
  EXPECT_EQ(durable_offset(0), 5);
  EXPECT_EQ(open_pledges(), 1u);
}

TEST_F(SyncPledgesTest, AForkedChildDoesNotKeepAPledge) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  ASSERT_TRUE(run_and_die([&] {
    const auto log = Log::open(directory_.path(), options(kNeverUs));
    leak(log);
    append_values(*log->open_partition(test_options()), 0, 5, Acks::kInterval);
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(120);
      ::pause();
      ::_exit(0);
    }
    EXPECT_EQ(::write(ready[1], &child, sizeof(child)), static_cast<ssize_t>(sizeof(child)));
  }));
  ::close(ready[1]);
  pid_t child = 0;
  ASSERT_EQ(::read(ready[0], &child, sizeof(child)), static_cast<ssize_t>(sizeof(child)));
  const auto log = Log::open(directory_.path(), options(1'000));
  await([&] { return durable_offset(0) == 5; });
  ::kill(child, SIGKILL);
  ::close(ready[0]);
}

// What fails, and how often, while the log looks for the first time.
struct Want {
  const char* name;
  const char* call;
  int first;  // its number from which on it fails
  int error;
};

class SyncPledgesWantTest : public SyncPledgesTest, public ::testing::WithParamInterface<Want> {};

TEST_P(SyncPledgesWantTest, WhatCouldNotBeSyncedIsSyncedLater) {
  append_and_die({0, 1});
  const auto scarce = std::make_shared<FakeFiles>();
  std::atomic<int> refused{0};
  scarce->set_fail([&](const std::string& call, int number) {
    if (call != GetParam().call || number < GetParam().first) return 0;
    ++refused;
    return GetParam().error;
  });
  const auto log = Log::open(directory_.path(), options(1'000, scarce));
  await([&] { return refused > 0; });
  ::usleep(20'000);
  EXPECT_EQ(open_pledges(), 1u);
  scarce->set_fail(nullptr);
  await([&] { return open_pledges() == 0; });
  EXPECT_EQ(durable_offset(0), 5);
  EXPECT_EQ(durable_offset(1), 5);
}

INSTANTIATE_TEST_SUITE_P(
    Wants, SyncPledgesWantTest,
    ::testing::Values(Want{"Maps", "map_shared", 2, EMFILE},  // the first is of the order file
                      Want{"Memory", "map_shared", 3, ENOMEM},
                      Want{"Rights", "map_shared", 3, EACCES}, Want{"Topics", "list", 1, EMFILE},
                      Want{"Partitions", "list", 2, EMFILE}, Want{"Pages", "pread", 2, EIO}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_F(SyncPledgesTest, AFailedSyncForTheDeadIsRemembered) {
  append_and_die({0});
  const auto broken = std::make_shared<FakeFiles>();
  broken->set_fail([](const std::string& call, int) { return call == "sync_data" ? EIO : 0; });
  auto log = Log::open(directory_.path(), options(1'000, broken));
  await([&] { return open_pledges() == 0; });
  log.reset();
  log = Log::open(directory_.path(), options(kNeverUs));
  const auto partition = log->open_partition(test_options());
  EXPECT_EQ(partition->recovery().kind, RecoveryReport::Kind::kRecovered);
  EXPECT_EQ(partition->ends().durable_offset, partition->ends().log_end_offset);
}

TEST_F(SyncPledgesTest, WhoDiesWhileSyncingForTheDeadLeavesItToTheNext) {
  append_and_die({0});
  const pid_t second = ::fork();
  if (second == 0) {
    const auto dying = std::make_shared<FakeFiles>();
    ::alarm(120);
    dying->set_fail([](const std::string& call, int) {
      if (call == "sync_data") ::_exit(7);
      return 0;
    });
    leak(Log::open(directory_.path(), options(1'000, dying)));
    ::pause();
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(second, &status, 0), second);
  ASSERT_EQ(WEXITSTATUS(status), 7);
  EXPECT_EQ(durable_offset(0), 0);
  EXPECT_EQ(open_pledges(), 1u);
  const auto log = Log::open(directory_.path(), options(1'000));
  await([&] { return durable_offset(0) == 5; });
}

TEST_F(SyncPledgesTest, ADeletedTopicIsOwedNothing) {
  append_and_die({0});
  const std::string topic = partition_directory(directory_.path()) + "/..";
  std::filesystem::remove_all(std::filesystem::canonical(topic));
  const auto log = Log::open(directory_.path(), options(1'000));
  await([&] { return open_pledges() == 0; });
  EXPECT_FALSE(std::filesystem::exists(partition_directory(directory_.path())));
}

TEST_F(SyncPledgesTest, AReadOnlyLogSyncsForNobody) {
  append_and_die({0});
  LogOptions reading = options(1'000);
  reading.read_only = true;
  const auto log = Log::open(directory_.path(), reading);
  ::usleep(20'000);
  EXPECT_EQ(durable_offset(0), 0);
  EXPECT_EQ(open_pledges(), 1u);
}

TEST_F(SyncPledgesTest, AfterAPowerLossNobodyOwesAnything) {
  append_and_die({0});
  files_->boot = BootId{9, 9, 9};
  const auto log = Log::open(directory_.path(), options(kNeverUs));
  EXPECT_EQ(open_pledges(), 0u);
}

// Its order file says nothing of who died, and the control pages are as they were.
TEST_F(SyncPledgesTest, WhereTheOrderFileIsMadeAnewInTheSameBootAllIsLookedAt) {
  append_and_die({0});
  std::filesystem::remove(directory_ / "order");
  const auto log = Log::open(directory_.path(), options(1'000));
  await([&] { return durable_offset(0) == 5; });
  await([&] { return open_pledges() == 0; });
}

TEST_F(SyncPledgesTest, WhoseOrderFileWasTakenAwayIsToldSo) {
  const auto log = Log::open(directory_.path(), options(kNeverUs));
  const auto partition = log->open_partition(test_options());
  std::filesystem::remove(directory_ / "order");
  expect_error(ErrorCode::kStorage, "order was removed or replaced while the log was open",
               [&] { append_values(*partition, 0, 5, Acks::kInterval); });
  const auto next = Log::open(directory_.path(), options(kNeverUs));
  expect_error(ErrorCode::kStorage, "order was removed or replaced while the log was open",
               [&] { append_values(*partition, 0, 5, Acks::kInterval); });
  EXPECT_EQ(partition->ends().log_end_offset, 0);
}

// Its own appends do not wait for those of the dead, nor does the end of the log.
TEST_F(SyncPledgesTest, ALongTakeOverHoldsNothingUp) {
  constexpr int32_t kPartitions = 60;
  std::vector<int32_t> numbers(kPartitions);
  for (int32_t i = 0; i < kPartitions; ++i) numbers[static_cast<size_t>(i)] = i;
  append_and_die(numbers);
  const auto slow = std::make_shared<FakeFiles>();
  slow->set_fail([](const std::string& call, int) {
    if (call == "sync_data") ::usleep(100'000);
    return 0;
  });
  auto log = Log::open(directory_.path(), options(1'000, slow));
  const auto own = log->open_partition(test_options(1000));
  append_values(*own, 0, 5, Acks::kInterval);
  await([&] { return own->ends().durable_offset == 5; });
  EXPECT_EQ(open_pledges(), 2u);  // its own, and that of the dead: it is still at it
  const int64_t begin_us = monotonic_us();
  log->close();
  EXPECT_LT(monotonic_us() - begin_us, 2'000'000);
  EXPECT_EQ(open_pledges(), 1u);
  log = Log::open(directory_.path(), options(1'000));
  await([&] { return open_pledges() == 0; });
  for (const int32_t number : numbers) EXPECT_EQ(durable_offset(number), 5);
}

// The pledges alone, over words of this process.
class PledgeWordsTest : public ::testing::Test {
 protected:
  PledgeWordsTest() {
    std::ofstream(directory_ / "order");
    for (auto& word : words_) word = 0;
  }
  void begin(SyncPledges& pledges) {
    const auto files = std::make_shared<FileLayer>();
    FileIdentity self;
    EXPECT_EQ(files->identity_at(directory_ / "order", &self), 0);
    pledges.begin(files, directory_ / "order", self, SyncPledges::Words(words_));
  }
  size_t given() const {
    size_t count = 0;
    for (const auto& word : words_) count += static_cast<size_t>(__builtin_popcountll(word.load()));
    return count;
  }

  TemporaryDirectory directory_{Medium::kMemory};
  std::atomic<uint64_t> words_[kPledgeWords];
};

TEST_F(PledgeWordsTest, EachGiverHasItsOwn) {
  std::vector<std::unique_ptr<SyncPledges>> givers;
  for (size_t i = 1; i <= 100; ++i) {
    givers.push_back(std::make_unique<SyncPledges>());
    begin(*givers.back());
    givers.back()->give();
    givers.back()->give();
    EXPECT_EQ(given(), i);
  }
  SyncPledges looking;
  begin(looking);
  int calls = 0;
  const auto sync_all = [&] { return ++calls > 0; };
  for (int i = 0; i < 200; ++i) looking.look(sync_all);
  EXPECT_EQ(calls, 0);
  for (size_t i = 0; i < 100; i += 2) givers[i].reset();  // without taking it back
  // The dead ones stand between living ones: each look asks after one of those.
  for (int i = 0; i < 200; ++i) looking.look(sync_all);
  EXPECT_EQ(calls, 50);
  EXPECT_EQ(given(), 50u);
  for (size_t i = 1; i < 100; i += 2) givers[i]->close(true);
  EXPECT_EQ(given(), 0u);
}

TEST_F(PledgeWordsTest, AllPledgesOfTheDeadAreFoundInOneLook) {
  for (auto& word : words_) word = ~uint64_t{0};
  SyncPledges pledges;
  begin(pledges);
  int calls = 0;
  pledges.look([&] {
    ++calls;
    return false;
  });
  EXPECT_EQ(given(), kPledgeWords * 64);
  pledges.look([&] { return ++calls > 0; });
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(given(), 0u);
}

TEST_F(PledgeWordsTest, MoreThanThereIsRoomForAreRefused) {
  for (auto& word : words_) word = ~uint64_t{0};
  SyncPledges pledges;
  begin(pledges);
  expect_error(ErrorCode::kLog, "all 16384 pledges", [&] { pledges.give(); });
  words_[200] &= ~(uint64_t{1} << 13);
  pledges.give();
  EXPECT_EQ(given(), kPledgeWords * 64);
}

TEST_F(PledgeWordsTest, ItsOwnIsNotAskedAfter) {
  SyncPledges pledges;
  begin(pledges);
  pledges.give();
  pledges.look([]() -> bool { throw std::runtime_error("asked after its own pledge"); });
  SyncPledges other;
  begin(other);
  other.look([]() -> bool { throw std::runtime_error("the lock was let go"); });
}

}  // namespace
}  // namespace pystream::storage
