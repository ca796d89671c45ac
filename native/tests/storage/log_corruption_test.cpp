// What readers make of damage: a wrong row is never delivered, what is lost is named, and it costs
// no more than the batch that was hit.

#include <random>

#include "corruption_testing.hpp"

namespace pystream::storage {
namespace {

using Ranges = std::vector<std::pair<int64_t, int64_t>>;
using Random = std::mt19937_64;

constexpr int64_t kRows = RichLog::kBatchRows;
constexpr int64_t kEnd = RichLog::kEnd;

class LogCorruptionTest : public ::testing::Test {
 protected:
  static RichLog& log() {
    static RichLog log;
    return log;
  }
  void SetUp() override { log().restore(); }

  static const RichLog::Batch& batch(int64_t i) { return log().batches()[static_cast<size_t>(i)]; }
  static int64_t position(int64_t i) { return batch(i).place.file_position; }
  static void flip(int64_t i, int64_t byte) {
    flip_bit(batch(i).place.path, (position(i) + byte) * 8 + 3);
  }
  // A byte in the middle of the batch's last buffer.
  static int64_t body_byte(int64_t i) {
    return static_cast<int64_t>(batch(i).header.total_length) - kBatchAlignment;
  }
  static bool is_first_of_its_segment(int64_t i) {
    return i == 0 || batch(i - 1).place.path != batch(i).place.path;
  }

  std::shared_ptr<Partition> open() {
    opened_ = Log::open(log().directory(), RichLog::options());
    return opened_->open_partition(rich_options());
  }
  // Both readers name the same loss, deliver all else, and nothing wrong.
  void expect_lost(const Ranges& lost) {
    const auto partition = open();
    for (const Found& found : {read_skipping(*partition), read_raising(*partition)}) {
      EXPECT_EQ(found.lost, lost);
      EXPECT_FALSE(found.is_wrong);
      Ranges rest;
      int64_t at = 0;
      for (const auto& [begin, end] : lost) {
        if (at < begin) rest.push_back({at, begin});
        at = end;
      }
      if (at < kEnd) rest.push_back({at, kEnd});
      EXPECT_EQ(found.delivered, rest);
    }
  }

