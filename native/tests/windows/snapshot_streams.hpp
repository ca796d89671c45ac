#pragma once
// Test support: random streams of many column types, and operators that may run as several
// instances, each with its key groups, and be replaced by others in the middle of a stream.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "columns/arrow_c.hpp"
#include "state/snapshot.hpp"
#include "window_rows.hpp"

namespace pystream::windows {

// All of a value, where value_text() would cut it; floats as far as they do not depend on the order
// of additions.
inline std::string whole_text(const Array& array, int64_t i, bool is_exact) {
  if (!array.is_valid(i)) return "null";
  if (array.is_encoded()) return whole_text(*array.dictionary, array.codes()[i], is_exact);
  if (array.type.id == TypeId::kFloat64) {
    const double value = array.data<double>()[i];
    char text[32];
    // Moved a little, so that none lies in the middle between two texts.
    std::snprintf(text, sizeof(text), is_exact ? "%.17g" : "%.9g",
                  is_exact ? value : value * 1.00000000037);
    return text;
  }
  if (array.type.is_var_binary()) return "'" + std::string(array.view(i)) + "'";
  if (!array.type.is_list()) return value_text(array, i);
  std::string text = "[";
  const int32_t* offsets = array.offsets.as<int32_t>() + i;
  for (int32_t at = offsets[0]; at < offsets[1]; ++at)
    text += whole_text(*array.elements, at, is_exact) + ",";
  return text + "]";
}

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  int64_t below(int64_t n) { return static_cast<int64_t>(engine_() % static_cast<uint64_t>(n)); }
  bool one_in(int64_t n) { return below(n) == 0; }

 private:
  std::mt19937_64 engine_;
};

// Columns 0 and 1 are keys, 2 is the event time; the others are values.
inline RecordBatch random_rows(Random* random, int64_t count, int64_t keys, int64_t* clock,
                               int64_t disorder) {
  std::vector<std::optional<std::string>> names, texts;
  std::vector<std::optional<double>> seats, reals;
  std::vector<std::optional<int64_t>> times, wholes, flags_as_numbers;
  std::vector<std::optional<uint64_t>> larges;
  std::vector<std::optional<int16_t>> smalls;
  std::vector<std::optional<float>> singles;
  std::vector<std::optional<int32_t>> days;
  std::vector<std::optional<__int128>> prices;
  BitmapBuilder flags;
  const auto maybe = [&](auto value) {
    return random->one_in(8) ? std::nullopt : std::optional(value);
  };
  for (int64_t i = 0; i < count; ++i) {
    *clock += random->below(3);
    if (random->one_in(200)) *clock += random->below(3000);
    const int64_t key = random->below(keys);
    names.push_back(key == 0 ? std::nullopt : std::optional("key " + std::to_string(key)));
    const double odd[] = {0.0, -0.0, std::nan(""), 1.5};
    seats.push_back(odd[random->below(4)]);
    times.push_back(*clock - random->below(disorder));
    wholes.push_back(maybe(random->below(2000) - 1000));
    larges.push_back(maybe(UINT64_MAX - static_cast<uint64_t>(random->below(50))));
    smalls.push_back(maybe(static_cast<int16_t>(random->below(400) - 200)));
    const double real = static_cast<double>(random->below(4000) - 2000) / 4;
    reals.push_back(maybe(random->one_in(10) ? std::nan("") : real));
    singles.push_back(maybe(static_cast<float>(random->below(100)) / 8));
    days.push_back(maybe(static_cast<int32_t>(random->below(1000))));
    const __int128 price = static_cast<__int128>(random->below(INT64_MAX)) * INT32_MAX;
    prices.push_back(maybe(random->one_in(2) ? -price : price));
    texts.push_back(maybe(std::string(static_cast<size_t>(random->below(12)), 'x') +
                          std::to_string(random->below(30))));
    flags.append(random->one_in(2));
  }
  DataType price = DataType::of(TypeId::kDecimal128);
  price.precision = 38;
  price.scale = 2;
  Array flag;
  flag.type = DataType::of(TypeId::kBool);
  flag.length = count;
  flag.values = flags.finish();
  Array name = make_strings(names);
  if (random->one_in(2)) name = encode_dictionary(name);
  return make_batch({{"name", name},
                     {"seat", make_column<double>(DataType::of(TypeId::kFloat64), seats)},
                     {"ts", make_column<int64_t>(DataType::timestamp(TimeUnit::kMilli), times)},
                     {"whole", make_column<int64_t>(DataType::of(TypeId::kInt64), wholes)},
                     {"large", make_column<uint64_t>(DataType::of(TypeId::kUInt64), larges)},
                     {"small", make_column<int16_t>(DataType::of(TypeId::kInt16), smalls)},
                     {"real", make_column<double>(DataType::of(TypeId::kFloat64), reals)},
                     {"single", make_column<float>(DataType::of(TypeId::kFloat32), singles)},
                     {"day", make_column<int32_t>(DataType::of(TypeId::kDate32), days)},
                     {"price", make_column<__int128>(price, prices)},
                     {"text", make_strings(texts)},
                     {"flag", flag}});
}

