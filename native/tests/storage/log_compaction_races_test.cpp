// What another does to a partition between any two calls of a reader, of a compaction, or of a
// deletion: each call on files in turn is the moment at which it happens, as a whole.

#include "log_compaction_testing.hpp"

namespace pystream::storage {
namespace {

using Act = std::function<void(Partition&)>;

constexpr int64_t kDeletedBelow = 5;  // in the middle of a segment

LogOptions quiet(std::shared_ptr<FileLayer> files) {
  LogOptions options;
  options.files = std::move(files);
  options.sync_interval_us = 3'600'000'000;
  return options;
}

// A partition of four segments that may be compacted and an active one, opened by two logs.
class Race {
 public:
  Race() : files_(std::make_shared<FakeFiles>()) {
    files_->skips_syncs = true;
    const auto others = std::make_shared<FakeFiles>();
    others->skips_syncs = true;
    other_log_ = Log::open(directory_.path(), quiet(others));
    theirs_ = other_log_->open_partition(keyed_options());
    fill();
    log_ = Log::open(directory_.path(), quiet(files_));
    mine_ = log_->open_partition(keyed_options());
  }

  Partition& mine() { return *mine_; }

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
    theirs_->end_segment();
    append("x", 0);
    theirs_->sync();  // else the one would wait for the other, which is in the middle of a sync
  }
  void append(const std::string& key, int64_t value, bool is_aborted = false) {
    const Row row{theirs_->ends().log_end_offset, key, value};
    EncodedBatch batch = encode({row}, is_aborted ? 1 : -1, sequence_++);
    theirs_->append(&batch, Acks::kPublished);
    if (!is_aborted) committed_.push_back(row);
  }

  TemporaryDirectory directory_{Medium::kMemory};
  std::shared_ptr<FakeFiles> files_;
  std::shared_ptr<Log> other_log_;
  std::shared_ptr<Partition> theirs_;
  std::shared_ptr<Log> log_;
  std::shared_ptr<Partition> mine_;
  std::vector<Row> committed_;
  int64_t sequence_ = 0;
  bool has_happened_ = false;
};

void compact(Partition& partition) { partition.compact(at(100)); }
void delete_records(Partition& partition) { partition.delete_records(kDeletedBelow); }

// Goes through `check` with each call of it interrupted; returns how many there are.
template <typename Check>
int at_each_call(Check check) {
  int call = 1;
  for (bool is_reached = true; is_reached && !::testing::Test::HasFailure(); ++call) {
    SCOPED_TRACE("call " + std::to_string(call));
    Race race;
    check(race, call);
    is_reached = race.has_happened();
  }
  return call;
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

TEST(LogCompactionRacesTest, AReaderIsGivenEachSegmentAsItWasOrAsItIs) {
  const int calls = at_each_call([](Race& race, int call) {
    const auto reader = committed_reader(race.mine(), 0);
    race.interrupt(call, compact);
    expect_read(read_on(*reader), race.committed(0));
    EXPECT_EQ(reader->position(), race.mine().ends().log_end_offset);
    race.expect_sound();
  });
  EXPECT_GT(calls, 10);
}

TEST(LogCompactionRacesTest, AReaderInTheMiddleOfAnAbortedTransactionFindsThatItIsGone) {
  const int calls = at_each_call([](Race& race, int call) {
    const auto reader = committed_reader(race.mine(), 0);
    std::vector<Row> rows = rows_of(*reader->next());  // has the segment of its records open
    race.interrupt(call, compact);
    for (Row& row : read_on(*reader)) rows.push_back(std::move(row));
    expect_read(rows, race.committed(0));
    EXPECT_EQ(reader->position(), race.mine().ends().log_end_offset);
  });
  EXPECT_GT(calls, 10);
}

TEST(LogCompactionRacesTest, RecordsThatAreDeletedDuringACompactionStayDeleted) {
  const int calls = at_each_call([](Race& race, int call) {
    race.interrupt(call, delete_records);
    compact(race.mine());
    race.calm();
    if (!race.has_happened()) delete_records(race.mine());
    EXPECT_EQ(race.mine().ends().log_start_offset, kDeletedBelow);
    EXPECT_EQ(race.segments(), (std::vector<int64_t>{4, 6, 8}));
    expect_read(read_from(race.mine(), kDeletedBelow), race.committed(kDeletedBelow));
    race.expect_sound();
  });
  EXPECT_GT(calls, 40);
}

TEST(LogCompactionRacesTest, ACompactionDuringADeletionBringsNothingBack) {
  const int calls = at_each_call([](Race& race, int call) {
    race.interrupt(call, compact);
    delete_records(race.mine());
    EXPECT_EQ(race.mine().ends().log_start_offset, kDeletedBelow);
    EXPECT_EQ(race.segments(), (std::vector<int64_t>{4, 6, 8}));
    expect_read(read_from(race.mine(), kDeletedBelow), race.committed(kDeletedBelow));
    race.expect_sound();
  });
  EXPECT_GT(calls, 5);
}

}  // namespace
}  // namespace pystream::storage
