// What another does to a partition between any two calls of a reader, of a compaction, or of a
// deletion: each call on files in turn is the moment at which it happens, as a whole.

#include <random>

#include "log_compaction_testing.hpp"
#include "torture.hpp"

namespace pystream::storage {
namespace {

using Act = std::function<void(Partition&)>;

LogOptions quiet(std::shared_ptr<FileLayer> files) {
  LogOptions options;
  options.files = std::move(files);
  options.sync_interval_us = 3'600'000'000;
  return options;
}

constexpr uint64_t kCases = 400;  // of each test; some ten seeds

// A partition of some segments that may be compacted and an active one, opened by two logs. Seed 1
// has four segments, with an aborted transaction; others are random.
class Race {
 public:
  explicit Race(uint64_t seed) : random_(seed), files_(std::make_shared<FakeFiles>()) {
    files_->skips_syncs = true;
    const auto others = std::make_shared<FakeFiles>();
    others->skips_syncs = true;
    other_log_ = Log::open(directory_.path(), quiet(others));
    theirs_ = other_log_->open_partition(keyed_options());
    if (seed == 1) fill();
    if (seed != 1) fill_at_random();
    theirs_->end_segment();
    append("x", 0);
    theirs_->sync();  // else the one would wait for the other, which is in the middle of a sync
    log_ = Log::open(directory_.path(), quiet(files_));
    mine_ = log_->open_partition(keyed_options());
  }

  Partition& mine() { return *mine_; }
  int64_t deleted_below() const { return deleted_below_; }  // in the middle of a segment

  // Lets the other log do that before the call of that number from now on, from 1.
  void interrupt(int call, const Act& act) {
    const auto left = std::make_shared<std::atomic<int>>(call);
    files_->set_fail([this, left, act](const std::string&, int) {
      if (left->fetch_sub(1) == 1) {
        has_happened_ = true;
        act(*theirs_);
      }
      return 0;
    });
  }
  // From here on nothing comes between.
  void calm() { files_->set_fail(nullptr); }
  bool has_happened() const { return has_happened_; }

  // What was committed, from an offset on.
  std::vector<Row> committed(int64_t from) const {
    std::vector<Row> rows;
    for (const Row& row : committed_) {
      if (row.offset >= from) rows.push_back(row);
    }
    return rows;
  }

  // Base offsets of the segments that have a file; fails when there is any other file of one.
  std::vector<int64_t> segments() const {
    std::vector<int64_t> bases;
    std::vector<int64_t> indexes;
    for (const auto& entry :
         std::filesystem::directory_iterator(partition_directory(directory_.path()))) {
      const std::filesystem::path& path = entry.path();
      if (path.extension() == ".seg") bases.push_back(std::stoll(path.stem()));
      if (path.extension() == ".index") indexes.push_back(std::stoll(path.stem()));
      EXPECT_NE(path.filename(), kCompactionName);
    }
    std::sort(bases.begin(), bases.end());
    for (const int64_t base : indexes) {
      EXPECT_TRUE(std::binary_search(bases.begin(), bases.end(), base)) << base;
    }
    return bases;
  }

  void expect_sound() {
    calm();
    expect_clean(directory_.path());
  }

 private:
  void fill() {
    append("a", 1);
    append("b", 2, true);  // aborted; the marker is in the last but one segment
    theirs_->end_segment();
    append("c", 3);
    append("e", 4);
    theirs_->end_segment();
    append("a", 4);
    append("b", 5);
    theirs_->end_segment();
    append("c", 6);
    theirs_->end_transaction({1, kProducer, 1, false}, Acks::kPublished);
  }
  // One transaction at a time, which goes on over segments.
  void fill_at_random() {
    int64_t transaction = 0;
    bool is_open = false;
    bool is_aborted = false;
    const auto end_open = [&] {
      if (is_open) theirs_->end_transaction({transaction, kProducer, 1, !is_aborted}, kAcks);
      is_open = false;
    };
    for (uint64_t left = 3 + random_() % 3; left > 0; --left) {
      for (uint64_t records = 1 + random_() % 4; records > 0; --records) {
        if (!is_open && random_() % 3 == 0) {
          is_open = true;
          is_aborted = random_() % 2 == 0;
          ++transaction;
        }
        const std::string key = "key " + std::to_string(random_() % 5);
        const auto value = static_cast<int64_t>(random_() % 100);
        append(key, value, is_open && is_aborted, is_open ? transaction : -1);
        if (random_() % 4 == 0) end_open();
      }
      if (left == 1) end_open();
      if (left > 1) theirs_->end_segment();
    }
    const int64_t end = theirs_->ends().log_end_offset;
    deleted_below_ = 1 + static_cast<int64_t>(random_() % static_cast<uint64_t>(end));
  }
  void append(const std::string& key, int64_t value, bool is_aborted, int64_t transaction) {
    const Row row{theirs_->ends().log_end_offset, key, value};
    EncodedBatch batch = encode({row}, transaction, sequence_++);
    theirs_->append(&batch, kAcks);
    if (!is_aborted) committed_.push_back(row);
  }
  void append(const std::string& key, int64_t value, bool is_aborted = false) {
    append(key, value, is_aborted, is_aborted ? 1 : -1);
  }