  std::shared_ptr<Log> opened_;
};

TEST_F(LogCorruptionTest, AnIntactLogIsReadInFull) {
  EXPECT_GT(log().segments().size(), 3u);
  expect_lost({});
}

TEST_F(LogCorruptionTest, ADamagedBatchCostsItselfWhereverItStands) {
  for (int64_t i = 0; i < RichLog::kBatches; ++i) {
    const bool is_interesting = is_first_of_its_segment(i) || i + 1 == RichLog::kBatches ||
                                is_first_of_its_segment(i + 1) || i % 5 == 2;
    if (!is_interesting) continue;
    for (const int64_t byte : {int64_t{1}, int64_t{90}, int64_t{200}, body_byte(i)}) {
      SCOPED_TRACE("batch " + std::to_string(i) + ", byte " + std::to_string(byte));
      log().restore();
      flip(i, byte);
      expect_lost({{i * kRows, (i + 1) * kRows}});
    }
  }
}

TEST_F(LogCorruptionTest, EveryBufferIsVerifiedBeforeABatchIsHandedOut) {
  for (const int64_t i : {6, 7}) {  // raw, LZ4
    const int64_t header_length = batch(i).header.header_length;
    const int64_t entries =
        static_cast<int64_t>(sizeof(BatchHeader)) +
        int64_t{batch(i).header.column_count} * static_cast<int64_t>(sizeof(ColumnEntry));
    const std::string bytes = read_bytes(batch(i).place.path);
    ASSERT_GE(batch(i).header.buffer_count, 8u);
    for (int64_t at = entries; at < header_length;
         at += static_cast<int64_t>(sizeof(BufferEntry))) {
      BufferEntry entry;
      std::memcpy(&entry, bytes.data() + position(i) + at, sizeof(entry));
      SCOPED_TRACE(entry.offset);
      log().restore();
      flip(i, static_cast<int64_t>(entry.offset + entry.stored_length / 2));
      expect_lost({{i * kRows, (i + 1) * kRows}});
    }
  }
}

TEST_F(LogCorruptionTest, SeekingIntoADamagedBatchCountsOnlyWhatWouldHaveBeenRead) {
  flip(3, body_byte(3));
  const auto reader = open()->reader(3 * kRows + 5);
  reader->set_on_corruption(OnCorruption::kSkip);
  EXPECT_EQ(reader->next()->base_offset(), 4 * kRows);
  const std::vector<SkippedRange> skipped = reader->take_skipped();
  ASSERT_EQ(skipped.size(), 1u);
  EXPECT_EQ(skipped[0].offset, 3 * kRows + 5);
  EXPECT_EQ(skipped[0].next_offset, 4 * kRows);
  EXPECT_EQ(skipped[0].position, position(3));
  EXPECT_EQ(skipped[0].path, batch(3).place.path);
  EXPECT_TRUE(reader->take_skipped().empty());
}

TEST_F(LogCorruptionTest, AMissingSegmentIsNamedAndLaterOnesStayReadable) {
  const std::vector<std::string> segments = log().segments();
  for (size_t k = 0; k < segments.size(); ++k) {
    SCOPED_TRACE(segments[k]);
    log().restore();
    int64_t begin = kEnd;
    int64_t end = 0;
    for (int64_t i = 0; i < RichLog::kBatches; ++i) {
      if (batch(i).place.path != segments[k]) continue;
      begin = std::min(begin, i * kRows);
      end = (i + 1) * kRows;
    }
    std::filesystem::remove(segments[k]);
    expect_lost({{begin, end}});
    expect_error(ErrorCode::kCorruptRecord, "missing", [&] { open()->reader(begin)->next(); });
  }
  log().restore();
  std::filesystem::remove(segments[1]);
  const std::string name = segments[1].substr(segments[1].rfind('/') + 1);
  const auto first_of_segment = std::stoll(name);
  expect_error(ErrorCode::kCorruptRecord, "there is no " + name,
               [&] { open()->reader(first_of_segment)->next(); });
}

TEST_F(LogCorruptionTest, ASegmentDeletedUnderAnOpenLogIsNamed) {
  const auto partition = open();
  const auto reader = partition->reader(0);
  reader->next();
  std::filesystem::remove(log().segments()[2]);
  const Found found = read_skipping(*partition);
  ASSERT_EQ(found.lost.size(), 1u);
  expect_error(ErrorCode::kCorruptRecord, "the file is missing",
               [&] { partition->reader(found.lost[0].first)->next(); });
}

TEST_F(LogCorruptionTest, ASegmentWithADamagedHeadCostsItself) {
  const std::vector<std::string> segments = log().segments();
  for (size_t k = 0; k < segments.size(); ++k) {
    for (const int64_t byte : {int64_t{2}, int64_t{50}, int64_t{3000}, int64_t{4100}}) {
      SCOPED_TRACE(segments[k] + " byte " + std::to_string(byte));
      log().restore();
      flip_bit(segments[k], byte * 8 + 1);
      int64_t begin = kEnd;
      int64_t end = 0;
      for (int64_t i = 0; i < RichLog::kBatches; ++i) {
        if (batch(i).place.path != segments[k]) continue;
        begin = std::min(begin, i * kRows);
        end = (i + 1) * kRows;
      }
      expect_lost({{begin, end}});
    }
  }
}

TEST_F(LogCorruptionTest, AFileThatWasCutShortLosesWhatStoodBehindTheCut) {
  for (const int64_t i : {int64_t{2}, int64_t{9}, RichLog::kBatches - 1}) {
    for (const int64_t cut : {int64_t{0}, int64_t{100}, int64_t{300}}) {
      SCOPED_TRACE("batch " + std::to_string(i) + " cut at byte " + std::to_string(cut));
      log().restore();
      std::filesystem::resize_file(batch(i).place.path, static_cast<uintmax_t>(position(i) + cut));
      int64_t last = i;
      while (last + 1 < RichLog::kBatches && batch(last + 1).place.path == batch(i).place.path) {
        ++last;
      }
      expect_lost({{i * kRows, (last + 1) * kRows}});
    }
  }
}

// Random damage of every kind, at every place, several at a time.
TEST_F(LogCorruptionTest, NoDamageDeliversAWrongRowOrLosesOneSilently) {
  Random random(20260101);
  for (int round = 0; round < 400; ++round) {
    SCOPED_TRACE(round);
    log().restore();
    const std::vector<std::string> segments = log().segments();
    const uint64_t hits = 1 + random() % 3;
    for (uint64_t hit = 0; hit < hits; ++hit) {
      const std::string& path = segments[random() % segments.size()];
      if (!std::filesystem::exists(path)) continue;
      const auto size = static_cast<int64_t>(std::filesystem::file_size(path));
      const int64_t at = static_cast<int64_t>(random() % static_cast<uint64_t>(size));
      const uint64_t kind = random() % 12;
      if (kind == 0) {
        std::filesystem::remove(path);
      } else if (kind == 1) {
        std::filesystem::resize_file(path, static_cast<uintmax_t>(at));
      } else if (kind < 5) {
        const int64_t length =
            std::min<int64_t>(size - at, 1 + static_cast<int64_t>(random() % 900));
        write_bytes(path, at, std::string(static_cast<size_t>(length), kind == 2 ? '\0' : '\xA5'));
      } else {
        flip_bit(path, at * 8 + static_cast<int64_t>(random() % 8));
      }
    }
    const auto partition = open();
    const Found skipping = read_skipping(*partition);
    const Found raising = read_raising(*partition);
    ASSERT_EQ(skipping.lost, raising.lost);
    ASSERT_EQ(skipping.delivered, raising.delivered);
    ASSERT_FALSE(skipping.is_wrong || raising.is_wrong);
    Ranges all = skipping.delivered;
    all.insert(all.end(), skipping.lost.begin(), skipping.lost.end());
    std::sort(all.begin(), all.end());
    int64_t at = 0;
    for (const auto& [begin, end] : all) {
      ASSERT_EQ(begin, at) << "neither delivered nor named, or both";
      at = end;
    }
    ASSERT_EQ(at, kEnd);
    opened_->close();
  }
}

}  // namespace
}  // namespace pystream::storage
