// Finding records by time: the first one at or after it, whatever the order of times, in any
// segment, with and without index files, and what becomes of damaged ones.

#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <random>

#include "log_crash_testing.hpp"
#include "storage/time_index.hpp"

namespace pystream::storage {
namespace {

SchemaPtr timed_schema() {
  static const SchemaPtr schema = std::make_shared<const Schema>(
      Schema{{Field{"at", DataType::timestamp(TimeUnit::kMilli), true},
              Field{"day", DataType::of(TypeId::kDate32), true},
              Field{"value", DataType::of(TypeId::kFloat64), true}}});
  return schema;
}

// A record: its timestamp, and its time in the columns; null where there is none.
struct Times {
  int64_t timestamp;
  std::optional<int64_t> at;
  std::optional<int32_t> day;
};

EncodedBatch encode_times(const std::vector<Times>& rows) {
  const auto count = static_cast<int64_t>(rows.size());
  FixedBuilder<int64_t> at(timed_schema()->fields[0].type);
  FixedBuilder<int32_t> day(DataType::of(TypeId::kDate32));
  FixedBuilder<double> value(DataType::of(TypeId::kFloat64));
  FixedBuilder<int64_t> stamps(DataType::of(TypeId::kInt64));
  for (const Times& row : rows) {
    row.at ? at.append(*row.at) : at.append_null();
    row.day ? day.append(*row.day) : day.append_null();
    value.append(0.5);
    stamps.append(row.timestamp);
  }
  EncodeOptions options;
  options.schema_id = 1;
  Timestamps timestamps;
  timestamps.per_record = stamps.finish();
  return encode_batch({timed_schema(), count, {at.finish(), day.finish(), value.finish()}},
                      timestamps, nullptr, options);
}

class TimeLookupTest : public ::testing::Test {
 protected:
  void open(bool read_only = false) {
    partition_.reset();
    if (log_) log_->close();
    LogOptions options;
    options.read_only = read_only;
    options.files = files_;
    log_ = Log::open(directory_.path(), options);
    PartitionOptions partition = test_options(0, 16 * 1024);
    partition.schema = timed_schema();
    partition_ = log_->open_partition(partition);
  }
  void append(const std::vector<Times>& rows) {
    EncodedBatch batch = encode_times(rows);
    partition_->append(&batch, Acks::kPublished);
    rows_.insert(rows_.end(), rows.begin(), rows.end());
  }
  // So many batches of random times that rise by and by, from `begin` on.
  void fill(int batches, uint64_t seed, int64_t begin = 0) {
    std::mt19937_64 random(seed);
    for (int i = 0; i < batches; ++i) {
      std::vector<Times> rows;
      for (uint64_t n = 1 + random() % 40; n > 0; --n) {
        const int64_t now = begin + static_cast<int64_t>(rows_.size() + rows.size()) * 10;
        Times row{now + static_cast<int64_t>(random() % 3'000), std::nullopt, std::nullopt};
        if (random() % 4 != 0) row.at = now - static_cast<int64_t>(random() % 3'000);
        if (random() % 3 == 0) row.day = static_cast<int32_t>(now / 100);
        rows.push_back(row);
      }
      append(rows);
    }
  }
  // What a look at each record gives.
  std::optional<int64_t> expected(uint16_t column, int64_t value) const {
    for (size_t i = 0; i < rows_.size(); ++i) {
      const Times& row = rows_[i];
      std::optional<int64_t> time = row.timestamp;
      if (column == 0) time = row.at;
      if (column == 1) time = row.day;
      if (time && *time >= value) return static_cast<int64_t>(i);
    }
    return std::nullopt;
  }
  void check_all() {
    for (const uint16_t column : {kTimestampColumn, uint16_t{0}, uint16_t{1}}) {
      const int64_t last = static_cast<int64_t>(rows_.size()) * 10 + 4'000;
      for (int64_t value = -4'000; value <= last; value += 97) {
        const auto found = partition_->find_time(column, value);
        const auto wanted = expected(column, value);
        ASSERT_EQ(found.has_value(), wanted.has_value()) << column << " from " << value;
        if (!found) continue;
        ASSERT_EQ(found->offset, *wanted) << column << " from " << value;
        ASSERT_GE(found->time, value);
      }
    }
  }
  std::vector<std::string> index_files() const {
    std::vector<std::string> found;
    for (const auto& entry :
         std::filesystem::directory_iterator(partition_directory(directory_.path()))) {
      if (entry.path().extension() == ".index") found.push_back(entry.path());
    }
    return found;
  }

  TemporaryDirectory directory_{Medium::kMemory};
  std::shared_ptr<FakeFiles> files_ = std::make_shared<FakeFiles>();
  std::shared_ptr<Log> log_;
  std::shared_ptr<Partition> partition_;
  std::vector<Times> rows_;
};

TEST_F(TimeLookupTest, AnEmptyPartitionHasNoTime) {
  open();
  EXPECT_FALSE(partition_->find_time(kTimestampColumn, 0));
}

TEST_F(TimeLookupTest, TheFirstRecordAtOrAfterTheTimeIsFoundNotTheNearest) {
  open();
  append({{100, 7, std::nullopt}, {300, std::nullopt, 3}, {200, 5, std::nullopt}});
  append({{250, std::nullopt, std::nullopt}, {400, 9, 4}});
  const auto at = [&](uint16_t column, int64_t value) {
    const auto found = partition_->find_time(column, value);
    return found ? found->offset : -1;
  };
  EXPECT_EQ(at(kTimestampColumn, 100), 0);
  EXPECT_EQ(at(kTimestampColumn, 101), 1);
  EXPECT_EQ(at(kTimestampColumn, 301), 4);
  EXPECT_EQ(at(kTimestampColumn, 401), -1);
  EXPECT_EQ(at(0, 6), 0);
  EXPECT_EQ(at(0, 8), 4);
  EXPECT_EQ(at(1, -5), 1);
  EXPECT_EQ(at(1, 4), 4);
  EXPECT_EQ(partition_->find_time(1, 4)->time, 4);
}

TEST_F(TimeLookupTest, EveryAnswerIsThatOfALookAtEachRecord) {
  open();
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    fill(60, seed);
    check_all();
  }
  EXPECT_GT(index_files().size(), 3u);
  open(true);
  check_all();
}

TEST_F(TimeLookupTest, ALogThatIsReadOnlyAnswersAndWritesNothing) {
  open();
  fill(120, 5);
  open(true);
  check_all();
  EXPECT_TRUE(index_files().empty());
}

TEST_F(TimeLookupTest, ASecondProcessReadsIndexFilesInsteadOfBatches) {
  open();
  fill(200, 6);
  check_all();
  open();
  files_->calls.clear();
  ASSERT_FALSE(partition_->find_time(kTimestampColumn, 1 << 30));
  // The active segment is mapped when the partition is opened.
  EXPECT_EQ(files_->calls["map_shared"], 0) << "batches of a sealed segment were looked at";
}

TEST_F(TimeLookupTest, AnIndexFileThatIsDamagedIsMadeAgain) {
  open();
  fill(100, 7);
  check_all();
  const std::vector<std::string> paths = index_files();
  ASSERT_FALSE(paths.empty());
  std::mt19937_64 random(8);
  for (const std::string& path : paths) {
    const std::string whole = read_bytes(path);
    const auto check_one = [&] {
      open();
      const int64_t value = static_cast<int64_t>(random() % (rows_.size() * 10));
      const auto found = partition_->find_time(kTimestampColumn, value);
      const auto wanted = expected(kTimestampColumn, value);
      ASSERT_EQ(found.has_value(), wanted.has_value());
      if (found) {
        ASSERT_EQ(found->offset, *wanted);
      }
    };
    for (int i = 0; i < 20; ++i) {
      flip_bit(path, static_cast<int64_t>(random() % (whole.size() * 8)));
      check_one();
      std::ofstream(path, std::ios::binary) << whole;
    }
    for (const size_t length : {size_t{0}, size_t{63}, size_t{64}, whole.size() - 1}) {
      std::ofstream(path, std::ios::binary) << whole.substr(0, length);
      check_one();
    }
  }
}

TEST_F(TimeLookupTest, AnIndexFileOfAnotherSegmentCountsForNothing) {
  open();
  fill(100, 9);
  check_all();
  const std::vector<std::string> paths = index_files();
  ASSERT_GE(paths.size(), 2u);
  for (size_t i = 1; i < paths.size(); ++i) {
    std::filesystem::copy_file(paths[0], paths[i],
                               std::filesystem::copy_options::overwrite_existing);
  }
  open();
  check_all();
}

// As where segments were put back from a copy of another log: the same offsets, other records.
TEST_F(TimeLookupTest, AnIndexFileOfTheSameOffsetsInAnotherLogCountsForNothing) {
  constexpr int64_t kLater = 2'500;
  open();
  fill(100, 10);
  check_all();
  std::map<std::string, std::string> others;
  for (const std::string& path : index_files()) others[path] = read_bytes(path);
  ASSERT_GE(others.size(), 2u);
  partition_.reset();
  log_->close();
  std::filesystem::remove_all(directory_ / "topics");
  std::filesystem::remove(directory_ / "order");
  rows_.clear();
  open();
  fill(100, 10, kLater);  // of which the files say that they end before
  for (const auto& [path, bytes] : others) {
    ASSERT_TRUE(std::filesystem::exists(path.substr(0, path.rfind('.')) + ".seg"));
    std::ofstream(path, std::ios::binary) << bytes;
  }
  check_all();
}

TEST_F(TimeLookupTest, AFullDiskCostsTheIndexAndNotTheAnswer) {
  open();
  fill(100, 10);
  files_->fail = [](const std::string& call, int) { return call == "pwritev" ? ENOSPC : 0; };
  check_all();
  EXPECT_TRUE(index_files().empty());
}

// As when the process that deletes them is killed before it has removed their files.
TEST_F(TimeLookupTest, DeletedRecordsAreNotFoundWhileTheirFilesAreThere) {
  open();
  fill(100, 12);
  check_all();
  ASSERT_GE(index_files().size(), 4u);
  files_->set_fail([](const std::string& call, int) { return call == "unlink" ? EIO : 0; });
  const auto deleted = static_cast<int64_t>(rows_.size()) * 3 / 4;
  expect_error(ErrorCode::kStorage, "cannot remove", [&] { partition_->delete_records(deleted); });
  for (size_t i = 0; i < static_cast<size_t>(deleted); ++i) {
    rows_[i] = {-1'000'000, std::nullopt, std::nullopt};
  }
  check_all();
}

TEST_F(TimeLookupTest, AnIndexFileIsNotMadeForASegmentThatIsDeletedMeanwhile) {
  open();
  fill(100, 14);
  LogOptions options;
  options.files = std::make_shared<FakeFiles>();
  const auto other = Log::open(directory_.path(), options);
  const auto theirs = other->open_partition(partition_->options());
  const int64_t deleted = partition_->ends().log_end_offset / 2;
  bool has_deleted = false;
  files_->set_fail([&](const std::string& call, int) {
    if (call == "rename" && !std::exchange(has_deleted, true)) theirs->delete_records(deleted);
    return 0;
  });
  for (size_t i = 0; i < static_cast<size_t>(deleted); ++i) {
    rows_[i] = {-1'000'000, std::nullopt, std::nullopt};
  }
  check_all();
  EXPECT_TRUE(has_deleted);
  for (const std::string& path : index_files()) {
    const auto segment = std::filesystem::path(path).replace_extension(".seg");
    EXPECT_TRUE(std::filesystem::exists(segment)) << path;
  }
}

TEST_F(TimeLookupTest, TheEarliestTimeIsThatOfTheFirstRecordWithOne) {
  open();
  for (int i = 0; i < 60; ++i) append(std::vector<Times>(30, {INT64_MIN, {}, {}}));
  fill(100, 13);
  ASSERT_GT(partition_->segment_facts().size(), 5u);
  for (const uint16_t column : {kTimestampColumn, uint16_t{0}, uint16_t{1}}) {
    const auto found = partition_->find_time(column, INT64_MIN);
    ASSERT_TRUE(found) << column;
    EXPECT_EQ(found->offset, expected(column, INT64_MIN)) << column;
  }
}

TEST_F(TimeLookupTest, RecordsThatCannotBeReadAreSteppedOver) {
  open();
  fill(100, 11);
  const auto reader = partition_->reader(0);
  const auto first = reader->next();
  const auto second = reader->next();
  open();
  flip_bit(segment_file(directory_.path(), 0), second->place().file_position * 8 + 24 * 8);
  open();
  for (size_t i = static_cast<size_t>(second->base_offset());
       i < static_cast<size_t>(second->next_offset()); ++i) {
    rows_[i] = {-1'000'000, std::nullopt, std::nullopt};
  }
  check_all();
  EXPECT_FALSE(std::filesystem::exists(
      TimeIndex::path_of({"", {}, 0, partition_directory(directory_.path()), nullptr}, 0)));
}

}  // namespace
}  // namespace pystream::storage
