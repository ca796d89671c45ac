// The hot kernels, one per run: `gate_kernels NAME` prepares fixed input, then works inside
// gate_measured(), which is where the instruction counter is switched on. Without a name: a list.

#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/crc32c.hpp"
#include "columns/builder.hpp"
#include "expressions/expression.hpp"
#include "storage/batch_encoder.hpp"
#include "storage/log_batch.hpp"
#include "storage/partitioner.hpp"
#include "windows/count_aggregation.hpp"
#include "windows/session_aggregation.hpp"
#include "windows/triggered_aggregation.hpp"
#include "windows/window_aggregation.hpp"

extern "C" __attribute__((noinline)) void gate_measured(const std::function<void()>* work) {
  (*work)();
}

namespace {

using namespace pystream;  // a program of one file

constexpr int64_t kRows = 65'536;

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

// ts: timestamp[ms] in order, key: int64 or string, value: float64.
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
                   [](int64_t i) { return 1'357'000'000'000 + i / 200; }),
      text ? key_text_column(keys) : int64_column(DataType::of(TypeId::kInt64), random_key),
      values.finish()};
  batch.schema = std::make_shared<Schema>(Schema{{{"ts", batch.columns[0].type, true},
                                                  {"key", batch.columns[1].type, true},
                                                  {"value", batch.columns[2].type, true}}});
  return batch;
}

using Work = std::function<void()>;

Work encode(const RecordBatch& batch, std::vector<int> keys, storage::Codec codec) {
  return [batch, keys = std::move(keys), codec] {
    storage::EncodeOptions options;
    options.key_columns = keys;
    options.codec = codec;
    (void)storage::encode_batch(batch, storage::Timestamps{}, nullptr, options);
  };
}

// A batch as it lies in a file, with an owner.
std::shared_ptr<MutableBuffer> stored(const RecordBatch& batch) {
  storage::EncodedBatch encoded =
      storage::encode_batch(batch, storage::Timestamps{}, nullptr, storage::EncodeOptions{});
  storage::stamp_batch(&encoded, storage::Stamp{});
  auto bytes = std::make_shared<MutableBuffer>(encoded.total_length);
  std::memset(bytes->data(), 0, static_cast<size_t>(encoded.total_length));
  std::memcpy(bytes->data(), encoded.head.data(), encoded.head.size());
  int64_t at = static_cast<int64_t>(encoded.head.size());
  for (const Buffer& part : encoded.body) {
    std::memcpy(bytes->data() + at, part.data, static_cast<size_t>(part.size));
    at += round_up_64(part.size);
  }
  return bytes;
}

Work read_verified(const RecordBatch& batch) {
  auto bytes = stored(batch);
  auto place = std::make_shared<storage::SegmentPlace>();
  return [bytes, place, schema = batch.schema] {
    const std::span<const uint8_t> span(bytes->data(), static_cast<size_t>(bytes->size()));
    storage::ParsedHeader header;
    if (storage::parse_header(span, 0, 0, &header) != storage::HeaderStatus::kOk) std::abort();
    const storage::LogBatch log_batch(span, header, bytes, schema, place, 0, nullptr, nullptr);
    (void)log_batch.read_all(storage::Verify::kAlways);
  };
}

expressions::ExpressionPtr column(std::string name) {
  auto node = std::make_shared<expressions::Expression>();
  node->kind = expressions::Expression::Kind::kColumn;
  node->column = std::move(name);
  return node;
}

expressions::ExpressionPtr call(expressions::Function function, std::string name,
                                expressions::Literal operand) {
  auto literal = std::make_shared<expressions::Expression>();
  literal->kind = expressions::Expression::Kind::kLiteral;
  literal->literal = std::move(operand);
  auto node = std::make_shared<expressions::Expression>();
  node->kind = expressions::Expression::Kind::kCall;
  node->function = function;
  node->arguments = {column(std::move(name)), literal};
  return node;
}

Work filter(const RecordBatch& batch) {
  auto condition =
      expressions::bind(*call(expressions::Function::kGreater, "value", 0.5), *batch.schema);
  return [batch, condition] {
    std::vector<int32_t> rows;
    expressions::select_true(condition->evaluate(batch), &rows);
    (void)batch.take(rows);
  };
}

Work contains(const RecordBatch& batch) {
  auto found = expressions::bind(*call(expressions::Function::kContains, "key", std::string("7")),
                                 *batch.schema);
  return [batch, found] { (void)found->evaluate(batch); };
}

Work lower(const RecordBatch& batch) {
  auto node = std::make_shared<expressions::Expression>();
  node->kind = expressions::Expression::Kind::kCall;
  node->function = expressions::Function::kLower;
  node->arguments = {column("key")};
  auto lowered = expressions::bind(*node, *batch.schema);
  return [batch, lowered] { (void)lowered->evaluate(batch); };
}