// Every built-in aggregate, over columns of several types.
inline std::vector<AggregateSpec> all_aggregates() {
  using Kind = AggregateKind;
  std::vector<AggregateSpec> all = {{Kind::kCountAll, -1, "n"}};
  const auto add = [&](Kind kind, int column, int by = -1) -> AggregateSpec& {
    all.push_back({kind, column, "a" + std::to_string(all.size()), by});
    return all.back();
  };
  for (const int column : {3, 4, 5, 6, 7, 9}) {
    for (const Kind kind : {Kind::kCount, Kind::kSum, Kind::kMean, Kind::kMin, Kind::kMax}) {
      const bool fits = kind != Kind::kSum || column != 4;  // two of these pass a uint64
      if (fits) add(kind, column);
    }
    add(Kind::kApproxQuantile, column).relative_error = 0.01;
    all.back().quantile = 0.5;
  }
  for (const Kind kind : {Kind::kVarSamp, Kind::kStddevPop}) add(kind, 3), add(kind, 6);
  for (const int column : {8, 10}) add(Kind::kMin, column), add(Kind::kMax, column);
  add(Kind::kAny, 11), add(Kind::kAll, 11);
  for (const int column : {3, 6, 9, 10, 11}) {
    add(Kind::kFirst, column), add(Kind::kLast, column);
    add(Kind::kArgMin, column, 5), add(Kind::kArgMax, column, 6), add(Kind::kArgMin, column, 9);
    add(Kind::kArgMax, column, 4);
    add(Kind::kCountDistinct, column), add(Kind::kApproxCountDistinct, column);
    add(Kind::kCollectList, column);
    add(Kind::kTopK, column).k = 3;
    add(Kind::kBottomK, column).k = 2;
  }
  add(Kind::kApproxQuantiles, 7).relative_error = 0.05;
  all.back().quantiles = {0, 0.9, 1};
  return all;
}

// One instance of an operator; what it emits is noted as text.
class Instance {
 public:
  virtual ~Instance() = default;
  virtual void add(const RecordBatch& rows, const RowWatermarks& watermarks) = 0;
  virtual void advance(int64_t watermark) = 0;
  virtual void snapshot(state::StateWriter* writer) = 0;
  virtual void restore(const state::StateReader& reader, state::KeyGroupRange range) = 0;

  std::vector<std::string> emitted;
  bool is_exact = false;

 protected:
  void note(const RecordBatch& rows) {
    for (int64_t i = 0; i < rows.num_rows; ++i) {
      std::string text;
      for (const Array& column : rows.columns) text += whole_text(column, i, is_exact) + " | ";
      emitted.push_back(text);
    }
  }
  void note_late(const RecordBatch& rows, const std::vector<int32_t>& late) {
    for (const int32_t row : late) {
      emitted.push_back("late " + whole_text(rows.columns[0], row, is_exact) + " " +
                        whole_text(rows.columns[2], row, is_exact));
    }
  }
};

using MakeInstance = std::function<std::unique_ptr<Instance>()>;

// Through the C data interface, as another tool would get it and give it back.
inline state::Snapshot through_arrow(const state::Snapshot& snapshot) {
  state::Snapshot back;
  for (const state::StateTable& table : snapshot.tables) {
    ArrowSchema schema;
    export_schema(*table.schema, &schema);
    back.tables.push_back({table.name, import_schema(schema), {}});
    for (const RecordBatch& batch : table.batches) {
      ArrowArray array;
      export_array(batch, &array);
      back.tables.back().batches.push_back(import_array(schema, &array));
    }
    schema.release(&schema);
  }
  return back;
}

