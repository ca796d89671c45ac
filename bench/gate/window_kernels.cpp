// Windows that fire on close: of every kind, and with every aggregate whose rows take ways of their
// own.

#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "columns/bitmap.hpp"
#include "columns/builder.hpp"
#include "events.hpp"
#include "kernel.hpp"
#include "stored.hpp"
#include "window_specs.hpp"
#include "windows/count_aggregation.hpp"
#include "windows/session_aggregation.hpp"
#include "windows/user_aggregate.hpp"
#include "windows/window_aggregation.hpp"

namespace pystream::gate {
namespace {

using windows::AggregateKind;
using windows::AggregateSpec;

// One aggregate of the values, which are all different.
std::vector<AggregateSpec> only(AggregateKind kind) {
  AggregateSpec aggregate{kind, 2, "a"};
  aggregate.quantile = 0.99;
  aggregate.quantiles = {0.5, 0.9, 0.99};
  aggregate.relative_error = 0.01;
  aggregate.k = 10;
  aggregate.by = 0;
  return {aggregate};
}

// Ten rounds of one batch and a close, so that probing outweighs the first filling of tables.
Work window(const RecordBatch& batch, windows::WindowSpec window = kTenSeconds,
            std::vector<AggregateSpec> aggregates = kPlainAggregates, int key = 1) {
  windows::WindowAggregationSpec spec;
  spec.window = window;
  if (key >= 0) spec.key_columns = {key};
  spec.event_time_column = 0;
  spec.aggregates = std::move(aggregates);
  return [batch, spec] {
    windows::WindowAggregation job(spec, batch.schema, 1);
    std::vector<int32_t> late;
    std::vector<int32_t> behind;
    for (int round = 0; round < 10; ++round) {
      job.add(0, batch, windows::RowWatermarks{}, &late, &behind);
      job.settle();
    }
    job.advance(windows::kMaxWatermark, [](RecordBatch&&) {});
  };
}

Work window_of(AggregateKind kind) { return window(events(1000, false), kTenSeconds, only(kind)); }

// Any and all of a column that is true in every other row.
Work any_and_all() {
  RecordBatch batch = events(1000, false);
  MutableBuffer bits(bitmap_bytes(kRows));
  std::memset(bits.data(), 0x55, static_cast<size_t>(bitmap_bytes(kRows)));
  batch.columns[2] = {};
  batch.columns[2].type = DataType::of(TypeId::kBool);
  batch.columns[2].length = kRows;
  batch.columns[2].values = bits.freeze();
  batch.schema = std::make_shared<Schema>(Schema{{{"ts", batch.columns[0].type, true},
                                                  {"key", batch.columns[1].type, true},
                                                  {"flag", batch.columns[2].type, true}}});
  return window(batch, kTenSeconds,
                {{AggregateKind::kAny, 2, "some"}, {AggregateKind::kAll, 2, "every"}});
}

// A function of the caller's own with a column as its accumulator: what the core does for it, and a
// plain loop.
class Sums final : public windows::UserAggregate {
 public:
  Sums()
      : UserAggregate({{"sum", DataType::of(TypeId::kFloat64), std::vector<uint8_t>(8)}},
                      DataType::of(TypeId::kFloat64)) {}

  void add(windows::UserStates* states, std::span<const uint32_t> groups,
           std::span<const Array> arguments) const override {
    const auto* values = arguments[0].data<double>();
    double* sums = of(states);
    for (size_t i = 0; i < groups.size(); ++i) sums[groups[i]] += values[i];
  }
  void merge(windows::UserStates* states, const windows::UserStates& others) const override {
    double* sums = of(states);
    const auto* more = reinterpret_cast<const double*>(others.columns[0].data());
    for (int64_t i = 0; i < others.count; ++i) sums[i] += more[i];
  }
  Array results(const windows::UserStates& states) const override {
    FixedBuilder<double> results(result_type());
    const auto* sums = reinterpret_cast<const double*>(states.columns[0].data());
    for (int64_t i = 0; i < states.count; ++i) results.append(sums[i]);
    return results.finish();
  }