Work multiply(const RecordBatch& batch) {
  auto product =
      expressions::bind(*call(expressions::Function::kMultiply, "value", 2.0), *batch.schema);
  return [batch, product] { (void)product->evaluate(batch); };
}

const std::vector<windows::AggregateSpec> kPlainAggregates = {
    {windows::AggregateKind::kCountAll, -1, "n"},
    {windows::AggregateKind::kSum, 2, "s"},
    {windows::AggregateKind::kMin, 2, "lo"},
    {windows::AggregateKind::kMax, 2, "hi"}};
const std::vector<windows::AggregateSpec> kVariance = {{windows::AggregateKind::kVarSamp, 2, "v"}};

// One aggregate of the values, which are all different.
std::vector<windows::AggregateSpec> only(windows::AggregateKind kind) {
  windows::AggregateSpec aggregate{kind, 2, "a"};
  aggregate.quantile = 0.99;
  aggregate.relative_error = 0.01;
  return {aggregate};
}

constexpr windows::WindowSpec kTenSeconds = {10'000, 10'000, 0};

// Ten rounds of one batch and a close, so that probing outweighs the first filling of tables.
Work window(const RecordBatch& batch, windows::WindowSpec window = {10'000, 10'000, 0},
            std::vector<windows::AggregateSpec> aggregates = kPlainAggregates) {
  windows::WindowAggregationSpec spec;
  spec.window = window;
  spec.key_columns = {1};
  spec.event_time_column = 0;
  spec.aggregates = std::move(aggregates);
  return [batch, spec] {
    windows::WindowAggregation job(spec, batch.schema, 1);
    std::vector<int32_t> late;
    std::vector<int32_t> behind;
    for (int round = 0; round < 10; ++round) {
      job.add(0, batch, windows::RowWatermarks{}, &late, &behind);
    }
    job.advance(windows::kMaxWatermark, [](RecordBatch&&) {});
  };
}

// Ten batches in order, a watermark after each: sessions of which about one in fifty rows begins
// another.
Work sessions(const RecordBatch& batch) {
  windows::SessionAggregationSpec spec;
  spec.session.gap = 20;
  spec.key_columns = {1};
  spec.event_time_column = 0;
  spec.aggregates = kPlainAggregates;
  constexpr int64_t kBatchMs = kRows / 200 + 1;
  std::vector<RecordBatch> rounds(10, batch);
  for (int64_t round = 0; round < 10; ++round) {
    rounds[static_cast<size_t>(round)].columns[0] =
        int64_column(batch.columns[0].type,
                     [round](int64_t i) { return 1'357'000'000'000 + round * kBatchMs + i / 200; });
  }
  return [rounds, spec] {
    windows::SessionAggregation job(spec, rounds[0].schema);
    const auto ignore = [](RecordBatch&&, windows::RowWatermarks&&) {};
    std::vector<int32_t> late;
    for (const RecordBatch& rows : rounds) {
      windows::RowWatermarks watermarks;
      watermarks.all = rows.columns[0].data<int64_t>()[0] - 1;
      job.advance(watermarks.all, ignore);
      job.add(rows, watermarks, &late, ignore);
    }
    job.advance(windows::kMaxWatermark, ignore);
  };
}

// Sessions of one key, all of which are open, in no order of time.
Work many_sessions(const RecordBatch& batch) {
  windows::SessionAggregationSpec spec;
  spec.session.gap = 20;
  spec.event_time_column = 0;
  spec.aggregates = kPlainAggregates;
  RecordBatch rows = batch;
  rows.columns[0] = int64_column(
      batch.columns[0].type, [](int64_t i) { return 1'357'000'000'000 + i * 7919 % kRows * 30; });
  return [rows, spec] {
    windows::SessionAggregation job(spec, rows.schema);
    const auto ignore = [](RecordBatch&&, windows::RowWatermarks&&) {};
    std::vector<int32_t> late;
    job.add(rows, windows::RowWatermarks{}, &late, ignore);
    job.advance(windows::kMaxWatermark, ignore);
  };
}

// A pane for each row, and windows that hold the last hundred rows of a key.
Work update(const RecordBatch& batch) {
  windows::WindowAggregationSpec spec;
  spec.window = kTenSeconds;
  spec.key_columns = {1};
  spec.aggregates = kPlainAggregates;
  spec.trigger.every = 1;
  spec.trigger.fires_on_close = false;
  return [batch, spec] {
    windows::TriggeredAggregation job(spec, batch.schema);
    const windows::EmitPanes ignore = [](RecordBatch&&, Buffer&&) {};
    std::vector<int32_t> late;
    job.add(batch, windows::RowWatermarks{}, &late, ignore);
    job.advance(windows::kMaxWatermark, ignore);
  };
}

