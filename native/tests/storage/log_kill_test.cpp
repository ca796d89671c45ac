// Two writer processes and two reader processes share a log while writers are killed (SIGKILL) at
// random moments, again and again. No acknowledged record is lost, none is wrong, none is there
// twice; of what a writer had in its hands when it died, at most the one batch is there.

#include <sys/mman.h>

#include <cstdlib>
#include <random>

#include "log_crash_testing.hpp"

namespace pystream::storage {
namespace {

constexpr int kWriters = 2;
constexpr int kReaders = 2;
constexpr int32_t kPartitions = 2;
constexpr int kMaxLives = 4096;  // of writers: each is killed once and followed by another

// What each life of a writer has done, per partition, in memory that survives it.
struct Life {
  std::atomic<int64_t> acknowledged[kPartitions];  // values
  std::atomic<int64_t> attempted[kPartitions];
};
struct Shared {
  Life lives[kMaxLives];
  std::atomic<bool> is_over;
};

// Value `number` of a life. The life stands in each value, so that a stray one is noticed.
int64_t make_value(int64_t life, int64_t number) { return life << 32 | number; }

// Writes batches of increasing values until it is killed.
[[noreturn]] void be_writer(const std::string& directory, Shared* shared, int life, uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto log = Log::open(directory);
  std::vector<std::shared_ptr<Partition>> partitions;
  for (int32_t i = 0; i < kPartitions; ++i) {
    partitions.push_back(log->open_partition(test_options(i, 256 * 1024)));
  }
  Life& progress = shared->lives[life];
  for (;;) {
    const auto p = static_cast<size_t>(random() % kPartitions);
    const int64_t first = progress.acknowledged[p];
    const auto count = static_cast<int64_t>(random() % 50 + 1 + (random() % 50 == 0 ? 5000 : 0));
    progress.attempted[p] = first + count;
    append_values(*partitions[p], make_value(life, first), count,
                  random() % 2 == 0 ? Acks::kInterval : Acks::kPublished);
    progress.acknowledged[p] = first + count;
  }
}

// Checks the batches of one partition as they come.
class Checker {
 public:
  explicit Checker(std::unique_ptr<PartitionReader> reader)
      : reader_(std::move(reader)), next_(kMaxLives, 0) {}

  // Reads to the end; false when anything is wrong.
  bool advance() {
    while (const auto batch = reader_->next()) {
      if (batch->append_sequence() <= last_sequence_) return false;
      last_sequence_ = batch->append_sequence();
      for (const int64_t value : values_of(*batch)) {
        const auto life = static_cast<size_t>(value >> 32);
        if (life >= kMaxLives || value != make_value(static_cast<int64_t>(life), next_[life])) {
          return false;
        }
        ++next_[life];
      }
    }
    return true;
  }

  int64_t position() const { return reader_->position(); }
  int64_t values_of_life(int life) const { return next_[static_cast<size_t>(life)]; }

