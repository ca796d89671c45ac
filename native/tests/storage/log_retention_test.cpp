// The log start offset is raised and segments below it are removed: what is kept stays readable,
// what is gone is out of range, views live on, and no crash or error brings the start back.

#include <sys/mman.h>

#include <filesystem>
#include <random>

#include "kill_points.hpp"
#include "log_crash_testing.hpp"
#include "storage/control_page.hpp"
#include "storage/verify.hpp"
#include "torture.hpp"

namespace pystream::storage {
namespace {

constexpr int64_t kSegmentBytes = 16 * 1024;

// What a log of the values 0, 1, 2, ... must be from its log start on, up to the log end offset or,
// where offsets were skipped behind it, to the end of its data.
void expect_values_from_start(Partition& partition, int64_t at_least, int64_t data_end = -1) {
  const PartitionEnds ends = partition.ends();
  EXPECT_GE(ends.log_start_offset, at_least);
  const auto reader = partition.reader(ends.log_start_offset);
  int64_t next = ends.log_start_offset;
  while (const auto batch = reader->next()) {
    const std::vector<int64_t> values = values_of(*batch);
    EXPECT_EQ(batch->next_offset(), batch->base_offset() + batch->record_count());
    const int64_t skipped = std::max<int64_t>(0, next - batch->base_offset());
    for (size_t row = static_cast<size_t>(skipped); row < values.size(); ++row) {
      ASSERT_EQ(values[row], next++);
    }
  }
  EXPECT_EQ(next, data_end < 0 ? ends.log_end_offset : data_end);
}

void expect_clean(const std::string& directory, std::shared_ptr<FileLayer> files = nullptr) {
  PartitionVerifier verifier(directory, "orders", test_options().topic_id, 0, std::move(files));
  while (verifier.step(1 << 20)) {
  }
  for (const Finding& finding : verifier.findings()) {
    EXPECT_TRUE(finding.is_note) << finding.kind << ": " << finding.what;
  }
}

class LogRetentionTest : public ::testing::Test {
 protected:
  void open(LogOptions options = {}) {
    partition_.reset();
    if (log_) log_->close();
    log_ = Log::open(directory_.path(), options);
    partition_ = log_->open_partition(test_options(0, kSegmentBytes));
  }
  // So many batches of 100 values, of which fifteen or so fill a segment.
  void fill(int batches) {
    for (int i = 0; i < batches; ++i) {
      append_values(*partition_, partition_->ends().log_end_offset, 100);
    }
  }
  std::vector<int64_t> segments() const {
    std::vector<int64_t> bases;
    for (const auto& entry :
         std::filesystem::directory_iterator(partition_directory(directory_.path()))) {
      if (entry.path().extension() == ".seg") bases.push_back(std::stoll(entry.path().stem()));
    }
    std::sort(bases.begin(), bases.end());
    return bases;
  }