 private:
  static double* of(windows::UserStates* states) {
    return reinterpret_cast<double*>(states->columns[0].data());
  }
};

Work user_aggregate() {
  AggregateSpec aggregate{AggregateKind::kUser, 2, "a"};
  aggregate.user = std::make_shared<Sums>();
  return window(events(1000, false), kTenSeconds, {aggregate});
}

// Rounds in order, of which one row in a hundred comes when its window has fired.
Work allowed_lateness() {
  windows::WindowAggregationSpec spec = windowed({50, 50, 0});
  spec.allowed_lateness = 1000;
  const std::vector<RecordBatch> rounds = rounds_of(events(1000, false), 10, 100);
  return [rounds, spec] {
    windows::WindowAggregation job(spec, rounds[0].schema, 1);
    const auto ignore = [](RecordBatch&&) {};
    std::vector<int32_t> late;
    windows::RowWatermarks watermarks;
    for (const RecordBatch& rows : rounds) {
      watermarks.all = watermark_before(rows);
      std::vector<int32_t> behind;
      job.add(0, rows, watermarks, &late, &behind);
      if (behind.empty()) std::abort();
      MutableBuffer arrivals;
      for (const int32_t row : behind) {
        const int64_t arrival = watermarks.first_arrival + row;
        arrivals.append(&arrival, sizeof(arrival));
      }
      windows::RowWatermarks seen;
      seen.all = watermarks.all;
      seen.arrivals = arrivals.freeze();
      job.add_behind(rows.take(behind), seen, ignore, [](RecordBatch&&, Buffer&&) {});
      watermarks.first_arrival += kRows;
      job.advance(watermarks.all, ignore);
    }
    job.advance(windows::kMaxWatermark, ignore);
  };
}

// A watermark after each round: sessions of which about one in fifty rows begins another.
Work sessions(int64_t allowed_lateness, int64_t late_every) {
  windows::SessionAggregationSpec spec;
  spec.session.gap = 20;
  spec.session.allowed_lateness = allowed_lateness;
  spec.key_columns = {1};
  spec.event_time_column = 0;
  spec.aggregates = kPlainAggregates;
  const std::vector<RecordBatch> rounds = rounds_of(events(1000, false), 10, late_every);
  return [rounds, spec] {
    windows::SessionAggregation job(spec, rounds[0].schema);
    const auto ignore = [](RecordBatch&&, windows::RowWatermarks&&) {};
    std::vector<int32_t> late;
    for (const RecordBatch& rows : rounds) {
      windows::RowWatermarks watermarks;
      watermarks.all = watermark_before(rows);
      job.advance(watermarks.all, ignore);
      job.add(rows, watermarks, &late, ignore);
    }
    job.advance(windows::kMaxWatermark, ignore);
  };
}

// Sessions of one key, all of which are open, in no order of time.
Work many_sessions() {
  windows::SessionAggregationSpec spec;
  spec.session.gap = 20;
  spec.event_time_column = 0;
  spec.aggregates = kPlainAggregates;
  const RecordBatch rows =
      at_times(events(1000, false), [](int64_t i) { return kFirstMs + i * 7919 % kRows * 30; });
  return [rows, spec] {
    windows::SessionAggregation job(spec, rows.schema);
    const auto ignore = [](RecordBatch&&, windows::RowWatermarks&&) {};
    std::vector<int32_t> late;
    job.add(rows, windows::RowWatermarks{}, &late, ignore);
    job.advance(windows::kMaxWatermark, ignore);
  };
}

Work count(int64_t slide) {
  windows::CountAggregationSpec spec;
  spec.size = 100;
  spec.slide = slide;
  spec.key_columns = {1};
  spec.event_time_column = 0;
  spec.aggregates = kPlainAggregates;
  return [batch = events(1000, false), spec] {
    windows::CountAggregation job(spec, batch.schema);
    const auto ignore = [](RecordBatch&&, windows::RowWatermarks&&) {};
    for (int round = 0; round < 3; ++round) job.add(batch, windows::RowWatermarks{}, ignore);
  };
}

RecordBatch encoded_key() {
  RecordBatch result = Stored(events(10'000, true)).read();
  if (!result.columns[1].is_encoded()) std::abort();
  return result;
}

// The least and the greatest text, by number.
Work text_extremes() {
  RecordBatch batch = events(10'000, true);
  batch.columns[2] = events(1000, false).columns[1];
  batch.schema = std::make_shared<Schema>(Schema{{{"ts", batch.columns[0].type, true},
                                                  {"text", batch.columns[1].type, true},
                                                  {"key", batch.columns[2].type, true}}});
  return window(batch, kTenSeconds,
                {{AggregateKind::kMin, 1, "lo"}, {AggregateKind::kMax, 1, "hi"}}, 2);
}

}  // namespace

std::vector<Kernel> window_kernels() {
  return {
      {"window_1k_keys", [] { return window(events(1000, false)); }},
      {"window_1m_keys", [] { return window(events(1'000'000, false)); }},
      {"window_no_key",
       [] { return window(events(1000, false), kTenSeconds, kPlainAggregates, -1); }},
      {"window_encoded_text", [] { return window(encoded_key()); }},
      {"window_cumulate", [] { return window(events(1000, false), {10'000, 500, 0, true}); }},
      // Thirty windows, ten of which overlap at any time; and a slide that does not divide the
      // size.
      {"window_hopping", [] { return window(events(1000, false), {100, 10, 0}); }},
      {"window_hopping_uneven", [] { return window(events(1000, false), {100, 30, 0}); }},
      {"window_lateness", allowed_lateness},
      {"window_session", [] { return sessions(0, 0); }},
      {"window_session_lateness", [] { return sessions(1000, 100); }},
      {"window_session_many", many_sessions},
      {"window_count", [] { return count(10); }},
      {"window_count_each", [] { return count(1); }},
      {"window_variance", [] { return window_of(AggregateKind::kVarSamp); }},
      {"window_last", [] { return window_of(AggregateKind::kLast); }},
      {"window_arg_min", [] { return window_of(AggregateKind::kArgMin); }},
      {"window_distinct", [] { return window_of(AggregateKind::kCountDistinct); }},
      {"window_hyper_log_log", [] { return window_of(AggregateKind::kApproxCountDistinct); }},
      {"window_dd_sketch", [] { return window_of(AggregateKind::kApproxQuantile); }},
      {"window_top_k", [] { return window_of(AggregateKind::kTopK); }},
      {"window_bottom_k", [] { return window_of(AggregateKind::kBottomK); }},
      {"window_any_all", any_and_all},
      {"window_user_aggregate", user_aggregate},
      {"window_collect_list", [] { return window_of(AggregateKind::kCollectList); }},
      {"window_text_extremes", text_extremes},
  };
}

}  // namespace pystream::gate
