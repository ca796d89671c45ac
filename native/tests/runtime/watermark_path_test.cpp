#include "runtime/watermark_path.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "columns/builder.hpp"

namespace pystream::runtime {
namespace {

using windows::kMaxWatermark;
using windows::kMinWatermark;

template <typename T>
Array times_of(const DataType& type, const std::vector<int64_t>& times) {
  FixedBuilder<T> builder(type);
  for (const int64_t time : times) builder.append(static_cast<T>(time));
  return builder.finish();
}

// Gives the first column of batches as their event time.
class FakeReader final : public SourceReader {
 public:
  void next_round(const RoundLimits&, std::vector<SourceBatch>*) override {}
  bool has_ended() const override { return false; }
  int64_t watermark() const override { return kMinWatermark; }
  RecordBatch read(const SourceBatch& batch) const override { return batch.memory; }
  Array event_time(const SourceBatch& batch) const override { return batch.memory.columns[0]; }
  std::string state_layout() const override { return ""; }
  void write_state(state::StateWriter*) const override {}
  void read_state(const state::StateReader&) override {}
};

// Random batches of several partitions, and every watermark that they take, one after the other.
struct Stream {
  explicit Stream(uint32_t seed) : random(seed) {}

  int64_t draw(int64_t from, int64_t to) {
    return std::uniform_int_distribution<int64_t>(from, to)(random);
  }
  void fill(bool is_idle, bool is_narrow) {
    const int partitions = static_cast<int>(draw(1, 3));
    delay = draw(-1, 20);
    WatermarkTracker tracker(partitions, delay);
    const DataType type = is_narrow ? DataType::of(TypeId::kDate32) : DataType::of(TypeId::kInt64);
    if (is_idle) tracker.set_idleness({draw(1, 4), draw(0, 1) == 1}, DataType::of(TypeId::kInt64));
    int64_t clock = draw(-100, 100);
    int64_t now = 1'000;
    for (int64_t batches = draw(0, 12); batches > 0; --batches) {
      std::vector<int64_t> times;
      for (int64_t rows = draw(1, 200); rows > 0; --rows) {
        clock += draw(0, 3);
        times.push_back(clock - draw(0, 15));
      }
      SourceBatch batch;
      batch.partition = static_cast<int>(draw(0, partitions - 1));
      batch.num_rows = static_cast<int64_t>(times.size());
      batch.memory.num_rows = batch.num_rows;
      batch.memory.columns = {is_narrow ? times_of<int32_t>(type, times)
                                        : times_of<int64_t>(type, times)};
      const auto [low, high] = std::minmax_element(times.begin(), times.end());
      now += draw(0, 6'000);
      batch.marks = tracker.observe(batch.partition, *low, *high, now);
      for (const WatermarkStep& step : batch.marks.steps) take(step);
      taken.push_back(batch.marks.before);
      int64_t own = batch.marks.own_before;
      for (const int64_t time : times) {
        own = std::max(own, time);
        taken.push_back(
            std::max(batch.marks.before, watermark_of(std::min(own, batch.marks.others), delay)));
      }
      round.push_back(std::move(batch));
    }
  }
  void take(const WatermarkStep& step) {
    if (step.is_gradual) {
      for (int64_t value = taken.back() + 1; value < step.to; ++value) taken.push_back(value);
    }
    taken.push_back(step.to);
  }

  std::mt19937 random;
  int64_t delay = 0;
  std::vector<SourceBatch> round;
  std::vector<int64_t> taken = {kMinWatermark};
};

void expect_every_moment_to_find_its_watermark(bool is_idle, bool is_narrow) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    Stream stream(seed);
    stream.fill(is_idle, is_narrow);
    const FakeReader reader;
    WatermarkPath path(&reader, stream.delay);
    path.begin(kMinWatermark);
    for (const SourceBatch& batch : stream.round) path.add(batch);
    ASSERT_TRUE(std::is_sorted(stream.taken.begin(), stream.taken.end()));
    for (int64_t moment = -150; moment < 3'000; moment += stream.draw(1, 7)) {
      const auto beyond = std::upper_bound(stream.taken.begin(), stream.taken.end(), moment);
      ASSERT_EQ(path.last_until(moment), *std::prev(beyond)) << "seed " << seed << ", " << moment;
    }
  }
}

TEST(WatermarkPath, FindsTheLastWatermarkUpToAMoment) {
  expect_every_moment_to_find_its_watermark(false, false);
}

TEST(WatermarkPath, FindsItInDays) { expect_every_moment_to_find_its_watermark(false, true); }

TEST(WatermarkPath, FindsItWherePartitionsBecomeIdle) {
  expect_every_moment_to_find_its_watermark(true, false);
}

TEST(WatermarkPath, BeginsAtTheWatermarkThatWasInForce) {
  const FakeReader reader;
  WatermarkPath path(&reader, 0);
  path.begin(10);
  EXPECT_EQ(path.last_until(12), 10);
  path.add(WatermarkStep{20, false});
  path.add(WatermarkStep{15, false});  // it never goes back
  path.add(WatermarkStep{25, true});
  path.add(WatermarkStep{kMaxWatermark, false});
  EXPECT_EQ(path.last_until(19), 10);
  EXPECT_EQ(path.last_until(20), 20);
  EXPECT_EQ(path.last_until(23), 23);
  EXPECT_EQ(path.last_until(kMaxWatermark - 1), 25);
  path.begin(30);
  EXPECT_EQ(path.last_until(40), 30);
}

TEST(WatermarkPath, FindsTheWatermarkOfEachRow) {
  const FakeReader reader;
  WatermarkPath path(&reader, 0);
  path.begin(10);
  path.add(WatermarkStep{20, false});
  windows::RowWatermarks moments;
  moments.all = 15;
  moments.first_arrival = 7;
  MutableBuffer per_row;
  for (const int64_t moment : {15, 15, 20, 99}) per_row.append(&moment, sizeof(moment));
  moments.per_row = per_row.freeze();
  const windows::RowWatermarks found = path.last_until(moments, 4);
  EXPECT_EQ(found.all, 10);
  EXPECT_EQ(found.first_arrival, 7);
  const int64_t* rows = found.per_row.as<int64_t>();
  EXPECT_EQ(std::vector<int64_t>(rows, rows + 4), (std::vector<int64_t>{10, 10, 20, 20}));
}

}  // namespace
}  // namespace pystream::runtime