  TemporaryDirectory directory_{Medium::kMemory};
  std::shared_ptr<Log> log_;
  std::shared_ptr<Partition> partition_;
};

TEST_F(LogRetentionTest, RecordsBelowTheLogStartAreOutOfRangeAndOthersStay) {
  open();
  fill(60);
  const int64_t end = partition_->ends().log_end_offset;
  const auto slow = partition_->reader(0);
  ASSERT_TRUE(slow->next());
  partition_->delete_records(2'345);
  EXPECT_EQ(partition_->ends().log_start_offset, 2'345);
  EXPECT_EQ(partition_->ends().log_end_offset, end);
  expect_error(ErrorCode::kOffsetOutOfRange, "offset 100 is out of range", [&] { slow->next(); });
  expect_error(ErrorCode::kOffsetOutOfRange, "log start offset is 2345",
               [&] { partition_->reader(2'344); });
  expect_values_from_start(*partition_, 2'345);
  slow->seek(2'345);
  EXPECT_EQ(slow->next()->base_offset(), 2'300);
  expect_clean(directory_.path());
}

// Its process died behind the sector and before the page.
TEST_F(LogRetentionTest, ADeletionThatIsDurableIsFinishedByTheNextOneToOpen) {
  open();
  fill(30);
  const auto die_in_deletion = [&](int64_t offset) {
    const std::string path = partition_directory(directory_.path()) + "/control";
    const File file = File::open(std::make_shared<FileLayer>(), path, O_RDWR);
    ControlPage(file, true).write_log_start(file, offset);
  };
  die_in_deletion(1'234);
  EXPECT_EQ(partition_->ends().log_start_offset, 0);
  open();
  EXPECT_EQ(partition_->ends().log_start_offset, 1'234);
  expect_values_from_start(*partition_, 1'234);
  // Nor does one that deletes less take it back.
  die_in_deletion(2'000);
  EXPECT_EQ(partition_->delete_records(1'500).log_start_offset, 2'000);
  EXPECT_EQ(partition_->ends().log_start_offset, 2'000);
  open(after_boot(7));
  expect_values_from_start(*partition_, 2'000);
}

// Who may not write finds what the next writer will.
TEST_F(LogRetentionTest, ADeletionThatIsDurableIsSeenByReadersAndByVerify) {
  open();
  fill(30);
  log_->close();
  const std::string path = partition_directory(directory_.path()) + "/control";
  const File file = File::open(std::make_shared<FileLayer>(), path, O_RDWR);
  ControlPage(file, true).write_log_start(file, 1'234);
  LogOptions options;
  options.read_only = true;
  open(options);
  EXPECT_EQ(partition_->ends().log_start_offset, 1'234);
  expect_values_from_start(*partition_, 1'234);
  EXPECT_THROW(partition_->reader(1'233)->next(), Error);
  PartitionVerifier verifier(directory_.path(), "orders", test_options().topic_id, 0);
  while (verifier.step(1 << 20)) {
  }
  EXPECT_EQ(verifier.summary().log_start_offset, 1'234);
  EXPECT_EQ(verifier.summary().records, 3'000 - 1'234);
  expect_clean(directory_.path());
}

TEST_F(LogRetentionTest, WholeSegmentsGoAndTheActiveOneStays) {
  open();
  fill(60);
  const std::vector<int64_t> before = segments();
  ASSERT_GE(before.size(), 3u);
  const RemovalResult first = partition_->delete_records(before[1] - 1);
  EXPECT_EQ(first.segments, 0);
  EXPECT_EQ(segments(), before);
  const RemovalResult second = partition_->delete_records(before[1]);
  EXPECT_EQ(second.segments, 1);
  EXPECT_GE(second.bytes, kSegmentBytes / 2);
  const RemovalResult all = partition_->delete_records(partition_->ends().log_end_offset);
  EXPECT_EQ(all.segments, static_cast<int64_t>(before.size()) - 2);
  EXPECT_EQ(segments(), std::vector<int64_t>{before.back()});
  EXPECT_TRUE(read_values(*partition_, partition_->ends().log_start_offset).empty());
  fill(30);
  expect_values_from_start(*partition_, 6'000);
  expect_clean(directory_.path());
}

TEST_F(LogRetentionTest, TheActiveSegmentGoesOnceAnotherWasBegun) {
  open();
  fill(3);
  EXPECT_TRUE(partition_->end_segment());
  EXPECT_FALSE(partition_->end_segment());
  partition_->delete_records(300);
  EXPECT_EQ(segments(), std::vector<int64_t>{0});
  fill(1);
  EXPECT_EQ(partition_->delete_records(0).segments, 1);
  EXPECT_EQ(segments(), std::vector<int64_t>{300});
  expect_values_from_start(*partition_, 300);
}

TEST_F(LogRetentionTest, AnOffsetBeyondTheEndIsRefusedAndChangesNothing) {
  open();
  fill(2);
  for (const int64_t offset : {int64_t{201}, INT64_MAX, int64_t{-1}}) {
    expect_error(ErrorCode::kOffsetOutOfRange, "log end offset is 200",
                 [&] { partition_->delete_records(offset); });
  }
  EXPECT_EQ(partition_->ends().log_start_offset, 0);
  LogOptions read_only;
  read_only.read_only = true;
  open(read_only);
  expect_error(ErrorCode::kLog, "opened read-only", [&] { partition_->delete_records(1); });
}

TEST_F(LogRetentionTest, TheLogStartNeverGoesBack) {
  open();
  fill(40);
  partition_->delete_records(3'000);
  EXPECT_EQ(partition_->delete_records(1'000).log_start_offset, 3'000);
  open();
  expect_values_from_start(*partition_, 3'000);
  open(after_boot(7));
  expect_values_from_start(*partition_, 3'000);
  open();
}

TEST_F(LogRetentionTest, ThePageMayBeDamagedAndTheLogStartIsKept) {
  for (const int64_t byte : {8L, 1088L + 8, 1280L, 1288L, 1296L}) {
    open();
    fill(20);
    const int64_t start = partition_->ends().log_end_offset - 150;
    partition_->delete_records(start);
    partition_.reset();
    log_->close();
    flip_bit(partition_directory(directory_.path()) + "/control", byte * 8 + 1);
    open();
    EXPECT_EQ(partition_->ends().log_start_offset, start) << "byte " << byte;
  }
}

TEST_F(LogRetentionTest, ViewsOutliveTheirSegmentsAndAreCounted) {
  open();
  fill(60);
  EXPECT_EQ(partition_->pinned_bytes(), 0);
  std::optional<LogBatch> view = partition_->reader(0)->next();
  const Array column = view->column(0);
  partition_->delete_records(4'000);
  EXPECT_EQ(column.data<int64_t>()[99], 99);
  EXPECT_GE(partition_->pinned_bytes(), kSegmentBytes / 2);
  EXPECT_LE(partition_->pinned_bytes(), 3 * kSegmentBytes);
  const Array late = view->timestamps();  // read only now
  EXPECT_EQ(late.length, 100);
  view.reset();
  EXPECT_GT(partition_->pinned_bytes(), 0) << "the column is a view as well";
}

TEST_F(LogRetentionTest, ReadersOfAnotherProcessAreToldAndNotSurprised) {
  open();
  fill(60);
  const auto other = Log::open(directory_.path());
  const auto theirs = other->open_partition(test_options(0, kSegmentBytes));
  auto reader = theirs->reader(0);
  ASSERT_TRUE(reader->next());
  auto near = theirs->reader(4'999);
  partition_->delete_records(5'000);
  expect_error(ErrorCode::kOffsetOutOfRange, "log start offset is 5000", [&] { reader->next(); });
  expect_error(ErrorCode::kOffsetOutOfRange, "log start offset is 5000", [&] { near->next(); });
  expect_values_from_start(*theirs, 5'000);
  EXPECT_GT(theirs->pinned_bytes(), 0) << "readers are where they were";
  reader.reset();
  near.reset();
  EXPECT_EQ(theirs->pinned_bytes(), 0) << "a process that looks lets go of what was removed";
}

TEST_F(LogRetentionTest, VerifyingGoesOnWhileRecordsAreDeleted) {
  open();
  fill(60);
  PartitionVerifier verifier(directory_.path(), "orders", test_options().topic_id, 0);
  ASSERT_TRUE(verifier.step(1'000));
  partition_->delete_records(3'333);
  ASSERT_TRUE(verifier.step(1'000));
  partition_->delete_records(5'000);
  while (verifier.step(1'000)) {
  }
  for (const Finding& finding : verifier.findings()) {
    EXPECT_TRUE(finding.is_note) << finding.kind << ": " << finding.what;
  }
  EXPECT_EQ(verifier.summary().lost_records, 0);
}

TEST_F(LogRetentionTest, FactsOfSegmentsTellTheirEndsAndAppendTimes) {
  auto clock = std::make_shared<ManualClock>(1'000);
  LogOptions options;
  options.clock = clock;
  open(options);
  for (int i = 0; i < 60; ++i) {
    clock->store(1'000 + (i == 3 ? 900 : i));  // the wall clock jumps
    fill(1);
  }
  const std::vector<SegmentFacts> facts = partition_->segment_facts();
  ASSERT_EQ(facts.size(), segments().size());
  EXPECT_EQ(facts[0].last_append_us, 1'900);
  EXPECT_EQ(facts.back().last_append_us, 1'059);
  EXPECT_TRUE(facts.back().is_active);
  EXPECT_EQ(facts.back().end_offset, 6'000);
  for (size_t i = 1; i < facts.size(); ++i) {
    EXPECT_EQ(facts[i].base_offset, facts[i - 1].end_offset);
    EXPECT_FALSE(facts[i - 1].is_active);
  }
  partition_->delete_records(facts[1].end_offset);
  EXPECT_EQ(partition_->segment_facts().size(), facts.size() - 2);
}

// The sizes of a life; seed 1 is what every commit runs.
struct Shape {
  explicit Shape(uint64_t seed) {
    if (seed == 1) return;
    std::mt19937_64 random(seed);
    batches = int64_t(4 + random() % 14);
    batch = int64_t(50 + random() % 450);
    delete_every = int64_t(1 + random() % 5);
    kept = int64_t(random() % 1'500);
  }
  int64_t batches = 16;
  int64_t batch = 400;
  int64_t delete_every = 5;
  int64_t kept = 1'050;  // records that a deletion leaves
};

// A life of appends and deletions, that says in shared memory how far it came.
struct Progress {
  std::atomic<int64_t> appended;  // acknowledged
  std::atomic<int64_t> attempted;
  std::atomic<int64_t> deleted_to;  // acknowledged
  std::atomic<int64_t> deleting_to;
  std::atomic<int64_t> stores;
};

void live(const std::string& directory, const std::shared_ptr<FileLayer>& files, const Shape& shape,
          Progress* at) {
  LogOptions options;
  options.files = files;
  options.sync_interval_us = 3'600'000'000;
  const auto log = Log::open(directory, options);
  const auto partition = log->open_partition(test_options(0, kSegmentBytes));
  for (int64_t i = 1; i <= shape.batches; ++i) {
    const int64_t next = at->attempted;
    at->attempted = next + shape.batch;
    append_values(*partition, next, shape.batch);
    at->appended = next + shape.batch;
    if (i % shape.delete_every != 0) continue;
    at->deleting_to = std::max<int64_t>(at->deleting_to, next + shape.batch - shape.kept);
    if (i % (2 * shape.delete_every) == 0) partition->end_segment();
    partition->delete_records(at->deleting_to);
    at->deleted_to = at->deleting_to.load();
  }
  leak(log);
  leak(partition);
}

void check(const std::string& directory, const Progress& at) {
  const auto files = std::make_shared<FakeFiles>();  // the same boot
  files->skips_syncs = true;
  LogOptions options;
  options.files = files;
  expect_clean(directory, files);
  const auto log = Log::open(directory, options);
  const auto partition = log->open_partition(test_options(0, kSegmentBytes));
  const PartitionEnds ends = partition->ends();
  EXPECT_GE(ends.log_start_offset, at.deleted_to);
  EXPECT_LE(ends.log_start_offset, at.deleting_to);
  EXPECT_GE(ends.log_end_offset, at.appended);
  EXPECT_LE(ends.log_end_offset, at.attempted);
  expect_values_from_start(*partition, at.deleted_to);
  append_values(*partition, partition->ends().log_end_offset, 100);
  partition->delete_records(ends.log_start_offset);
  expect_values_from_start(*partition, at.deleted_to);
}

TEST(LogRetentionCrashTest, AKillAtAnyCallOrStoreLeavesTheOldStartOrTheNewOne) {
  auto* at = static_cast<Progress*>(
      ::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  for (Torture torture(1); torture.goes_on() && !::testing::Test::HasFailure();) {
    const uint64_t seed = torture.next_seed();
    const Shape shape(seed);
    const auto life = [&](const std::string& directory, int64_t point) {
      *reinterpret_cast<std::array<int64_t, 5>*>(at) = {};
      live(directory, std::make_shared<KillPoints>(point, &at->stores), shape, at);
    };
    const int64_t point = kill_along(seed, &torture, life, [&](const std::string& directory) {
      if (at->attempted > 0) check(directory, *at);
    });
    EXPECT_GT(point, seed == 1 ? 300 : 20);
  }
  ::munmap(at, sizeof(Progress));
}

TEST(LogRetentionCrashTest, AnyCallOfADeletionMayFailAndTheNextOneGoesOn) {
  for (const int error : {EIO, ENOSPC}) {
    for (int first = 1, is_reached = 1; is_reached != 0; ++first) {
      SCOPED_TRACE("call " + std::to_string(first) + ", errno " + std::to_string(error));
      const TemporaryDirectory directory(Medium::kMemory);
      const auto files = std::make_shared<FakeFiles>();
      files->skips_syncs = true;
      LogOptions options;
      options.files = files;
      options.sync_interval_us = 3'600'000'000;
      auto log = Log::open(directory.path(), options);
      auto partition = log->open_partition(test_options(0, kSegmentBytes));
      for (int64_t i = 0; i < 40; ++i) append_values(*partition, i * 100, 100);
      int calls = 0;
      files->set_fail([&](const std::string&, int) { return ++calls == first ? error : 0; });
      bool has_failed = false;
      try {
        partition->delete_records(3'333);
      } catch (const Error& failure) {
        EXPECT_EQ(static_cast<int>(failure.code()), static_cast<int>(ErrorCode::kStorage));
        has_failed = true;
      }
      files->set_fail(nullptr);
      is_reached = calls >= first;
      const int64_t start = partition->ends().log_start_offset;
      EXPECT_TRUE(start == 3'333 || (has_failed && start == 0)) << start;
      expect_values_from_start(*partition, start);
      try {  // a sync that failed needs another boot
        partition->delete_records(3'500);
      } catch (const Error&) {
        EXPECT_TRUE(has_failed);
      }
      partition.reset();
      log.reset();
      ++files->boot[0];
      log = Log::open(directory.path(), options);
      partition = log->open_partition(test_options(0, kSegmentBytes));
      EXPECT_GE(partition->ends().log_start_offset, start);
      expect_values_from_start(*partition, start, 4'000);
      partition->delete_records(3'600);
      expect_values_from_start(*partition, 3'600, 4'000);
      if (::testing::Test::HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace pystream::storage
