// Opening after a power loss, in a copy, and with damaged files. A power loss is a process that
// dies, another boot id, and bytes that did not reach the disk.

#include "log_crash_testing.hpp"

namespace pystream::storage {
namespace {

constexpr int64_t kLease = int64_t{1} << 20;

class LogRecoveryTest : public ::testing::Test {
 protected:
  // A writer that appends batches of 10 and is gone; `synced` of them are durable.
  void write_and_die(int64_t batches, int64_t synced, int64_t segment_bytes = 1 << 20) {
    ASSERT_TRUE(run_and_die([&] {
      LogOptions options = after_boot(1);
      options.sync_interval_us = 3'600'000'000;
      const auto log = Log::open(directory_.path(), options);
      leak(log);
      const auto partition = log->open_partition(test_options(0, segment_bytes));
      for (int64_t i = 0; i < batches; ++i) {
        append_values(*partition, 10 * i, 10);
        if (i + 1 == synced) partition->sync();
      }
    }));
  }

  std::shared_ptr<Partition> open(uint8_t boot, int64_t segment_bytes = 1 << 20) {
    log_ = Log::open(directory_.path(), after_boot(boot));
    return log_->open_partition(test_options(0, segment_bytes));
  }

  std::vector<int64_t> positions_of_intact_log() {
    const auto log = Log::open(directory_.path(), after_boot(1));
    return batch_positions(*log->open_partition(test_options()));
  }

