#include "events.hpp"

#include <cstdio>
#include <memory>

#include "columns/builder.hpp"

namespace pystream::gate {
namespace {

Array key_text_column(int64_t keys) {
  VarBinaryBuilder builder(DataType::of(TypeId::kString));
  uint64_t state = 3;
  for (int64_t i = 0; i < kRows; ++i) {
    char text[32];
    const auto key = static_cast<long long>(next_random(&state) % static_cast<uint64_t>(keys));
    std::snprintf(text, sizeof(text), "customer-%015lld", key);
    builder.append(text);
  }
  return builder.finish();
}

}  // namespace

uint64_t next_random(uint64_t* state) {  // splitmix64
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

Array int64_column(const DataType& type, const std::function<int64_t(int64_t)>& value) {
  FixedBuilder<int64_t> builder(type);
  for (int64_t i = 0; i < kRows; ++i) builder.append(value(i));
  return builder.finish();
}

RecordBatch events(int64_t keys, bool text) {
  uint64_t state = 1;
  FixedBuilder<double> values(DataType::of(TypeId::kFloat64));
  for (int64_t i = 0; i < kRows; ++i) {
    values.append(static_cast<double>(next_random(&state) >> 11) * 0x1p-53);
  }
  uint64_t other = 2;
  const auto random_key = [&](int64_t) {
    return static_cast<int64_t>(next_random(&other) % static_cast<uint64_t>(keys));
  };
  RecordBatch batch;
  batch.num_rows = kRows;
  batch.columns = {
      int64_column(DataType::timestamp(TimeUnit::kMilli),
                   [](int64_t i) { return kFirstMs + i / kRowsPerMs; }),
      text ? key_text_column(keys) : int64_column(DataType::of(TypeId::kInt64), random_key),
      values.finish()};
  batch.schema = std::make_shared<Schema>(Schema{{{"ts", batch.columns[0].type, true},
                                                  {"key", batch.columns[1].type, true},
                                                  {"value", batch.columns[2].type, true}}});
  return batch;
}

RecordBatch at_times(const RecordBatch& batch, const std::function<int64_t(int64_t)>& time) {
  RecordBatch moved = batch;
  moved.columns[0] = int64_column(batch.columns[0].type, time);
  return moved;
}

}  // namespace pystream::gate
