// Random streams against a model that takes one record at a time, whatever the cuts into batches,
// the threads and the rounds.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "window_rows.hpp"
#include "windows/window_aggregation.hpp"

namespace pystream::windows {
namespace {

struct Record {
  int64_t time;
  std::optional<int64_t> key;
  std::optional<int64_t> whole;
  std::optional<double> real;
  int partition;
};

struct Stream {
  WindowSpec window;
  int64_t bound = 0;  // of out-of-orderness
  int64_t lateness = 0;
  int partitions = 1;
  std::vector<Record> records;
};

struct Outcome {
  std::set<std::vector<std::string>> rows;
  std::vector<int64_t> late;
};

int64_t floor_mod(int64_t a, int64_t b) { return ((a % b) + b) % b; }

// The watermark before each record, and at the end.
std::vector<int64_t> watermarks_of(const Stream& stream) {
  std::vector<std::optional<int64_t>> largest(static_cast<size_t>(stream.partitions));
  std::vector<int64_t> watermarks;
  const auto current = [&] {
    int64_t lowest = kMaxWatermark;
    for (const auto& time : largest) {
      lowest = std::min(lowest, time ? *time - stream.bound - 1 : kMinWatermark);
    }
    return lowest;
  };
  for (const Record& record : stream.records) {
    watermarks.push_back(current());
    auto& time = largest[static_cast<size_t>(record.partition)];
    time = std::max(time.value_or(record.time), record.time);
  }
  watermarks.push_back(current());
  return watermarks;
}

std::string text(const std::optional<int64_t>& value) {
  return value ? std::to_string(*value) : "null";
}

struct Group {
  int64_t rows = 0, wholes = 0, whole_sum = 0, reals = 0;
  std::optional<int64_t> min, max;
  double real_sum = 0;
  std::optional<double> real_max;
};

std::vector<std::string> row_of(const WindowSpec& window, int64_t start,
                                const std::optional<int64_t>& key, const Group& group) {
  const auto whole = [](double value) { return std::to_string(static_cast<int64_t>(value)); };
  return {text(key),
          std::to_string(start),
          std::to_string(start + window.size),
          std::to_string(group.rows),
          std::to_string(group.wholes),
          group.wholes ? std::to_string(group.whole_sum) : "null",
          text(group.min),
          text(group.max),
          group.reals ? whole(group.real_sum) : "null",
          group.reals ? whole(*group.real_max) : "null"};
}

Outcome model(const Stream& stream) {
  const std::vector<int64_t> watermarks = watermarks_of(stream);
  std::map<std::pair<int64_t, std::optional<int64_t>>, Group> groups;
  Outcome outcome;
  const WindowSpec& w = stream.window;
  for (size_t i = 0; i < stream.records.size(); ++i) {
    const Record& record = stream.records[i];
    bool is_late = record.time + stream.lateness <= watermarks[i];
    for (int64_t start = record.time - floor_mod(record.time - w.offset, w.slide);
         start > record.time - w.size; start -= w.slide) {
      const int64_t last = start + w.size - 1;
      if (last + stream.lateness <= watermarks[i]) continue;
      is_late = false;
      const auto [entry, is_new] = groups.try_emplace({start, record.key});
      Group& group = entry->second;
      // What was there when the window closed has been shown; then every row shows it again.
      const bool is_behind = last <= watermarks[i];
      if (is_behind && !is_new) {
        outcome.rows.insert(row_of(w, start, record.key, group));
      }
      ++group.rows;
      if (record.whole) {
        ++group.wholes;
        group.whole_sum += *record.whole;
        group.min = std::min(group.min.value_or(*record.whole), *record.whole);
        group.max = std::max(group.max.value_or(*record.whole), *record.whole);
      }
      if (record.real) {
        ++group.reals;
        group.real_sum += *record.real;
        group.real_max = std::max(group.real_max.value_or(*record.real), *record.real);
      }
    }
    if (is_late) outcome.late.push_back(static_cast<int64_t>(i));
  }
  for (const auto& [place, group] : groups) {
    outcome.rows.insert(row_of(w, place.first, place.second, group));
  }
  return outcome;
}

RecordBatch batch_of(const std::vector<const Record*>& records, bool encode_keys) {
  std::vector<std::optional<int64_t>> keys, times, wholes;
  std::vector<std::optional<double>> reals;
  std::vector<std::optional<int32_t>> codes;
  for (const Record* record : records) {
    keys.push_back(record->key);
    times.push_back(record->time);
    wholes.push_back(record->whole);
    reals.push_back(record->real);
    codes.push_back(std::nullopt);
    if (record->key) codes.back() = static_cast<int32_t>(*record->key);
  }
  Array key = make_column<int64_t>(DataType::of(TypeId::kInt64), keys);
  if (encode_keys) {
    std::vector<std::optional<int64_t>> entries;
    for (int64_t entry = 0; entry < 64; ++entry) entries.push_back(entry);
    key = make_encoded(make_column<int64_t>(DataType::of(TypeId::kInt64), entries), codes);
  }
  return make_batch({{"key", key},
                     {"ts", make_column<int64_t>(DataType::timestamp(TimeUnit::kMicro), times)},
                     {"whole", make_column<int64_t>(DataType::of(TypeId::kInt64), wholes)},
                     {"real", make_column<double>(DataType::of(TypeId::kFloat64), reals)}});
}

WindowAggregationSpec spec_of(const Stream& stream) {
  WindowAggregationSpec spec;
  spec.window = stream.window;
  spec.allowed_lateness = stream.lateness;
  spec.key_columns = {0};
  spec.event_time_column = 1;
  spec.aggregates = {{AggregateKind::kCountAll, -1, "n"}, {AggregateKind::kCount, 2, "wholes"},
                     {AggregateKind::kSum, 2, "sum"},     {AggregateKind::kMin, 2, "min"},
                     {AggregateKind::kMax, 2, "max"},     {AggregateKind::kSum, 3, "real_sum"},
                     {AggregateKind::kMax, 3, "real_max"}};
  return spec;
}

// Feeds the stream in random batches to random threads and advances after random batches.
Outcome run(const Stream& stream, int threads, size_t largest_batch, std::mt19937_64* random) {
  const std::vector<int64_t> watermarks = watermarks_of(stream);
  Harness harness(spec_of(stream), batch_of({}, false).schema, threads);
  Outcome outcome;
  const auto note = [&](const Rows& rows) {
    for (const auto& row : rows) {
      EXPECT_TRUE(outcome.rows.insert(row).second) << "a pane was emitted twice";
    }
  };
  const auto advance = [&](int64_t watermark) {
    note(harness.add_behind());
    note(harness.advance(watermark));
  };
  for (size_t begin = 0; begin < stream.records.size();) {
    const size_t end = std::min(stream.records.size(), begin + 1 + (*random)() % largest_batch);
    std::vector<const Record*> records;
    std::vector<int64_t> per_row;
    int64_t min_time = INT64_MAX;
    for (size_t i = begin; i < end; ++i) {
      records.push_back(&stream.records[i]);
      per_row.push_back(watermarks[i]);
      min_time = std::min(min_time, stream.records[i].time);
    }
    harness.late.clear();
    const int thread = static_cast<int>((*random)() % static_cast<size_t>(threads));
    const RecordBatch batch = batch_of(records, (*random)() % 2 == 0);
    if (!harness.aggregation.may_be_late(min_time, per_row.back()) && (*random)() % 2 == 0) {
      harness.add(batch, kMinWatermark, thread);
    } else {
      harness.add(batch, per_row, thread);
    }
    EXPECT_TRUE(std::is_sorted(harness.late.begin(), harness.late.end()));
    for (const int32_t row : harness.late) {
      outcome.late.push_back(static_cast<int64_t>(begin) + row);
    }
    begin = end;
    if ((*random)() % 3 == 0) advance(watermarks[begin]);
  }
  advance(kMaxWatermark);
  EXPECT_EQ(harness.aggregation.open_slices(), 0);
  return outcome;
}

Stream random_stream(std::mt19937_64* random) {
  const auto below = [&](int64_t n) {
    return static_cast<int64_t>((*random)() % static_cast<uint64_t>(n));
  };
  Stream stream;
  stream.window.size = 1 + below(60);
  stream.window.slide = below(3) == 0 ? stream.window.size : 1 + below(stream.window.size + 5);
  stream.window.offset = below(2 * stream.window.slide - 1) - stream.window.slide + 1;
  stream.bound = below(40);
  stream.partitions = static_cast<int>(1 + below(3));
  stream.lateness = below(2) * below(100);
  const int64_t disorder = 1 + below(80);
  const int64_t keys = 1 + below(20);
  int64_t clock = below(400) - 200;
  const int64_t count = below(600);
  for (int64_t i = 0; i < count; ++i) {
    clock += below(4);
    if (below(100) == 0) clock += below(1'000'000);  // a gap
    Record record{clock - below(disorder), below(keys), below(1000) - 500,
                  static_cast<double>(below(1000) - 500),
                  static_cast<int>(below(stream.partitions))};
    if (below(10) == 0) record.key.reset();
    if (below(5) == 0) record.whole.reset();
    if (below(5) == 0) record.real.reset();
    stream.records.push_back(record);
  }
  return stream;
}

TEST(Differential, AgreesWithTheModelWhateverTheCuts) {
  int64_t late = 0;
  int64_t rows = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    std::mt19937_64 random(seed);
    const Stream stream = random_stream(&random);
    const Outcome expected = model(stream);
    for (int round = 0; round < 3; ++round) {
      const int threads = 1 + round % 2;
      const Outcome got = run(stream, threads, round == 2 ? 4 : 200, &random);
      ASSERT_EQ(got.rows, expected.rows)
          << "seed " << seed << ", size " << stream.window.size << ", slide " << stream.window.slide
          << ", offset " << stream.window.offset;
      ASSERT_EQ(got.late, expected.late) << "seed " << seed;
    }
    late += static_cast<int64_t>(expected.late.size());
    rows += static_cast<int64_t>(expected.rows.size());
  }
  EXPECT_GT(late, 500);
  EXPECT_GT(rows, 5000);
}

// Sums of floats depend on the order of additions, which must not depend on the cuts.
TEST(Differential, FloatSumsAreBitwiseTheSameWhateverTheCuts) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    std::mt19937_64 random(seed);
    Stream stream = random_stream(&random);
    for (Record& record : stream.records) {
      if (record.real) *record.real = std::uniform_real_distribution<double>(-1e9, 1e9)(random);
    }
    const Outcome whole = run(stream, 1, stream.records.size() + 1, &random);
    const Outcome cut = run(stream, 1, 5, &random);
    ASSERT_EQ(whole.rows, cut.rows) << "seed " << seed;
  }
}

}  // namespace
}  // namespace pystream::windows
