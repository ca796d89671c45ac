// Bits flipped, files cut: whatever is done to the bytes of a log, no wrong record is delivered, a
// reader is told what it cannot have, and only the batch that was hit is lost.

#include <map>

#include "damage_testing.hpp"
#include "torture.hpp"

namespace pystream::storage {
namespace {

constexpr int64_t kSegmentBytes = 64 * 1024;
constexpr int64_t kEveryNth = 7;      // bit, per commit
constexpr uint64_t kVerifyEvery = 4;  // cases

struct Variant {
  const char* name;
  Codec codec;
  int64_t batches;  // that fill the segment
};
void PrintTo(const Variant& variant, std::ostream* out) { *out << variant.name; }

class LogDamageTest : public ::testing::TestWithParam<Variant> {
 protected:
  // As many batches as a segment of 64 KiB takes.
  std::unique_ptr<DamagedLog> full_segment() {
    return std::make_unique<DamagedLog>(kSegmentBytes, true, [&](Partition& partition) {
      for (int64_t i = 0; i < GetParam().batches; ++i) {
        append_rows(partition, 100, GetParam().codec);
      }
    });
  }
};

enum class Filler : uint8_t { kZeros, kOnes, kStale, kNoise };
constexpr Filler kFillers[] = {Filler::kZeros, Filler::kOnes, Filler::kStale, Filler::kNoise};

uint8_t byte_of(Filler filler, uint8_t stale, std::mt19937_64& random) {
  switch (filler) {
    case Filler::kZeros:
      return 0;
    case Filler::kOnes:
      return 0xFF;
    case Filler::kStale:
      return stale;
    default:
      return static_cast<uint8_t>(random());
  }
}

// Behind the last record that can be read: skipped offsets may follow.
int64_t last_data(Partition& partition) {
  int64_t end = 0;
  const auto reader = partition.reader(0);
  while (const auto batch = reader->next()) end = batch->next_offset();
  return end;
}

INSTANTIATE_TEST_SUITE_P(Codecs, LogDamageTest,
                         ::testing::Values(Variant{"Raw", Codec::kNone, 14},
                                           Variant{"Lz4", Codec::kLz4, 27}),
                         [](const auto& info) { return info.param.name; });

// In the open log (its readers meet the damage) and as another boot (its recovery does).
TEST_P(LogDamageTest, AFlippedBitCostsAtMostItsBatch) {
  const auto log = full_segment();
  const int64_t bits = 8 * std::min(log->size(), kSegmentBytes);
  ASSERT_GT(log->positions().back(), kSegmentBytes * 3 / 4);
  Torture torture(static_cast<uint64_t>(bits / kEveryNth));
  uint64_t damaged = 0;
  while (torture.goes_on()) {
    // Step 7 visits every bit once: in `bits` cases all of them, the next round the other way.
    const auto seed = static_cast<int64_t>(torture.next_seed());
    const int64_t bit = seed * kEveryNth % bits;
    const bool is_restarted = (seed + seed / bits) % 4 == 0;
    SCOPED_TRACE("seed " + std::to_string(seed) + ", bit " + std::to_string(bit));
    log->bytes()[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
    const Delivery got = read_past_damage(*log->open(is_restarted ? 2 : 1), 0, log->end());
    torture.count();
    ASSERT_EQ(got.wrong, "");
    if (torture.cases() % kVerifyEvery == 0) log->expect_verify_agrees(got);
    damaged += got.lost.empty() ? 0 : 1;
    if (const int64_t hit = log->batch_at(bit / 8); hit >= 0) {
      ASSERT_LE(got.lost.size(), 1u);
      if (!got.lost.empty()) {
        ASSERT_EQ(got.lost[0], log->batch(hit));
      }
    } else if (bit / 8 >= log->positions().front()) {
      ASSERT_TRUE(got.lost.empty()) << "behind the last batch";
    }
    log->restore();
  }
  // Fewer cases may all lie in the padding of the segment's head.
  if (torture.cases() >= static_cast<uint64_t>(bits / kEveryNth)) {
    EXPECT_GT(damaged, torture.cases() / 3);
  }
}

TEST_P(LogDamageTest, AFlippedBitOfTheControlPageCostsNothing) {
  const auto log = full_segment();
  constexpr int64_t kBits = 8 * 4096;
  constexpr int64_t kSyncFailed = 1472;  // a flag: with any bit set, appends are refused
  Torture torture(kBits / kEveryNth);
  while (torture.goes_on()) {
    const auto seed = static_cast<int64_t>(torture.next_seed());
    const int64_t bit = seed * kEveryNth % kBits;
    SCOPED_TRACE("seed " + std::to_string(seed) + ", bit " + std::to_string(bit));
    log->bytes("control")[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
    const bool is_restarted = (seed + seed / kBits) % 2 == 0;
    const auto partition = log->open(is_restarted ? 2 : 1);
    const Delivery got = read_past_damage(*partition, 0, log->end());
    torture.count();
    ASSERT_EQ(got.wrong, "");
    ASSERT_TRUE(got.lost.empty());
    if (torture.cases() % kVerifyEvery == 0) log->expect_verify_agrees(got);
    try {
      append_rows(*partition, 10, Codec::kNone);
      ASSERT_EQ(read_past_damage(*partition, partition->ends().log_end_offset - 10,
                                 partition->ends().log_end_offset)
                    .records,
                10);
    } catch (const Error& error) {
      ASSERT_EQ(bit / 8 / 4, kSyncFailed / 4) << error.what();
    }
    log->restore();
  }
}

// Above the durable offset the log ends before the cut; below it, what is cut is reported.
TEST_P(LogDamageTest, AFileCutAtAnyByteKeepsWhatCameBefore) {
  Torture torture(1);
  while (torture.goes_on()) {
    const uint64_t seed = torture.next_seed();
    std::mt19937_64 random(seed);
    const auto rows = static_cast<int64_t>(seed == 1 ? 6 : random() % 200 + 1);
    for (const bool is_synced : {false, true}) {
      const auto build = [&](Partition& partition) {
        for (int64_t i = 0; i < 4; ++i) append_rows(partition, rows, GetParam().codec);
      };
      DamagedLog log(kSegmentBytes, is_synced, build);
      DamagedLog old(kSegmentBytes, is_synced, build);  // the same bytes under another salt
      const std::vector<int64_t>& at = log.positions();
      const int64_t size = log.size();
      for (int64_t cut = at[2]; cut < at[4]; cut += kEveryNthCase) {
        for (const Filler filler : kFillers) {
          SCOPED_TRACE("seed " + std::to_string(seed) + ", cut at " + std::to_string(cut) +
                       ", filler " + std::to_string(static_cast<int>(filler)));
          for (int64_t i = cut; i < std::min(size, at[4] + 4096); ++i) {
            log.bytes()[i] = byte_of(filler, old.bytes()[i], random);
          }
          const auto partition = log.open(2);
          torture.count();
          const int64_t whole = cut < at[3] ? 2 : 3;  // batches; more if only padding was cut
          const int64_t end = is_synced ? log.end() : partition->ends().log_end_offset;
          if (!is_synced) {
            ASSERT_GE(end, log.bases()[static_cast<size_t>(whole)]);
          }
          const Delivery got =
              read_past_damage(*partition, 0, is_synced ? end : last_data(*partition));
          ASSERT_EQ(got.wrong, "");
          ASSERT_GE(got.records, log.bases()[static_cast<size_t>(whole)]);
          ASSERT_EQ(got.records % rows, 0);
          if (!is_synced) {
            ASSERT_TRUE(got.lost.empty());
          }
          if (torture.cases() % kVerifyEvery == 0) log.expect_verify_agrees(got);
          append_rows(*partition, rows, GetParam().codec);
          const int64_t new_end = partition->ends().log_end_offset;
          const Delivery more = read_past_damage(*partition, new_end - rows, new_end);
          ASSERT_EQ(more.records, rows);
          log.restore();
        }
      }
    }
  }
}

// Anywhere in a large log. A commit tries it on a smaller one. Opening a large log costs more than
// reading three of its batches, so many are hit at once, each with its neighbours whole.
TEST(LargeLogDamageTest, AFlippedBitCostsAtMostItsBatch) {
  constexpr int64_t kSegment = int64_t{16} << 20;
  constexpr int64_t kRows = 500;
  constexpr uint64_t kUsual = 500;
  constexpr int64_t kApart = 3;  // batches
  Torture torture(kUsual);
  const bool is_large = torture.wanted() > kUsual;
  const int64_t batches = (is_large ? int64_t{1} << 30 : int64_t{32} << 20) / 17'500;
  DamagedLog log(kSegment, true, [&](Partition& partition) {
    for (int64_t i = 0; i < batches; ++i) append_rows(partition, kRows, Codec::kNone);
  });
  const auto at_once = static_cast<size_t>(batches / (4 * kApart));
  struct Place {
    BatchPlace place;
    uint64_t bits;
  };
  std::vector<Place> places;
  {
    const auto reader = log.open(1)->reader(0);
    while (const auto batch = reader->next()) {
      places.push_back({batch->place(), 8 * static_cast<uint64_t>(batch->header().total_length)});
    }
  }
  ASSERT_EQ(places.size(), static_cast<size_t>(batches));
  while (torture.goes_on()) {
    const uint64_t seed = torture.next_seed();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    std::map<int64_t, int64_t> bits;  // by batch: which bit of its file
    while (bits.size() < at_once) {
      const auto number = static_cast<int64_t>(random() % static_cast<uint64_t>(batches));
      const auto next = bits.lower_bound(number);
      if (next != bits.end() && next->first < number + kApart) continue;
      if (next != bits.begin() && std::prev(next)->first > number - kApart) continue;
      const Place& hit = places[static_cast<size_t>(number)];
      bits[number] = hit.place.file_position * 8 + static_cast<int64_t>(random() % hit.bits);
    }
    const auto flip_all = [&] {
      for (const auto& [number, bit] : bits) {
        flip_bit(places[static_cast<size_t>(number)].place.path, bit);
      }
    };
    flip_all();
    const auto partition = log.open(1);
    for (const auto& [number, bit] : bits) {
      SCOPED_TRACE("batch " + std::to_string(number) + ", bit " + std::to_string(bit));
      const OffsetRange hit = log.batch(number);
      const int64_t begin = std::max<int64_t>(0, hit.begin - kRows);
      const int64_t end = std::min(log.end(), hit.end + kRows);
      const Delivery got = read_past_damage(*partition, begin, end);
      torture.count();
      ASSERT_EQ(got.wrong, "");
      ASSERT_LE(got.lost.size(), 1u);
      if (!got.lost.empty()) {
        ASSERT_EQ(got.lost[0], hit);
      }
    }
    flip_all();
  }
}

}  // namespace
}  // namespace pystream::storage
