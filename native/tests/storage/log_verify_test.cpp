// verify finds something exactly where a reader would raise or lose something, and says the same
// offsets; on top of that it sees what readers do not look at.

#include <random>

#include "base/crc32c.hpp"
#include "corruption_testing.hpp"
#include "storage/control_page.hpp"
#include "storage/header_crc.hpp"
#include "storage/order_file.hpp"
#include "storage/verify.hpp"

namespace pystream::storage {
namespace {

using Ranges = std::vector<std::pair<int64_t, int64_t>>;
using Random = std::mt19937_64;

class LogVerifyTest : public ::testing::Test {
 protected:
  static RichLog& log() {
    static RichLog log;
    return log;
  }
  void SetUp() override { log().restore(); }

  struct Verified {
    std::vector<Finding> findings;
    PartitionSummary summary;

    Ranges lost() const {
      Ranges ranges;
      for (const Finding& finding : findings) {
        if (finding.kind == "corrupt-records") {
          Found::add(&ranges, finding.offset, finding.next_offset);
        }
      }
      return ranges;
    }
    // Without notes.
    std::vector<std::string> kinds() const {
      std::vector<std::string> kinds;
      for (const Finding& finding : findings) {
        if (!finding.is_note) kinds.push_back(finding.kind);
      }
      return kinds;
    }
  };

  static Verified verify(uint8_t boot = 1, int64_t step = 1'000'000) {
    const auto files = std::make_shared<FakeFiles>();
    files->boot = {boot};
    PartitionVerifier verifier(log().directory(), "orders", test_options().topic_id, 0, files);
    while (verifier.step(step)) EXPECT_LE(verifier.bytes_done(), verifier.bytes_total());
    EXPECT_EQ(verifier.bytes_done(), verifier.bytes_total());
    return {verifier.findings(), verifier.summary()};
  }