  static constexpr Acks kAcks = Acks::kPublished;

  std::mt19937_64 random_;
  TemporaryDirectory directory_{Medium::kMemory};
  std::shared_ptr<FakeFiles> files_;
  std::shared_ptr<Log> other_log_;
  std::shared_ptr<Partition> theirs_;
  std::shared_ptr<Log> log_;
  std::shared_ptr<Partition> mine_;
  std::vector<Row> committed_;
  int64_t sequence_ = 0;
  int64_t deleted_below_ = 5;
  bool has_happened_ = false;
};

void compact(Partition& partition) { partition.compact(at(100)); }

Act deletion(const Race& race) {
  return
      [offset = race.deleted_below()](Partition& partition) { partition.delete_records(offset); };
}

// Goes through `check` with each call of it interrupted; expects that there are so many at least.
template <typename Check>
void at_each_call(int fewest, Check check) {
  for (Torture torture(kCases); torture.goes_on() && !::testing::Test::HasFailure();) {
    const uint64_t seed = torture.next_seed();
    int call = 1;
    for (bool is_reached = true; is_reached && !::testing::Test::HasFailure(); ++call) {
      SCOPED_TRACE("seed " + std::to_string(seed) + ", call " + std::to_string(call));
      Race race(seed);
      check(race, call);
      is_reached = race.has_happened();
      torture.count();
    }
    EXPECT_GT(call, seed == 1 ? fewest : 1);
  }
}

// Rows that a reader was given: committed ones, in order, which leave the table that all of them
// leave.
void expect_read(const std::vector<Row>& rows, const std::vector<Row>& committed) {
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_NE(std::find(committed.begin(), committed.end(), rows[i]), committed.end()) << rows[i];
    if (i > 0) {
      EXPECT_LT(rows[i - 1].offset, rows[i].offset);
    }
  }
  EXPECT_EQ(table_of(rows), table_of(committed));
}

// What is there behind a deletion, whatever was compacted.
void expect_deleted(Race& race) {
  const int64_t start = race.deleted_below();
  EXPECT_EQ(race.mine().ends().log_start_offset, start);
  const std::vector<int64_t> bases = race.segments();
  ASSERT_GE(bases.size(), 1u);
  EXPECT_LE(bases[0], start);
  if (bases.size() > 1) {
    EXPECT_GT(bases[1], start);
  }
  expect_read(read_from(race.mine(), start), race.committed(start));
  race.expect_sound();
}

TEST(LogCompactionRacesTest, AReaderIsGivenEachSegmentAsItWasOrAsItIs) {
  at_each_call(10, [](Race& race, int call) {
    const auto reader = committed_reader(race.mine(), 0);
    race.interrupt(call, compact);
    expect_read(read_on(*reader), race.committed(0));
    EXPECT_EQ(reader->position(), race.mine().ends().log_end_offset);
    race.expect_sound();
  });
}

TEST(LogCompactionRacesTest, AReaderInTheMiddleOfAnAbortedTransactionFindsThatItIsGone) {
  at_each_call(10, [](Race& race, int call) {
    const auto reader = committed_reader(race.mine(), 0);
    std::vector<Row> rows = rows_of(*reader->next());  // has the segment of its records open
    race.interrupt(call, compact);
    for (Row& row : read_on(*reader)) rows.push_back(std::move(row));
    expect_read(rows, race.committed(0));
    EXPECT_EQ(reader->position(), race.mine().ends().log_end_offset);
  });
}

TEST(LogCompactionRacesTest, RecordsThatAreDeletedDuringACompactionStayDeleted) {
  at_each_call(40, [](Race& race, int call) {
    const Act delete_records = deletion(race);
    race.interrupt(call, delete_records);
    compact(race.mine());
    race.calm();
    if (!race.has_happened()) delete_records(race.mine());
    expect_deleted(race);
  });
}

TEST(LogCompactionRacesTest, ACompactionDuringADeletionBringsNothingBack) {
  at_each_call(5, [](Race& race, int call) {
    race.interrupt(call, compact);
    deletion(race)(race.mine());
    expect_deleted(race);
  });
}

}  // namespace
}  // namespace pystream::storage