 private:
  std::unique_ptr<PartitionReader> reader_;
  std::vector<int64_t> next_;  // by life
  uint64_t last_sequence_ = 0;
};

std::vector<Checker> make_checkers(const std::vector<std::shared_ptr<Partition>>& partitions) {
  std::vector<Checker> checkers;
  for (const auto& partition : partitions) checkers.emplace_back(partition->reader(0));
  return checkers;
}

// Follows the log until all is over; exits with 1 when it saw anything wrong.
[[noreturn]] void be_reader(const std::string& directory, const Shared* shared) {
  const auto log = Log::open(directory);
  std::vector<std::shared_ptr<Partition>> partitions;
  for (int32_t i = 0; i < kPartitions; ++i) {
    partitions.push_back(log->open_partition(test_options(i, 256 * 1024)));
  }
  std::vector<Checker> checkers = make_checkers(partitions);
  bool is_right = true;
  for (bool is_last = false; !is_last && is_right;) {
    is_last = shared->is_over;
    for (Checker& checker : checkers) is_right = is_right && checker.advance();
    std::vector<int64_t> positions;
    for (const Checker& checker : checkers) positions.push_back(checker.position());
    log->wait_any(partitions, positions, 10'000);
  }
  ::_exit(is_right ? 0 : 1);
}

class LogKillTest : public ::testing::TestWithParam<Medium> {
 protected:
  LogKillTest()
      : shared_(static_cast<Shared*>(::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                                            MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {}
  ~LogKillTest() override { ::munmap(shared_, sizeof(Shared)); }

  template <typename Role>
  static pid_t start(Role role) {
    const pid_t child = ::fork();
    if (child == 0) role();
    return child;
  }

  pid_t start_writer() {
    const int life = lives_++;
    return start(
        [&] { be_writer(directory_.path(), shared_, life, kSeed + 1000u + unsigned(life)); });
  }

  static constexpr uint64_t kSeed = 20240611;
  TemporaryDirectory directory_{GetParam()};
  Shared* shared_;
  int lives_ = 0;
};

TEST_P(LogKillTest, KilledWritersLoseAndRepeatNothing) {
  // PYSTREAM_KILL_CYCLES: more, for a night.
  const char* wanted = std::getenv("PYSTREAM_KILL_CYCLES");
  const int usual = GetParam() == Medium::kMemory ? 200 : 40;
  const int cycles = std::min(wanted != nullptr ? std::atoi(wanted) : usual, kMaxLives - kWriters);
  std::mt19937_64 random(kSeed);
  std::vector<pid_t> readers;
  for (int i = 0; i < kReaders; ++i) {
    readers.push_back(start([&] { be_reader(directory_.path(), shared_); }));
  }
  std::vector<pid_t> writers;
  for (int i = 0; i < kWriters; ++i) writers.push_back(start_writer());
  for (int cycle = 0; cycle < cycles; ++cycle) {
    ::usleep(static_cast<useconds_t>(random() % 20'000));
    pid_t& victim = writers[random() % kWriters];
    ::kill(victim, SIGKILL);
    ::waitpid(victim, nullptr, 0);
    victim = start_writer();
  }
  for (const pid_t writer : writers) {
    ::kill(writer, SIGKILL);
    ::waitpid(writer, nullptr, 0);
  }
  shared_->is_over = true;
  for (const pid_t reader : readers) {
    int status = 0;
    ::waitpid(reader, &status, 0);
    EXPECT_EQ(status, 0) << "a reader saw a wrong, lost or repeated record";
  }

  const auto log = Log::open(directory_.path());
  int64_t records = 0;
  int64_t unacknowledged = 0;
  for (int32_t p = 0; p < kPartitions; ++p) {
    const auto partition = log->open_partition(test_options(p, 256 * 1024));
    Checker checker(partition->reader(0));
    ASSERT_TRUE(checker.advance());
    for (int life = 0; life < lives_; ++life) {
      const int64_t found = checker.values_of_life(life);
      ASSERT_GE(found, shared_->lives[life].acknowledged[p]) << "life " << life << " lost records";
      ASSERT_LE(found, shared_->lives[life].attempted[p]) << "life " << life;
      records += found;
      unacknowledged += found > shared_->lives[life].acknowledged[p] ? 1 : 0;
    }
    // The log goes on as if nothing had been.
    append_values(*partition, 0);
  }
  EXPECT_GT(records, 0);
  RecordProperty("records", std::to_string(records));
  std::printf("%d writers killed, %lld records, %lld batches published but not acknowledged\n",
              lives_, static_cast<long long>(records), static_cast<long long>(unacknowledged));
}

INSTANTIATE_TEST_SUITE_P(Media, LogKillTest, ::testing::Values(Medium::kMemory, Medium::kDisk),
                         [](const auto& info) {
                           return info.param == Medium::kMemory ? "Memory" : "Disk";
                         });

}  // namespace
}  // namespace pystream::storage