  TemporaryDirectory directory_{Medium::kMemory};
  std::shared_ptr<Log> log_;
};

TEST_F(LogRecoveryTest, ADeadWriterNeedsNoRecoveryInTheSameBoot) {
  write_and_die(5, 0);
  const auto partition = open(1);
  EXPECT_EQ(partition->recovery().kind, RecoveryReport::Kind::kNone);
  EXPECT_EQ(append_values(*partition, 50, 10).base_offset, 50);
  EXPECT_EQ(read_values(*partition), iota(0, 60));
}

TEST_F(LogRecoveryTest, AfterAPowerLossOffsetsAreSkippedAndNeverReused) {
  write_and_die(5, 0);
  const auto partition = open(2);
  EXPECT_EQ(partition->recovery().kind, RecoveryReport::Kind::kRecovered);
  EXPECT_EQ(partition->recovery().torn_bytes, 0);
  const PartitionEnds ends = partition->ends();
  EXPECT_GE(ends.log_end_offset, kLease);
  EXPECT_EQ(ends.durable_offset, ends.log_end_offset);
  EXPECT_FALSE(partition->reader(ends.log_end_offset)->next().has_value());
  const AppendResult result = append_values(*partition, 50, 10);
  EXPECT_EQ(result.base_offset, ends.log_end_offset);
  EXPECT_GT(result.append_sequence, uint64_t{1} << 32);
  EXPECT_EQ(read_values(*partition), iota(0, 60));
  // From inside the gap, reading goes on behind it.
  EXPECT_EQ(read_values(*partition, 1000), iota(50, 10));
}

TEST_F(LogRecoveryTest, AfterACleanCloseNothingIsSkipped) {
  {
    const auto log = Log::open(directory_.path(), after_boot(1));
    append_values(*log->open_partition(test_options()), 0, 10);
    log->close();
  }
  const auto partition = open(2);
  EXPECT_EQ(partition->ends().log_end_offset, 10);
  EXPECT_EQ(append_values(*partition, 10, 10).base_offset, 10);
  EXPECT_EQ(read_values(*partition), iota(0, 20));
}

TEST_F(LogRecoveryTest, ATailTornAtAnyByteLosesItsBatchAlone) {
  write_and_die(4, 0);
  const std::vector<int64_t> at = positions_of_intact_log();
  const std::string path = segment_file(directory_.path(), 0);
  const std::string intact = read_bytes(path);
  uint8_t boot = 2;
  for (int64_t cut = at[2]; cut < at[4]; ++cut) {
    for (const char filler : {'\0', '\xFF', 'x'}) {
      std::filesystem::remove(partition_directory(directory_.path()) + "/control");
      for (const auto& entry :
           std::filesystem::directory_iterator(partition_directory(directory_.path()))) {
        if (entry.path().extension() == ".seg" && entry.path() != path) {
          std::filesystem::remove(entry.path());
        }
      }
      std::string torn = intact;
      std::fill(torn.begin() + cut, torn.begin() + at[4], filler);
      write_bytes(path, 0, torn);
      const auto partition = open(boot = static_cast<uint8_t>(boot == 2 ? 3 : 2));
      const std::vector<int64_t> values = read_values(*partition);
      // Bytes of the padding do not matter, so the last batches may be whole.
      ASSERT_TRUE(values == iota(0, 20) || values == iota(0, 30) || values == iota(0, 40))
          << "cut at " << cut;
      ASSERT_GE(values.size(), cut >= at[3] ? 30u : 20u);
      const int64_t end = partition->ends().log_end_offset;
      ASSERT_EQ(append_values(*partition, 777).base_offset, end);
      ASSERT_EQ(read_values(*partition, end), iota(777, 1));
      log_->close();
    }
  }
}

TEST_F(LogRecoveryTest, DamageBelowTheDurableOffsetCostsOnlyItself) {
  write_and_die(6, 5);
  const std::vector<int64_t> at = positions_of_intact_log();
  const std::string path = segment_file(directory_.path(), 0);
  flip_bit(path, (at[1] + 40) * 8);
  const auto partition = open(2);
  EXPECT_EQ(partition->recovery().corrupt_records, 10);
  const auto reader = partition->reader(0);
  EXPECT_EQ(values_of(*reader->next()), iota(0, 10));
  for (int attempt = 0; attempt < 2; ++attempt) {
    try {
      reader->next();
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kCorruptRecord);
      std::map<std::string, std::variant<int64_t, std::string>> facts(error.facts().begin(),
                                                                      error.facts().end());
      EXPECT_EQ(std::get<int64_t>(facts["offset"]), 10);
      EXPECT_EQ(std::get<int64_t>(facts["next_offset"]), 20);
      EXPECT_EQ(std::get<int64_t>(facts["position"]), at[1]);
      EXPECT_EQ(std::get<std::string>(facts["topic"]), "orders");
    }
    EXPECT_EQ(reader->position(), 10);
  }
  EXPECT_EQ(read_values(*partition, 20), iota(20, 40));
}

TEST_F(LogRecoveryTest, DamageInAnOpenLogCostsOnlyItself) {
  write_and_die(6, 0);
  const std::vector<int64_t> at = positions_of_intact_log();
  flip_bit(segment_file(directory_.path(), 0), (at[2] + 100) * 8);
  const auto partition = open(1);
  expect_error(ErrorCode::kCorruptRecord, "from offset 20 up to 30",
               [&] { read_values(*partition); });
  EXPECT_EQ(read_values(*partition, 30), iota(30, 30));
  EXPECT_EQ(append_values(*partition, 60, 10).base_offset, 60);
  EXPECT_EQ(read_values(*partition, 30), iota(30, 40));
}

TEST_F(LogRecoveryTest, ABlockOfZerosInTheMiddleIsNotTheEnd) {
  write_and_die(200, 200);
  const std::vector<int64_t> at = positions_of_intact_log();
  const int64_t block = (at[60] + 4095) / 4096 * 4096;
  write_bytes(segment_file(directory_.path(), 0), block, std::string(4096, '\0'));
  const auto partition = open(2);
  const int64_t lost = partition->recovery().corrupt_records;
  EXPECT_GT(lost, 0);
  EXPECT_LT(lost, 300);
  const std::vector<int64_t> tail = read_values(*partition, 1000);
  EXPECT_EQ(tail, iota(1000, 1000));
}

TEST_F(LogRecoveryTest, ADamagedLastDurableBatchIsReportedAndNotReused) {
  write_and_die(4, 4);
  const std::vector<int64_t> at = positions_of_intact_log();
  flip_bit(segment_file(directory_.path(), 0), (at[3] + 20) * 8);
  const auto partition = open(2);
  EXPECT_EQ(partition->recovery().corrupt_records, 10);
  append_values(*partition, 500);
  expect_error(ErrorCode::kCorruptRecord, "from offset 30 up to 40",
               [&] { read_values(*partition, 30); });
  EXPECT_EQ(read_values(*partition, 40), iota(500, 1));
}

TEST_F(LogRecoveryTest, SegmentsBehindATornOneAreSetAside) {
  write_and_die(400, 100, 32 * 1024);
  const auto intact = Log::open(directory_.path(), after_boot(1));
  const auto reader = intact->open_partition(test_options(0, 32 * 1024))->reader(2000);
  const auto batch = reader->next();
  write_bytes(batch->place().path, batch->place().file_position, std::string(64, '\xFF'));
  const auto partition = open(2, 32 * 1024);
  EXPECT_GT(partition->recovery().torn_bytes, 0);
  EXPECT_EQ(read_values(*partition), iota(0, batch->base_offset()));
  int set_aside = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(partition_directory(directory_.path()))) {
    set_aside += entry.path().extension() == ".torn" ? 1 : 0;
  }
  EXPECT_GT(set_aside, 0);
}

TEST_F(LogRecoveryTest, AMissingSegmentBelowTheDurableOffsetIsReported) {
  write_and_die(400, 400, 32 * 1024);
  std::vector<std::filesystem::path> segments;
  for (const auto& entry :
       std::filesystem::directory_iterator(partition_directory(directory_.path()))) {
    if (entry.path().extension() == ".seg") segments.push_back(entry.path());
  }
  std::sort(segments.begin(), segments.end());
  ASSERT_GT(segments.size(), 3u);
  const int64_t lost_from = std::stoll(segments[1].stem());
  const int64_t lost_to = std::stoll(segments[2].stem());
  std::filesystem::remove(segments[1]);
  for (const uint8_t boot : {1, 2}) {
    const auto partition = open(boot, 32 * 1024);
    expect_error(ErrorCode::kCorruptRecord, "from offset " + std::to_string(lost_from),
                 [&] { read_values(*partition); });
    EXPECT_EQ(read_values(*partition, lost_to), iota(lost_to, 4000 - lost_to));
    log_->close();
  }
}