Work count(const RecordBatch& batch, int64_t slide) {
  windows::CountAggregationSpec spec;
  spec.size = 100;
  spec.slide = slide;
  spec.key_columns = {1};
  spec.event_time_column = 0;
  spec.aggregates = kPlainAggregates;
  return [batch, spec] {
    windows::CountAggregation job(spec, batch.schema);
    const auto ignore = [](RecordBatch&&, windows::RowWatermarks&&) {};
    for (int round = 0; round < 3; ++round) job.add(batch, windows::RowWatermarks{}, ignore);
  };
}

RecordBatch encoded_key(const RecordBatch& batch) {
  auto bytes = stored(batch);
  const std::span<const uint8_t> span(bytes->data(), static_cast<size_t>(bytes->size()));
  storage::ParsedHeader header;
  if (storage::parse_header(span, 0, 0, &header) != storage::HeaderStatus::kOk) std::abort();
  const storage::LogBatch log_batch(span, header, bytes, batch.schema,
                                    std::make_shared<storage::SegmentPlace>(), 0, nullptr, nullptr);
  RecordBatch result = log_batch.read_all();
  if (!result.columns[1].is_encoded()) std::abort();
  return result;
}

// What the others are divided by: a plain loop that no change of ours can touch.
Work reference(const RecordBatch& batch) {
  return [batch] {
    const auto* value = batch.columns[2].data<double>();
    const auto* key = batch.columns[1].data<int64_t>();
    std::vector<double> sums(1000);
    for (int64_t i = 0; i < kRows; ++i) sums[static_cast<size_t>(key[i])] += value[i];
    volatile double sink = sums[0];
    (void)sink;
  };
}

struct Kernel {
  const char* name;
  std::function<Work()> prepare;
};

const std::vector<Kernel>& kernels() {
  static const std::vector<Kernel> all = {
      {"reference", [] { return reference(events(1000, false)); }},
      {"crc32c",
       [] {
         RecordBatch batch = events(1000, false);
         return Work([batch] {
           volatile uint32_t sink =
               crc32c(0, batch.columns[2].values.data, static_cast<size_t>(kRows) * 8);
           (void)sink;
         });
       }},
      {"encode_plain", [] { return encode(events(1000, false), {}, storage::Codec::kNone); }},
      {"encode_key", [] { return encode(events(1000, false), {1}, storage::Codec::kNone); }},
      {"encode_text", [] { return encode(events(10'000, true), {1}, storage::Codec::kNone); }},
      {"read_verified", [] { return read_verified(events(1000, false)); }},
      {"partition_rows",
       [] {
         RecordBatch batch = events(10'000, true);
         return Work([batch] {
           const int keys[] = {1};
           (void)storage::partition_rows(batch, keys, 8, 0);
         });
       }},
      {"filter", [] { return filter(events(1000, false)); }},
      {"contains", [] { return contains(events(10'000, true)); }},
      {"lower", [] { return lower(events(10'000, true)); }},
      {"multiply", [] { return multiply(events(1000, false)); }},
      {"window_1k_keys", [] { return window(events(1000, false)); }},
      {"window_1m_keys", [] { return window(events(1'000'000, false)); }},
      {"window_encoded_text", [] { return window(encoded_key(events(10'000, true))); }},
      {"window_variance",
       [] { return window(events(1000, false), {10'000, 10'000, 0}, kVariance); }},
      {"window_last",
       [] {
         return window(events(1000, false), kTenSeconds, only(windows::AggregateKind::kLast));
       }},
      {"window_distinct",
       [] {
         return window(events(1000, false), kTenSeconds,
                       only(windows::AggregateKind::kCountDistinct));
       }},
      {"window_hyper_log_log",
       [] {
         return window(events(1000, false), kTenSeconds,
                       only(windows::AggregateKind::kApproxCountDistinct));
       }},
      {"window_dd_sketch",
       [] {
         return window(events(1000, false), kTenSeconds,
                       only(windows::AggregateKind::kApproxQuantile));
       }},
      {"window_session", [] { return sessions(events(1000, false)); }},
      {"window_on_update", [] { return update(events(1000, false)); }},
      {"window_count", [] { return count(events(1000, false), 10); }},
      {"window_count_each", [] { return count(events(1000, false), 1); }},
      {"window_session_many", [] { return many_sessions(events(1000, false)); }},
      {"window_cumulate", [] { return window(events(1000, false), {10'000, 500, 0, true}); }},
  };
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  for (const Kernel& kernel : kernels()) {
    if (argc < 2) std::puts(kernel.name);
    if (argc < 2 || std::strcmp(argv[1], kernel.name) != 0) continue;
    const Work work = kernel.prepare();
    gate_measured(&work);
    return 0;
  }
  return argc < 2 ? 0 : 2;
}
