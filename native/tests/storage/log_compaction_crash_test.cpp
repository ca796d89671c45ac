// Kills and errors at every call of a compaction, and power losses: no key is lost, none comes
// back.

#include <sys/mman.h>

#include <random>

#include "kill_points.hpp"
#include "log_compaction_testing.hpp"
#include "torture.hpp"
#include "volatile_disk.hpp"

namespace pystream::storage {
namespace {

std::vector<Row> story(int64_t count) {
  std::vector<Row> rows;
  for (int64_t i = 0; i < count; ++i) {
    Row row{i, "key " + std::to_string(i * 7 % 11), i};
    if (i % 9 == 4) row.value.reset();
    rows.push_back(row);
  }
  return rows;
}

struct Progress {
  std::atomic<int64_t> appended;  // acknowledged
  std::atomic<int64_t> stores;
};

void append_story(Partition& partition, int64_t begin, int64_t count) {
  const std::vector<Row> all = story(begin + count);
  for (int64_t i = begin; i < begin + count; i += 4) {
    EncodedBatch batch = encode({all.begin() + i, all.begin() + i + 4}, -1, i);
    partition.append(&batch, Acks::kPublished);
  }
}

// The sizes of a life; seed 1 is what every commit runs.
struct Shape {
  explicit Shape(uint64_t seed) {
    if (seed == 1) return;
    std::mt19937_64 random(seed);
    for (int64_t& count : batches) count = int64_t(1 + random() % 7);
    for (bool& is : is_compacted) is = random() % 2 == 0;
    step_us = random() % 2 == 0 ? 1'000 : 5;
  }
  int64_t batches[4] = {4, 4, 4, 4};  // of each round
  bool is_compacted[4] = {false, true, false, true};
  int64_t step_us = 1'000;  // tombstones stay for 10
};

void live(const std::string& directory, const std::shared_ptr<FileLayer>& files, const Shape& shape,
          Progress* at_) {
  LogOptions options;
  options.files = files;
  options.sync_interval_us = 3'600'000'000;
  const auto log = Log::open(directory, options);
  const auto partition = log->open_partition(keyed_options());
  for (int64_t round = 0; round < 4; ++round) {
    const int64_t count = 4 * shape.batches[round];
    append_story(*partition, at_->appended, count);
    at_->appended += count;
    partition->end_segment();
    if (shape.is_compacted[round]) partition->compact(at(round * shape.step_us, 10));
  }
  leak(log);
  leak(partition);
}

void check(const std::string& directory, const Progress& progress, const LogOptions& options) {
  expect_clean(directory, options.files);
  const auto log = Log::open(directory, options);
  const auto partition = log->open_partition(keyed_options());
  const int64_t end = partition->ends().log_end_offset;
  EXPECT_GE(end, progress.appended);
  EXPECT_EQ(table_of(read_from(*partition, 0)), table_of(story(end)));
  append_story(*partition, end, 4);
  partition->end_segment();
  append_story(*partition, end + 4, 4);
  partition->compact(at(9'000, 10));
  partition->compact(at(10'000, 10));
  EXPECT_EQ(table_of(read_from(*partition, 0)), table_of(story(end + 8)));
  EXPECT_LE(read_from(*partition, 0).size(), 15u);
  EXPECT_FALSE(std::filesystem::exists(partition_directory(directory) + "/" + kCompactionName));
  expect_clean(directory, options.files);
}

TEST(LogCompactionCrashTest, AKillAtAnyCallOrStoreLosesNoKeyAndBringsNoneBack) {
  auto* progress = static_cast<Progress*>(
      ::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  for (Torture torture(1); torture.goes_on() && !::testing::Test::HasFailure();) {
    const uint64_t seed = torture.next_seed();
    const Shape shape(seed);
    const auto life = [&](const std::string& directory, int64_t at) {
      progress->appended = 0;
      live(directory, std::make_shared<KillPoints>(at, &progress->stores), shape, progress);
    };
    const int64_t point = kill_along(seed, &torture, life, [&](const std::string& directory) {
      if (progress->appended == 0) return;
      LogOptions options;
      const auto files = std::make_shared<FakeFiles>();
      files->skips_syncs = true;
      options.files = files;
      check(directory, *progress, options);
    });
    EXPECT_GT(point, seed == 1 ? 300 : 50);
  }
  ::munmap(progress, sizeof(Progress));
}

TEST(LogCompactionCrashTest, AnyCallOfACompactionMayFailAndTheNextOneGoesOn) {
  for (const int error : {EIO, ENOSPC}) {
    for (int first = 1, is_reached = 1; is_reached != 0; ++first) {
      SCOPED_TRACE("call " + std::to_string(first) + ", errno " + std::to_string(error));
      const TemporaryDirectory directory(Medium::kMemory);
      const auto files = std::make_shared<FakeFiles>();
      files->skips_syncs = true;
      LogOptions options;
      options.files = files;
      options.sync_interval_us = 3'600'000'000;
      Progress progress{};
      {
        const auto log = Log::open(directory.path(), options);
        const auto partition = log->open_partition(keyed_options());
        for (int64_t round = 0; round < 3; ++round) {
          append_story(*partition, round * 16, 16);
          partition->end_segment();
        }
        partition->sync();
        append_story(*partition, 48, 4);
        partition->sync();
        progress.appended = 52;
        int calls = 0;
        files->set_fail([&](const std::string&, int) { return ++calls == first ? error : 0; });
        try {
          partition->compact(at(100, 10));
        } catch (const Error& failure) {
          EXPECT_TRUE(failure.code() == ErrorCode::kStorage) << failure.what();
        }
        files->set_fail(nullptr);
        is_reached = calls >= first;
        EXPECT_EQ(table_of(read_from(*partition, 0)), table_of(story(52)));
      }
      ++files->boot[0];
      check(directory.path(), progress, options);
      if (::testing::Test::HasFailure()) return;
    }
  }
}

// --- Power losses ---

// A story that is appended, compacted and cut off, on a disk that keeps any mixture of what was not
// synced. The record timestamp says which sentence a record is.
class PowerLosses {
 public:
  explicit PowerLosses(uint64_t seed) : random_(seed) { start(); }

  void run(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
      const uint64_t action = random_() % 100;
      try {
        if (action < 55) append();
        if (action >= 55 && action < 75) partition_->end_segment();
        if (action >= 75 && action < 90) compact();
      } catch (const Error& error) {
        EXPECT_TRUE(error.code() == ErrorCode::kStorage) << error.what();
        lose_power();
      }
      disk_->observe();
      if (action >= 90) lose_power();
      check();
    }
  }

 private:
  void start() {
    disk_->restart();
    LogOptions options;
    options.files = disk_;
    options.sync_interval_us = 3'600'000'000;
    log_ = Log::open(directory_.path(), options);
    partition_ = log_->open_partition(keyed_options());
    disk_->observe();
  }

  void append() {
    const auto count = static_cast<int64_t>(1 + random_() % 8);
    const std::vector<Row> all = story(told_ + count);
    EncodedBatch batch = encode({all.begin() + told_, all.end()}, -1, told_);
    const bool is_durable = random_() % 4 == 0;
    const int64_t end = told_ + count;
    attempted_ = std::max(attempted_, end);
    partition_->append(&batch, is_durable ? Acks::kDurable : Acks::kPublished);
    told_ = end;
    if (is_durable) durable_ = attempted_ = end;
  }

  // What is compacted is durable; what comes first is a sync of all.
  void compact() {
    if (random_() % 2 == 0) disk_->die_at_call(static_cast<int64_t>(1 + random_() % 30));
    now_us_ += 100;
    partition_->compact(at(now_us_, 150));
  }

  void lose_power() {
    disk_->die();
    partition_.reset();
    log_.reset();
    disk_->lose(directory_.path(), partition_directory(directory_.path()));
    disk_->restart();
    start();
    int64_t last = 0;
    for (const Row& row : read()) last = std::max(last, row.offset + 1);
    EXPECT_GE(std::max(last, compacted_), durable_);
    EXPECT_LE(last, std::max(told_, attempted_));
    told_ = durable_ = std::max({last, durable_, compacted_});
  }

  // With the numbers of sentences for offsets.
  std::vector<Row> read() {
    std::vector<Row> rows;
    const auto reader = partition_->reader(0);
    while (const auto batch = reader->next()) {
      const Array keys = decode_dictionary(batch->column(0));
      const Array values = decode_dictionary(batch->column(1));
      const Array times = decode_dictionary(batch->timestamps());
      for (int64_t row = 0; row < batch->record_count(); ++row) {
        Row found{times.data<int64_t>()[row] / 10, std::string(keys.view(row)), std::nullopt};
        if (values.is_valid(row)) found.value = values.data<int64_t>()[row];
        rows.push_back(found);
      }
    }
    return rows;
  }

  void check() {
    EXPECT_EQ(table_of(read()), table_of(story(told_)));
    if (partition_->ends().durable_offset == partition_->ends().log_end_offset) compacted_ = told_;
  }

  std::mt19937_64 random_;
  const TemporaryDirectory directory_{Medium::kMemory};
  std::shared_ptr<VolatileDisk> disk_ = std::make_shared<VolatileDisk>(&random_);
  std::shared_ptr<Log> log_;
  std::shared_ptr<Partition> partition_;
  int64_t told_ = 0;
  // What failed, or was lost, may be there, and after another loss again: a disk may show what it
  // had in place of what cut it off. Not once a later segment, which says where this one ended, is
  // on it.
  int64_t attempted_ = 0;
  int64_t durable_ = 0;
  int64_t compacted_ = 0;  // all below was durable at some moment
  int64_t now_us_ = 1'000;
};

TEST(LogCompactionCrashTest, PowerLossesLoseNoKeyAndBringNoneBack) {
  for (Torture torture(150); torture.goes_on(); torture.count()) {
    const uint64_t seed = torture.next_seed();
    SCOPED_TRACE("seed " + std::to_string(seed));
    PowerLosses(seed).run(60);
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace pystream::storage