struct StreamOptions {
  std::vector<int> keys = {0};
  int64_t bound = 20;     // of the watermark
  int64_t disorder = 40;  // of the rows
  int64_t batches = 24;
  int64_t batch_rows = 40;
  int64_t distinct_keys = 12;
  // Instances that may follow. With one alone, floats are the same to the last bit.
  std::vector<int> counts = {1, 2, 3, 7};
};

// Runs a stream through an operator. With `cuts`, instances are replaced by others, of another
// number, after random batches. Returns what was emitted, sorted.
inline std::vector<std::string> run_stream(const MakeInstance& make, const StreamOptions& options,
                                           uint64_t seed, bool cuts, int* restores) {
  Random random(seed);
  Random cutter(seed + 1);
  constexpr int kGroups = state::kDefaultMaxParallelism;
  std::vector<std::unique_ptr<Instance>> instances;
  const auto add_instance = [&] {
    instances.push_back(make());
    instances.back()->is_exact = options.counts.size() == 1;
  };
  add_instance();
  std::vector<std::string> emitted;
  const auto collect = [&] {
    for (auto& instance : instances) {
      emitted.insert(emitted.end(), instance->emitted.begin(), instance->emitted.end());
      instance->emitted.clear();
    }
  };
  int64_t clock = random.below(1000) - 500;
  int64_t watermark = kMinWatermark;
  int64_t arrivals = 0;
  for (int64_t number = 0; number < options.batches; ++number) {
    const RecordBatch rows = random_rows(&random, 1 + random.below(options.batch_rows),
                                         options.distinct_keys, &clock, options.disorder);
    std::vector<int64_t> in_force;
    const auto* times = rows.columns[2].data<int64_t>();
    for (int64_t i = 0; i < rows.num_rows; ++i) {
      in_force.push_back(watermark);
      watermark = std::max(watermark, times[i] - options.bound - 1);
    }
    std::vector<const Array*> keys;
    for (const int key : options.keys) keys.push_back(&rows.columns[static_cast<size_t>(key)]);
    const std::vector<int32_t> groups = state::key_groups(keys, rows.num_rows, kGroups);
    const auto parallelism = static_cast<int>(instances.size());
    for (int at = 0; at < parallelism; ++at) {
      std::vector<int32_t> own;
      MutableBuffer seen;
      for (int32_t i = 0; i < rows.num_rows; ++i) {
        if (state::instance_of(groups[static_cast<size_t>(i)], parallelism, kGroups) != at)
          continue;
        own.push_back(i);
        seen.append(&in_force[static_cast<size_t>(i)], 8);
      }
      if (own.empty()) continue;
      RowWatermarks watermarks;
      watermarks.per_row = seen.freeze();
      watermarks.first_arrival = arrivals;
      instances[static_cast<size_t>(at)]->add(rows.take(own), watermarks);
    }
    arrivals += rows.num_rows;
    for (auto& instance : instances) instance->advance(watermark);
    collect();
    if (!cuts || !cutter.one_in(4)) continue;
    std::vector<state::Snapshot> snapshots;
    for (auto& instance : instances) {
      state::StateWriter writer;
      instance->snapshot(&writer);
      snapshots.push_back(through_arrow(writer.finish()));
    }
    const state::StateReader reader(std::move(snapshots));
    const int next =
        options
            .counts[static_cast<size_t>(cutter.below(static_cast<int64_t>(options.counts.size())))];
    instances.clear();
    for (int at = 0; at < next; ++at) {
      add_instance();
      instances.back()->restore(reader, state::key_group_range(at, next, kGroups));
      ++*restores;
    }
  }
  for (auto& instance : instances) instance->advance(kMaxWatermark);
  collect();
  std::sort(emitted.begin(), emitted.end());
  return emitted;
}

// That a stream gives the same whether or not its operator was replaced on the way.
inline void expect_same_when_restored(const MakeInstance& make, const StreamOptions& options,
                                      uint64_t seeds) {
  int restores = 0;
  size_t rows = 0;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    int none = 0;
    const auto expected = run_stream(make, options, seed, false, &none);
    const auto got = run_stream(make, options, seed, true, &restores);
    ASSERT_EQ(got.size(), expected.size()) << "seed " << seed;
    for (size_t i = 0; i < got.size(); ++i) {
      ASSERT_EQ(got[i], expected[i]) << "seed " << seed;
    }
    rows += expected.size();
  }
  EXPECT_GT(restores, static_cast<int>(seeds));
  EXPECT_GT(rows, seeds);
}

}  // namespace pystream::windows