  // Changes a batch's header or tables, and puts its checksum right.
  static void falsify(int64_t i, const std::function<void(BatchHeader*, ColumnEntry*)>& change) {
    const RichLog::Batch& batch = log().batches()[static_cast<size_t>(i)];
    const std::string& path = batch.place.path;
    std::string bytes = read_bytes(path);
    SegmentHeader segment;
    std::memcpy(&segment, bytes.data(), sizeof(segment));
    const auto at = static_cast<size_t>(batch.place.file_position);
    std::vector<uint64_t> aligned(batch.header.header_length / 8);
    std::memcpy(aligned.data(), bytes.data() + at, batch.header.header_length);
    auto* header = reinterpret_cast<BatchHeader*>(aligned.data());
    change(header, reinterpret_cast<ColumnEntry*>(header + 1));
    header->header_crc = header_crc(reinterpret_cast<const uint8_t*>(header), header->header_length,
                                    segment.salt, batch.place.file_position);
    write_bytes(path, batch.place.file_position,
                {reinterpret_cast<const char*>(header), header->header_length});
  }
};

TEST_F(LogVerifyTest, AnIntactLogIsClean) {
  const Verified verified = verify();
  EXPECT_TRUE(verified.findings.empty()) << verified.findings[0].what;
  EXPECT_EQ(verified.summary.records, RichLog::kEnd);
  EXPECT_EQ(verified.summary.batches, RichLog::kBatches);
  EXPECT_EQ(verified.summary.segments, static_cast<int64_t>(log().segments().size()));
  EXPECT_EQ(verified.summary.lost_records, 0);
  EXPECT_EQ(verified.summary.last_append_sequence, log().batches().back().header.append_sequence);
}

TEST_F(LogVerifyTest, ItCanBeDoneInSmallSteps) {
  EXPECT_EQ(verify(1, 1).summary.records, RichLog::kEnd);
}

TEST_F(LogVerifyTest, AnotherBootIsANoteAndNotAProblem) {
  const Verified verified = verify(2);
  ASSERT_EQ(verified.findings.size(), 1u);
  EXPECT_EQ(verified.findings[0].kind, "recovery-due");
  EXPECT_TRUE(verified.findings[0].is_note);
  EXPECT_EQ(verified.summary.records, RichLog::kEnd);
}

TEST_F(LogVerifyTest, AFindingSaysWhatWhereAndWhatToDo) {
  const RichLog::Batch& batch = log().batches()[3];
  flip_bit(batch.place.path, (batch.place.file_position + 300) * 8);
  const Verified verified = verify();
  ASSERT_EQ(verified.findings.size(), 1u);
  const Finding& finding = verified.findings[0];
  EXPECT_EQ(finding.kind, "corrupt-records");
  EXPECT_EQ(finding.path, batch.place.path);
  EXPECT_EQ(finding.position, batch.place.file_position);
  EXPECT_EQ(finding.offset, batch.header.base_offset);
  EXPECT_EQ(finding.next_offset, batch.header.base_offset + RichLog::kBatchRows);
  EXPECT_NE(finding.what.find("orders-0"), std::string::npos) << finding.what;
  EXPECT_NE(finding.advice.find("--repair"), std::string::npos) << finding.advice;
  EXPECT_EQ(verified.summary.lost_records, RichLog::kBatchRows);
}

// The heart of it: after any damage, verify and reader tell the same story.
TEST_F(LogVerifyTest, ItAgreesWithTheReaderAfterThousandsOfDamages) {
  Random random(4711);
  const std::vector<std::string> segments = log().segments();
  const std::string control = log().partition_path() + "/control";
  int damaged = 0;
  for (int round = 0; round < 2000; ++round) {
    SCOPED_TRACE(round);
    log().restore();
    // Mostly one bit, anywhere; the control page and the tail of the log get their share.
    const uint64_t where = random() % 10;
    const std::string& path = where == 0   ? control
                              : where == 1 ? segments.back()
                                           : segments[random() % segments.size()];
    const auto size = static_cast<int64_t>(std::filesystem::file_size(path));
    const int64_t at = static_cast<int64_t>(random() % static_cast<uint64_t>(size));
    const uint64_t kind = random() % 20;
    if (kind == 0) {
      std::filesystem::remove(path);
    } else if (kind == 1) {
      std::filesystem::resize_file(path, static_cast<uintmax_t>(at));
    } else if (kind < 4) {
      const int64_t length = std::min<int64_t>(size - at, 1 + static_cast<int64_t>(random() % 600));
      write_bytes(path, at, std::string(static_cast<size_t>(length), kind == 2 ? '\0' : '\xA5'));
    } else {
      flip_bit(path, at * 8 + static_cast<int64_t>(random() % 8));
    }
    const uint8_t boot = random() % 8 == 0 ? 2 : 1;
    const Verified verified = verify(boot);
    LogOptions options = after_boot(boot);
    options.read_only = true;
    const auto opened = Log::open(log().directory(), options);
    const auto partition = opened->open_partition(rich_options());
    const Found found = read_skipping(*partition);
    ASSERT_FALSE(found.is_wrong);
    ASSERT_EQ(verified.lost(), found.lost);
    ASSERT_EQ(verified.summary.log_end_offset, partition->ends().log_end_offset);
    // What was acknowledged and is neither delivered nor called lost was cut off as a torn tail:
    // only after a power loss, and said.
    int64_t seen = 0;
    for (const auto& [begin, end] : found.delivered) seen += end - begin;
    for (const auto& [begin, end] : found.lost) seen += end - begin;
    const bool is_complete = seen == RichLog::kEnd;
    if (!is_complete) {
      ASSERT_EQ(boot, 2);
      ASSERT_TRUE(std::any_of(verified.findings.begin(), verified.findings.end(),
                              [](const Finding& f) { return f.kind == "recovery-due"; }));
    }
    if (path != control) {
      ASSERT_EQ(verified.kinds().empty(), found.lost.empty());
    }
    damaged += found.lost.empty() ? 0 : 1;
  }
  EXPECT_GT(damaged, 700);
}

TEST_F(LogVerifyTest, EveryDamageToTheUsedBytesOfTheControlPageIsFoundOrHarmless) {
  const std::string control = log().partition_path() + "/control";
  for (int64_t bit = 0; bit < 1216 * 8; bit += 7) {
    SCOPED_TRACE(bit);
    log().restore();
    flip_bit(control, bit);
    const Verified verified = verify();
    const int64_t byte = bit / 8;
    const bool is_identity = byte < 80;
    const bool is_lease = byte >= 512 && byte < 528;
    if (is_identity || is_lease) {
      EXPECT_EQ(verified.kinds().size(), 1u);
    }
    EXPECT_TRUE(verified.lost().empty());
    EXPECT_EQ(verified.summary.records, RichLog::kEnd);
  }
}

TEST_F(LogVerifyTest, AMissingControlPageIsFound) {
  std::filesystem::remove(log().partition_path() + "/control");
  const Verified verified = verify();
  EXPECT_EQ(verified.kinds(), std::vector<std::string>{"control-missing"});
  EXPECT_EQ(verified.summary.records, RichLog::kEnd);
}

TEST_F(LogVerifyTest, ABrokenChainIsFound) {
  falsify(4, [](BatchHeader* header, ColumnEntry*) { header->previous_header_crc ^= 1; });
  // The batch behind it remembers the old checksum of the one that was changed.
  EXPECT_EQ(verify().kinds(), (std::vector<std::string>{"chain", "chain"}));
}

TEST_F(LogVerifyTest, AnAppendSequenceThatFallsIsFound) {
  falsify(4, [](BatchHeader* header, ColumnEntry*) { header->append_sequence = 2; });
  const std::vector<std::string> kinds = verify().kinds();
  EXPECT_TRUE(std::count(kinds.begin(), kinds.end(), "append-sequence") > 0);
}

TEST_F(LogVerifyTest, FalseStatisticsAreFound) {
  falsify(4, [](BatchHeader*, ColumnEntry* columns) { columns[0].maximum += 1; });
  std::vector<std::string> kinds = verify().kinds();
  EXPECT_TRUE(std::count(kinds.begin(), kinds.end(), "statistics") > 0);
  log().restore();
  falsify(4, [](BatchHeader* header, ColumnEntry*) { header->min_timestamp -= 1; });
  kinds = verify().kinds();
  EXPECT_TRUE(std::count(kinds.begin(), kinds.end(), "statistics") > 0);
}

TEST_F(LogVerifyTest, AControlPageThatContradictsTheSegmentsIsFound) {
  const auto files = std::make_shared<FileLayer>();
  {
    const File file = File::open(files, log().partition_path() + "/control", O_RDWR);
    ControlPage page(file, true);
    PublishedState state = page.read();
    state.last_append_sequence += 1;
    page.publish(state);
  }
  EXPECT_EQ(verify().kinds(), std::vector<std::string>{"control-mismatch"});
}

TEST_F(LogVerifyTest, WhatIsAppendedMeanwhileIsNotLookedAt) {
  const auto opened = Log::open(log().directory(), RichLog::options());
  const auto partition = opened->open_partition(rich_options());
  const auto files = std::make_shared<FakeFiles>();
  files->boot = {1};
  PartitionVerifier verifier(log().directory(), "orders", test_options().topic_id, 0, files);
  int64_t next = RichLog::kEnd;
  do {
    EncodedBatch batch = encode_rich(next, 10, Codec::kNone);
    partition->append(&batch, Acks::kPublished);
    next += 10;
  } while (verifier.step(1));
  EXPECT_TRUE(verifier.findings().empty());
  EXPECT_EQ(verifier.summary().records, RichLog::kEnd);
}

TEST_F(LogVerifyTest, ItOpensNothingForWriting) {
  class ReadingFiles : public FakeFiles {
   public:
    int open(const std::string& path, int flags) override {
      EXPECT_EQ(flags & (O_WRONLY | O_RDWR | O_CREAT), 0) << path;
      return FakeFiles::open(path, flags);
    }
    int64_t pwritev(int, const iovec*, int, int64_t) override { return -EROFS; }
    int rename(const std::string&, const std::string&) override { return -EROFS; }
    int unlink(const std::string&) override { return -EROFS; }
    int make_directory(const std::string&) override { return -EROFS; }
  };
  for (const uint8_t boot : {uint8_t{1}, uint8_t{2}}) {
    const auto files = std::make_shared<ReadingFiles>();
    files->boot = {boot};
    PartitionVerifier verifier(log().directory(), "orders", test_options().topic_id, 0, files);
    while (verifier.step(1 << 20)) {
    }
    EXPECT_EQ(verifier.summary().records, RichLog::kEnd);
    verify_order(log().directory(), files);
  }
}

TEST_F(LogVerifyTest, AReadErrorIsAFindingThatNamesTheOffsets) {
  const auto files = std::make_shared<FakeFiles>();
  files->boot = {1};
  PartitionVerifier verifier(log().directory(), "orders", test_options().topic_id, 0, files);
  files->set_fail([](const std::string& call, int) { return call == "populate" ? EIO : 0; });
  while (verifier.step(1 << 20)) {
  }
  ASSERT_FALSE(verifier.findings().empty());
  EXPECT_EQ(verifier.findings()[0].kind, "unreadable");
  EXPECT_EQ(verifier.findings()[0].offset, 0);
}

TEST_F(LogVerifyTest, TheOrderFileIsLookedAt) {
  const std::string order = log().directory() + "/order";
  const auto files = std::make_shared<FakeFiles>();
  files->boot = {1};
  const OrderReport sound = verify_order(log().directory(), files);
  EXPECT_TRUE(sound.findings.empty());
  EXPECT_TRUE(sound.is_current);
  EXPECT_GT(sound.next_sequence, log().batches().back().header.append_sequence);

  flip_bit(order, 20 * 8);
  EXPECT_EQ(verify_order(log().directory(), files).findings.at(0).kind, "order-damaged");
  std::filesystem::remove(order);
  EXPECT_EQ(verify_order(log().directory(), files).findings.at(0).kind, "order-missing");
  EXPECT_TRUE(verify_order(log().directory(), files).findings.at(0).is_note);
  const TemporaryDirectory other;
  expect_error(ErrorCode::kLog, "is not a log", [&] { verify_order(other.path(), files); });
}

}  // namespace
}  // namespace pystream::storage