TEST_F(LogRecoveryTest, AMissingControlPageIsRebuilt) {
  write_and_die(7, 3);
  std::filesystem::remove(partition_directory(directory_.path()) + "/control");
  const auto partition = open(1);
  EXPECT_EQ(partition->recovery().kind, RecoveryReport::Kind::kRecovered);
  EXPECT_EQ(read_values(*partition), iota(0, 70));
  EXPECT_GE(append_values(*partition, 70, 10).base_offset, 70);
  EXPECT_EQ(read_values(*partition), iota(0, 80));
}

TEST_F(LogRecoveryTest, EveryDamagedByteOfTheControlPageIsSurvived) {
  write_and_die(3, 0);
  const std::string control = partition_directory(directory_.path()) + "/control";
  const std::string intact = read_bytes(control);
  for (int64_t position = 0; position < 1536; position += 7) {
    for (const auto& entry :
         std::filesystem::directory_iterator(partition_directory(directory_.path()))) {
      if (entry.path().filename().string() > "00000000000000000000.seg" &&
          entry.path().extension() == ".seg") {
        std::filesystem::remove(entry.path());
      }
    }
    std::string damaged = intact;
    damaged[static_cast<size_t>(position)] ^= 0x55;
    write_bytes(control, 0, damaged);
    try {
      const auto partition = open(1);
      EXPECT_EQ(read_values(*partition), iota(0, 30)) << "byte " << position;
    } catch (const Error& error) {
      ADD_FAILURE() << "byte " << position << ": " << error.what();
    }
    log_.reset();
  }
}

// A segment is mapped up to the size that its header names; what somebody appended to the file
// behind that is not the log's.
TEST_F(LogRecoveryTest, AFileLongerThanItsHeaderAllowsIsReadToThere) {
  constexpr int64_t kSegmentBytes = 16 * 1024;
  write_and_die(40, 40, kSegmentBytes);
  for (const auto& entry :
       std::filesystem::directory_iterator(partition_directory(directory_.path()))) {
    if (entry.path().extension() != ".seg") continue;
    std::ofstream(entry.path(), std::ios::binary | std::ios::app) << std::string(1 << 20, 'x');
  }
  std::filesystem::remove(directory_ / "order");  // found again by looking at all headers
  const auto partition = open(2, kSegmentBytes);
  EXPECT_EQ(read_values(*partition), iota(0, 400));
  append_values(*partition, 400, 10);
  EXPECT_EQ(read_values(*partition), iota(0, 410));
}

TEST_F(LogRecoveryTest, ACopiedDirectoryIsALogOfItsOwn) {
  write_and_die(5, 5);
  TemporaryDirectory copy;
  std::filesystem::copy(directory_.path(), copy.path(), std::filesystem::copy_options::recursive);
  const auto copied_log = Log::open(copy.path(), after_boot(1));
  const auto copied = copied_log->open_partition(test_options());
  const auto partition = open(1);
  EXPECT_EQ(copied->recovery().kind, RecoveryReport::Kind::kRecovered);
  EXPECT_EQ(append_values(*copied, 1000, 10).base_offset, 50);
  EXPECT_EQ(append_values(*partition, 50, 10).base_offset, 50);
  EXPECT_EQ(read_values(*copied, 50), iota(1000, 10));
  EXPECT_EQ(read_values(*partition), iota(0, 60));
}

TEST_F(LogRecoveryTest, RecoveringTwiceGivesTheSame) {
  write_and_die(6, 2);
  const std::vector<int64_t> at = positions_of_intact_log();
  write_bytes(segment_file(directory_.path(), 0), at[4] + 130, std::string(40, 'x'));
  std::vector<int64_t> first;
  for (const uint8_t boot : {2, 3, 4}) {
    const auto partition = open(boot);
    const std::vector<int64_t> values = read_values(*partition);
    EXPECT_EQ(values, iota(0, 40));
    log_->close();
  }
}

TEST_F(LogRecoveryTest, TheAppendSequenceContinuesAboveAllPartitions) {
  uint64_t last = 0;
  {
    const auto log = Log::open(directory_.path(), after_boot(1));
    append_values(*log->open_partition(test_options(0)), 0);
    last = append_values(*log->open_partition(test_options(1)), 0).append_sequence;
  }
  std::filesystem::remove(directory_ / "order");
  log_ = Log::open(directory_.path(), after_boot(2));
  EXPECT_GT(append_values(*log_->open_partition(test_options(0)), 1).append_sequence, last);
}

}  // namespace
}  // namespace pystream::storage
