// Compacted segments that are damaged, repaired and backed up.

#include <memory>
#include <span>

#include "log_compaction_testing.hpp"
#include "storage/repair.hpp"
#include "torture.hpp"

namespace pystream::storage {
namespace {

using LogCompactionFilesTest = LogCompactionTest;

TEST_F(LogCompactionFilesTest, DamageIsNamedAndNothingIsChanged) {
  append("a", 1);
  append("a", 2);
  seal();
  append("a", 3);
  seal();
  append("x", 0);
  const int64_t position = batch_positions(*partition_)[1];
  open();
  flip_bit(segment_file(directory_.path(), 0), (position + 40) * 8);
  open();
  const std::string before = read_bytes(segment_file(directory_.path(), 2));
  expect_error(ErrorCode::kCorruptRecord, "cannot be compacted",
               [&] { partition_->compact(at(9)); });
  EXPECT_EQ(read_bytes(segment_file(directory_.path(), 2)), before);
}

TEST_F(LogCompactionFilesTest, ARepairKeepsGapsAndWhatIsSound) {
  for (int round = 0; round < 4; ++round) {
    append({{0, "a", round}, {0, "b", round}, {0, "k" + std::to_string(round), round}});
    append("last " + std::to_string(round), round);
    seal();
  }
  append("x", 9);
  partition_->compact(at(100));
  partition_->sync();
  const std::vector<Row> before = read_from(*partition_, 0);
  const int64_t position = partition_->reader(4)->next()->place().file_position;
  const std::string path = partition_->reader(4)->next()->place().path;
  partition_.reset();
  log_->close();
  log_.reset();
  flip_bit(path, (position + 40) * 8);
  const TemporaryDirectory quarantine(Medium::kMemory);
  LogRepair(directory_.path(), quarantine.path())
      .repair_partition("orders", test_options().topic_id, 0);
  expect_clean(directory_.path());
  open();
  std::vector<Row> wanted = before;
  std::erase_if(wanted, [](const Row& row) { return row.offset >= 4 && row.offset < 7; });
  EXPECT_EQ(read_from(*partition_, 0), wanted);
}

class LogCompactionBackupTest : public LogCompactionTest {
 protected:
  BackupResult back_up(uint64_t cut) {
    copy_ = std::make_unique<TemporaryDirectory>(Medium::kMemory);
    const std::string place = partition_directory(copy_->path());
    std::filesystem::create_directories(place);
    return partition_->backup(place, cut);
  }
  uint64_t cut() { return log_->cut(std::span(&partition_, 1)); }
  std::vector<Row> restored() {
    const auto other = Log::open(copy_->path());
    return read_from(*other->open_partition(keyed_options()), 0);
  }

  std::unique_ptr<TemporaryDirectory> copy_;
};

TEST_F(LogCompactionBackupTest, ABackupHasTheGapsToo) {
  for (int round = 0; round < 3; ++round) {
    append({{0, "a", round}, {0, "b", round}});
    seal();
  }
  append("x", 9);
  partition_->compact(at(100));
  EXPECT_FALSE(back_up(cut()).is_outdated);
  EXPECT_EQ(restored(), read_from(*partition_, 0));
}

TEST_F(LogCompactionBackupTest, RecordsThatGaveWayToOnesBehindTheCutMakeABackupOutdated) {
  append("a", 1);
  append("b", 2);
  seal();
  const uint64_t before = cut();
  append("a", 3);  // behind the cut, and the only one of its key then
  seal();
  append("x", 0);
  EXPECT_FALSE(back_up(before).is_outdated);
  EXPECT_EQ(restored(), (std::vector<Row>{{0, "a", 1}, {1, "b", 2}}));
  partition_->compact(at(100));
  EXPECT_TRUE(back_up(before).is_outdated);
  EXPECT_FALSE(back_up(cut()).is_outdated);
  EXPECT_EQ(restored(), (std::vector<Row>{{1, "b", 2}, {2, "a", 3}, {3, "x", 0}}));
}

TEST_F(LogCompactionBackupTest, ACompactionThatWasCutShortMakesABackupOutdatedToo) {
  const auto files = std::make_shared<FakeFiles>();
  LogOptions options;
  options.files = files;
  open(options);
  append("a", 1);
  seal();
  append("b", 2);
  const uint64_t before = cut();
  append("a", 3);
  seal();
  append("x", 0);
  partition_->sync();
  partition_->segment_facts();  // time indexes are named, too
  int renames = 0;              // the segment with the cut stays as it is
  files->set_fail(
      [&](const std::string& call, int) { return call == "rename" && ++renames == 2 ? EIO : 0; });
  expect_error(ErrorCode::kStorage, "cannot name", [&] { partition_->compact(at(100)); });
  files->set_fail(nullptr);
  EXPECT_TRUE(back_up(before).is_outdated);
  EXPECT_FALSE(back_up(cut()).is_outdated);
  EXPECT_EQ(table_of(restored()), table_of(read_from(*partition_, 0)));
}

TEST_F(LogCompactionBackupTest, ATransactionThatIsDecidedBehindTheCutSupersedesNothingInIt) {
  append("a", 1);
  seal();
  append("a", 2, 1);
  seal();
  append("x", 0);
  const uint64_t before = cut();
  partition_->end_transaction({1, kProducer, 1, true}, Acks::kPublished);
  partition_->compact(at(100));
  EXPECT_EQ(read_from(*partition_, 0), (std::vector<Row>{{1, "a", 2}, {2, "x", 0}}));
  EXPECT_TRUE(back_up(before).is_outdated);
  EXPECT_FALSE(back_up(cut()).is_outdated);
}

TEST_F(LogCompactionBackupTest, ASegmentOfWhichNothingIsLeftIsNoReasonToLookFurtherBack) {
  append("a", 1);
  seal();
  append("b", 2);
  const uint64_t before = cut();
  append("b", 3);
  seal();
  append("b", 4);
  seal();
  append("x", 0);
  partition_->compact(at(100));
  EXPECT_TRUE(back_up(before).is_outdated);
}

}  // namespace
}  // namespace pystream::storage
