// A process killed at any point of opening, appending, rolling, syncing, recovering, opening after
// a failed sync, or closing: at any system call and at any store into a mapped page. Nothing
// acknowledged is lost, nothing is there twice, and the log goes on at once, also when the machine
// is started again after it.

#include <sys/mman.h>

#include <cerrno>
#include <random>

#include "kill_points.hpp"
#include "log_crash_testing.hpp"
#include "torture.hpp"

namespace pystream::storage {
namespace {

constexpr int64_t kMostPoints = 5'000;

// What a process that will be killed has done, in memory that survives it.
struct Progress {
  std::atomic<int64_t> acknowledged;  // values
  std::atomic<int64_t> attempted;
  std::atomic<int64_t> stores;
};

// The sizes of one seed; seed 1 is what every commit runs.
struct Shape {
  explicit Shape(uint64_t seed) {
    if (seed == 1) return;
    std::mt19937_64 random(seed);
    segment_bytes = int64_t(8 + random() % 40) * 1024;
    batch = int64_t(1 + random() % 500);
    for (int64_t& count : batches) count = int64_t(1 + random() % 8);
  }
  int64_t segment_bytes = 24 * 1024;
  int64_t batch = 200;
  int64_t batches[4] = {3, 8, 3, 5};
};

constexpr int64_t kZerosAhead = 16 * 1024;

class LogCrashTest : public ::testing::Test {
 protected:
  LogCrashTest()
      : progress_(static_cast<Progress*>(::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE,
                                                MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {}
  ~LogCrashTest() override { ::munmap(progress_, sizeof(Progress)); }

  LogOptions killed_at(int64_t point, uint8_t boot) {
    LogOptions options;
    auto files = std::make_shared<KillPoints>(point, &progress_->stores);
    files->boot = {boot};
    options.files = std::move(files);
    options.sync_interval_us = 3'600'000'000;  // the calls of the background thread vary
    return options;
  }
  std::shared_ptr<Partition> open(Log& log) {
    return log.open_partition(test_options(0, shape_.segment_bytes));
  }

  void append(Partition& partition, int64_t batches, Acks acks = Acks::kPublished) {
    for (int64_t i = 0; i < batches; ++i) {
      const int64_t first = progress_->acknowledged;
      progress_->attempted = first + shape_.batch;
      append_values(partition, first, shape_.batch, acks);
      progress_->acknowledged = first + shape_.batch;
    }
  }

  // A writer that is not killed, and does not close its log.
  void write_and_leave(const std::string& directory, uint8_t boot) {
    ASSERT_TRUE(run_and_die([&] {
      const auto log = Log::open(directory, after_boot(boot));
      leak(log);
      append(*open(*log), shape_.batches[0]);
    }));
  }

  // Opens the log in `boot`: it holds what was acknowledged, perhaps the batch that was under way,
  // and takes more.
  void check(const std::string& directory, uint8_t boot) {
    const auto log = Log::open(directory, after_boot(boot));
    const auto partition = open(*log);
    const auto found = static_cast<int64_t>(read_values(*partition).size());
    const bool has_come_back = boot != 1 && found <= given_up_ && found % shape_.batch == 0;
    ASSERT_TRUE(found == progress_->acknowledged || found == progress_->attempted ||
                (has_come_back && found >= progress_->acknowledged))
        << found << " values, " << progress_->acknowledged << " acknowledged";
    ASSERT_EQ(read_values(*partition), iota(0, found));
    for (int64_t i = 0; i < 3; ++i) {
      const auto appended = append_values(*partition, found + i * shape_.batch, shape_.batch);
      ASSERT_GE(appended.base_offset, found + i * shape_.batch);
    }
    ASSERT_EQ(read_values(*partition), iota(0, found + 3 * shape_.batch));
    EXPECT_EQ(partition->recovery().corrupt_records, 0);
    // Who is killed leaves nothing to repair: the page is right at every moment.
    if (boot == 1 && !is_recovering_) {
      EXPECT_NE(partition->recovery().kind, RecoveryReport::Kind::kRecovered);
    }
  }

  // Kills `life` at each of its points, each time in a log that `before` has made; then opens the
  // log as in `boot`, and the second time as in the next.
  template <typename Before, typename Life>
  void kill_everywhere(uint8_t boot, int64_t fewest, Before before, Life life) {
    Torture torture(1);
    while (torture.goes_on()) {
      const uint64_t seed = torture.next_seed();
      shape_ = Shape(seed);
      bool survived = false;
      progress_->stores = 0;
      for (int64_t run = 0; !survived || run % 2 == 1; ++run) {
        const int64_t point = run / 2 + 1;
        SCOPED_TRACE("seed " + std::to_string(seed) + ", point " + std::to_string(point));
        ASSERT_LT(point, kMostPoints) << "there are more points than the test goes through";
        TemporaryDirectory directory(Medium::kMemory);
        progress_->acknowledged = progress_->attempted = 0;
        before(directory.path());
        survived = run_and_die([&] { life(directory.path(), point); });
        torture.count();
        // Each point twice: the second time the machine goes down too, with all on its disk.
        check(directory.path(), run % 2 == 0 ? boot : static_cast<uint8_t>(boot + 1));
        if (HasFatalFailure()) return;
        if (survived && seed == 1) {
          EXPECT_GT(point, fewest);
        }
      }
      if (seed == 1 && KillPoints::kSeesStores) {
        EXPECT_GT(progress_->stores, fewest);
      }
    }
  }

  Progress* progress_;
  Shape shape_{1};
  int64_t given_up_ = -1;       // of values: including those that a failed sync cost
  bool is_recovering_ = false;  // the life that is killed recovers the log
};

TEST_F(LogCrashTest, KilledAtAnyPointOfAWritersLife) {
  kill_everywhere(
      1, 100, [](const std::string&) {},
      [&](const std::string& directory, int64_t point) {
        const auto log = Log::open(directory, killed_at(point, 1));
        const auto partition = open(*log);
        append(*partition, shape_.batches[0]);
        partition->sync();
        append(*partition, shape_.batches[1], Acks::kInterval);
        log->close();
      });
}

// The lease was given back by close(), and is taken again.
TEST_F(LogCrashTest, KilledAtAnyPointAfterReopening) {
  kill_everywhere(
      1, 50,
      [&](const std::string& directory) {
        ASSERT_TRUE(run_and_die([&] {
          const auto log = Log::open(directory, after_boot(1));
          append(*open(*log), shape_.batches[0]);
          log->close();
        }));
      },
      [&](const std::string& directory, int64_t point) {
        const auto log = Log::open(directory, killed_at(point, 1));
        append(*open(*log), shape_.batches[2]);
        log->close();
      });
}

TEST_F(LogCrashTest, KilledAtAnyPointOfARecovery) {
  is_recovering_ = true;
  kill_everywhere(
      2, 50, [&](const std::string& directory) { write_and_leave(directory, 1); },
      [&](const std::string& directory, int64_t point) {
        const auto log = Log::open(directory, killed_at(point, 2));
        append(*open(*log), shape_.batches[2]);
        log->close();
      });
}

// A writer died between writing and publishing; who comes next buries what it wrote.
TEST_F(LogCrashTest, KilledAtAnyPointOfBuryingADeadAppend) {
  kill_everywhere(
      1, 50,
      [&](const std::string& directory) {
        write_and_leave(directory, 1);
        ASSERT_FALSE(run_and_die([&] {
          LogOptions options = after_boot(1);
          auto& files = static_cast<FakeFiles&>(*options.files);
          const auto log = Log::open(directory, options);
          const auto partition = open(*log);
          // Behind the write of the batch comes nothing but the publish; a new segment's name
          // first.
          EncodedBatch batch = encode_values(-1'000'000, shape_.batch);
          files.calls.clear();
          files.longest_write = 4096;
          files.set_fail([](const std::string& call, int number) {
            if (call == "pwritev" && number == 2) ::kill(::getpid(), SIGKILL);
            return 0;
          });
          partition->append(&batch, Acks::kPublished);
          ::kill(::getpid(), SIGKILL);  // a small batch was written at once
        }));
      },
      [&](const std::string& directory, int64_t point) {
        const auto log = Log::open(directory, killed_at(point, 1));
        const auto partition = open(*log);
        partition->prewrite(kZerosAhead);  // leaves it to be buried
        append(*partition, shape_.batches[2]);
        log->close();
      });
}

TEST_F(LogCrashTest, KilledAtAnyPointOfAFirstLifeInACopiedDirectory) {
  is_recovering_ = true;
  kill_everywhere(
      1, 50,
      [&](const std::string& directory) {
        TemporaryDirectory original(Medium::kMemory);
        write_and_leave(original.path(), 1);
        std::filesystem::copy(original.path(), directory, std::filesystem::copy_options::recursive);
      },
      [&](const std::string& directory, int64_t point) {
        const auto log = Log::open(directory, killed_at(point, 1));
        append(*open(*log), shape_.batches[2]);
        log->close();
      });
}

TEST_F(LogCrashTest, KilledAtAnyPointOfWritingZerosAhead) {
  kill_everywhere(
      1, 100, [](const std::string&) {},
      [&](const std::string& directory, int64_t point) {
        const auto log = Log::open(directory, killed_at(point, 1));
        const auto partition = open(*log);
        for (int i = 0; i < 2; ++i) {
          append(*partition, shape_.batches[2]);
          partition->prewrite(kZerosAhead);
        }
        append(*partition, shape_.batches[0]);
        log->close();
      });
}

TEST_F(LogCrashTest, KilledAtAnyPointOfDurableAppends) {
  kill_everywhere(
      1, 100, [](const std::string&) {},
      [&](const std::string& directory, int64_t point) {
        const auto log = Log::open(directory, killed_at(point, 1));
        append(*open(*log), shape_.batches[1], Acks::kDurable);
        log->close();
      });
}

// Of what was published and not acknowledged as durable, the sync failed: it counts as unwritten.
TEST_F(LogCrashTest, KilledAtAnyPointOfTheOpenAfterAFailedSync) {
  is_recovering_ = true;
  kill_everywhere(
      1, 50,
      [&](const std::string& directory) {
        // They may come back with the machine, as long as nothing was appended behind them.
        given_up_ = (shape_.batches[0] + 20) * shape_.batch;
        ASSERT_TRUE(run_and_die([&] {
          const LogOptions options = after_boot(1);
          const auto log = Log::open(directory, options);
          leak(log);
          const auto partition = open(*log);
          append(*partition, shape_.batches[0], Acks::kDurable);
          for (int64_t at = progress_->acknowledged; at < given_up_; at += shape_.batch) {
            append_values(*partition, at, shape_.batch);
          }
          static_cast<FakeFiles&>(*options.files).set_fail([](const std::string& call, int) {
            return call == "sync_data" ? EIO : 0;
          });
          expect_error(ErrorCode::kStorage, "cannot sync", [&] { partition->sync(); });
        }));
      },
      [&](const std::string& directory, int64_t point) {
        const auto log = Log::open(directory, killed_at(point, 1));
        append(*open(*log), shape_.batches[2], Acks::kDurable);
        log->close();
      });
}

}  // namespace
}  // namespace pystream::storage
