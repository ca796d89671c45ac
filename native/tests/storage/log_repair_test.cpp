// After a repair verify is clean, every record that could be read is read at its offset, no offset
// is given out again, and what was damaged is in the quarantine as it was.

#include <random>

#include "corruption_testing.hpp"
#include "storage/repair.hpp"
#include "storage/segment_file.hpp"
#include "storage/verify.hpp"

namespace pystream::storage {
namespace {

using Random = std::mt19937_64;

class LogRepairTest : public ::testing::Test {
 protected:
  static RichLog& log() {
    static RichLog log;
    return log;
  }
  void SetUp() override { log().restore(); }

  static std::shared_ptr<FakeFiles> files(uint8_t boot = 1) {
    const auto files = std::make_shared<FakeFiles>();
    files->boot = {boot};
    files->skips_syncs = true;
    return files;
  }
  static std::vector<Finding> problems(uint8_t boot = 1) {
    PartitionVerifier verifier(log().directory(), "orders", test_options().topic_id, 0,
                               files(boot));
    while (verifier.step(1 << 20)) {
    }
    std::vector<Finding> found = verifier.findings();
    std::erase_if(found, [](const Finding& finding) { return finding.is_note; });
    return found;
  }
  static std::string quarantine() { return log().directory() + "/quarantine"; }
  static std::vector<std::string> repair(uint8_t boot = 1) {
    std::filesystem::create_directory(quarantine());
    LogRepair repair(log().directory(), quarantine(), files(boot));
    return repair.repair_partition("orders", test_options().topic_id, 0);
  }
  static Found read(uint8_t boot, PartitionEnds* ends) {
    LogOptions options = after_boot(boot);
    options.read_only = true;
    const auto opened = Log::open(log().directory(), options);
    const auto partition = opened->open_partition(rich_options());
    *ends = partition->ends();
    return read_skipping(*partition);
  }
};

TEST_F(LogRepairTest, AfterAnyDamageWhatCanBeReadStaysAndNothingIsLostForGood) {
  Random random(99);
  const std::vector<std::string> segments = log().segments();
  for (int round = 0; round < 150; ++round) {
    SCOPED_TRACE(round);
    log().restore();
    std::filesystem::remove_all(quarantine());
    const uint64_t hits = 1 + random() % 3;
    for (uint64_t hit = 0; hit < hits; ++hit) {
      const std::string& path = segments[random() % segments.size()];
      if (!std::filesystem::exists(path)) continue;
      const auto size = std::filesystem::file_size(path);
      const auto at = static_cast<int64_t>(random() % std::min<uint64_t>(size, 16 << 10));
      const uint64_t kind = random() % 8;
      if (kind == 0) {
        std::filesystem::remove(path);
      } else if (kind == 1) {
        std::filesystem::resize_file(path, static_cast<uintmax_t>(at));
      } else {
        flip_bit(path, at * 8 + static_cast<int64_t>(random() % 8));
      }
    }
    if (random() % 6 == 0) std::filesystem::remove(log().partition_path() + "/control");
    const uint8_t boot = random() % 5 == 0 ? 2 : 1;
    std::map<std::string, std::string> before;
    for (const auto& entry : std::filesystem::directory_iterator(log().partition_path())) {
      before[entry.path().filename()] = read_bytes(entry.path());
    }
    PartitionEnds ends;
    const Found readable = read(boot, &ends);
    if (problems(boot).empty()) continue;

    const std::vector<std::string> acts = repair(boot);
    EXPECT_FALSE(acts.empty());
    const std::vector<Finding> left = problems(boot);
    ASSERT_TRUE(left.empty()) << left[0].kind << ": " << left[0].what;
    PartitionEnds after;
    const Found found = read(boot, &after);
    ASSERT_FALSE(found.is_wrong);
    ASSERT_EQ(found.delivered, readable.delivered);
    ASSERT_TRUE(found.lost.empty());
    ASSERT_EQ(after.log_end_offset, ends.log_end_offset);
    // Each file that was there is there still, here or in the quarantine.
    const std::string aside =
        quarantine() + log().partition_path().substr(log().directory().size());
    for (const auto& [name, bytes] : before) {
      const std::string kept = log().partition_path() + "/" + name;
      const bool is_here = std::filesystem::exists(kept) && read_bytes(kept) == bytes;
      const bool is_aside =
          std::filesystem::exists(aside + "/" + name) && read_bytes(aside + "/" + name) == bytes;
      ASSERT_TRUE(is_here || is_aside) << name;
    }
    // The log goes on behind its end.
    {
      const auto opened = Log::open(log().directory(), after_boot(boot));
      const auto partition = opened->open_partition(rich_options());
      EXPECT_EQ(partition->recovery().kind, RecoveryReport::Kind::kNone);
      EncodedBatch batch = encode_rich(after.log_end_offset, 10, Codec::kNone);
      EXPECT_EQ(partition->append(&batch, Acks::kPublished).base_offset, after.log_end_offset);
      EXPECT_FALSE(read_skipping(*partition).is_wrong);
    }
    ASSERT_TRUE(problems(boot).empty());
  }
}

TEST_F(LogRepairTest, ALogThatIsOpenIsNotRepaired) {
  const auto opened = Log::open(log().directory(), RichLog::options());
  expect_error(ErrorCode::kLog, "is open in another process", [&] { repair(); });
}

TEST_F(LogRepairTest, AnEmptiedOrderFileIsMadeAgainAboveEverySequence) {
  std::filesystem::create_directory(quarantine());
  {
    LogRepair repair(log().directory(), quarantine(), files());
    std::filesystem::resize_file(log().directory() + "/order", 0);
    expect_error(ErrorCode::kLog, "is being repaired",
                 [&] { Log::open(log().directory(), RichLog::options()); });
  }
  const auto opened = Log::open(log().directory(), RichLog::options());
  const auto partition = opened->open_partition(rich_options());
  EncodedBatch batch = encode_rich(RichLog::kEnd, 10, Codec::kNone);
  EXPECT_GT(partition->append(&batch, Acks::kPublished).append_sequence,
            log().batches().back().header.append_sequence);
}

TEST_F(LogRepairTest, ASegmentFileIsReadByItself) {
  const RichLog::Batch& hit = log().batches()[1];
  flip_bit(hit.place.path, (hit.place.file_position + 30) * 8);
  const TemporaryDirectory elsewhere;
  std::filesystem::copy_file(hit.place.path, elsewhere / "any.name");
  SegmentFile segment(elsewhere / "any.name");
  EXPECT_EQ(segment.header().base_offset, 0);
  EXPECT_EQ(*segment.schema(), *rich_schema());
  std::vector<int64_t> offsets;
  std::vector<SegmentDamage> damages;
  while (const auto item = segment.next()) {
    if (const auto* batch = std::get_if<LogBatch>(&*item)) {
      EXPECT_TRUE(holds_its_rows(*batch));
      offsets.push_back(batch->base_offset());
    } else {
      damages.push_back(std::get<SegmentDamage>(*item));
    }
  }
  ASSERT_EQ(damages.size(), 1u);
  EXPECT_EQ(damages[0].offset, RichLog::kBatchRows);
  EXPECT_EQ(damages[0].next_offset, 2 * RichLog::kBatchRows);
  EXPECT_EQ(damages[0].position, hit.place.file_position);
  EXPECT_GE(offsets.size(), 3u);
  // Garbage behind the last batch is shown too; zeros are not.
  const auto size = static_cast<int64_t>(std::filesystem::file_size(elsewhere / "any.name"));
  write_bytes(elsewhere / "any.name", size - 10, "x");
  SegmentFile again(elsewhere / "any.name");
  damages.clear();
  while (const auto item = again.next()) {
    if (const auto* damage = std::get_if<SegmentDamage>(&*item)) damages.push_back(*damage);
  }
  ASSERT_EQ(damages.size(), 2u);
  EXPECT_EQ(damages[1].next_offset, -1);
}

}  // namespace
}  // namespace pystream::storage
