#pragma once
// Keyed event-time window aggregation: thread-local partial aggregation into slices, merged when
// the watermark closes them. Semantics: docs/semantics.md (Flink's, rule by rule).

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "columns/record_batch.hpp"
#include "state/snapshot.hpp"
#include "windows/trigger_spec.hpp"
#include "windows/user_aggregate.hpp"

namespace pystream::windows {

inline constexpr int64_t kMinWatermark = INT64_MIN;
inline constexpr int64_t kMaxWatermark = INT64_MAX;

// All times are in ticks of the event-time column.
struct WindowSpec {
  int64_t size = 0;    // > 0
  int64_t slide = 0;   // == size for tumbling; hopping: need not divide size, nor be less
  int64_t offset = 0;  // of window starts from the epoch
  // Windows begin every `size` and grow by `slide`, which divides it: [0, slide), [0, 2 * slide),
  // ..., [0, size).
  bool is_cumulative = false;
};

enum class AggregateKind : uint8_t {
  kCountAll,
  kCount,
  kSum,
  kMean,
  kMin,
  kMax,
  kVarSamp,
  kVarPop,
  kStddevSamp,
  kStddevPop,
  kAny,
  kAll,
  kFirst,
  kLast,
  kArgMin,
  kArgMax,
  kCountDistinct,
  kApproxCountDistinct,
  kApproxQuantile,
  kApproxQuantiles,
  kCollectList,
  kTopK,
  kBottomK,
  kUser,
};

// Their names in plans and messages. A user's has its own.
inline constexpr std::pair<const char*, AggregateKind> kAggregates[] = {
    {"count_all", AggregateKind::kCountAll},
    {"count", AggregateKind::kCount},
    {"sum", AggregateKind::kSum},
    {"mean", AggregateKind::kMean},
    {"min", AggregateKind::kMin},
    {"max", AggregateKind::kMax},
    {"var_samp", AggregateKind::kVarSamp},
    {"var_pop", AggregateKind::kVarPop},
    {"stddev_samp", AggregateKind::kStddevSamp},
    {"stddev_pop", AggregateKind::kStddevPop},
    {"any", AggregateKind::kAny},
    {"all", AggregateKind::kAll},
    {"first", AggregateKind::kFirst},
    {"last", AggregateKind::kLast},
    {"arg_min", AggregateKind::kArgMin},
    {"arg_max", AggregateKind::kArgMax},
    {"count_distinct", AggregateKind::kCountDistinct},
    {"approx_count_distinct", AggregateKind::kApproxCountDistinct},
    {"approx_quantile", AggregateKind::kApproxQuantile},
    {"approx_quantiles", AggregateKind::kApproxQuantiles},
    {"collect_list", AggregateKind::kCollectList},
    {"top_k", AggregateKind::kTopK},
    {"bottom_k", AggregateKind::kBottomK},
};

struct AggregateSpec {
  AggregateKind kind = AggregateKind::kCountAll;
  int input = -1;             // column index; -1 for kCountAll
  std::string name;           // of the result column
  int by = -1;                // kArgMin and kArgMax: index of the column whose extreme decides
  double quantile = 0;        // kApproxQuantile: in [0, 1]
  double relative_error = 0;  // kApproxQuantile(s): within the limits below
  std::shared_ptr<const UserAggregate> user = nullptr;  // kUser
  std::vector<int> others = {};        // kUser: column indexes of the arguments behind `input`
  std::vector<double> quantiles = {};  // kApproxQuantiles: one to kMostQuantiles, each in [0, 1]
  int64_t k = 0;                       // kTopK and kBottomK: 1 to kMostValues
};

// Of quantiles. A smaller one takes more memory than it is worth; beyond the larger a bucket spans
// the values from one to three.
inline constexpr double kLeastRelativeError = 0.0001;
inline constexpr double kMostRelativeError = 0.5;
inline constexpr size_t kMostQuantiles = 1000;
// That a key holds for top_k and bottom_k; collect_list and a process function are for more.
inline constexpr int64_t kMostValues = 65'536;

struct WindowAggregationSpec {
  WindowSpec window;
  std::vector<int> key_columns;  // any number, also none; any type
  int event_time_column = 0;     // timestamp, int64 or date32; no nulls
  std::vector<AggregateSpec> aggregates;
  // >= 0. A window that has fired takes rows until end - 1 + allowed_lateness <= watermark, and
  // each fires a pane of its key at once.
  int64_t allowed_lateness = 0;
  TriggerSpec trigger;
};

// How rows arrived: the watermark in force, that is, before the row itself was counted, and their
// place in the order of the input.
struct RowWatermarks {
  // With per_row empty, `all` holds for every row. The source uses this form when it has shown
  // with WindowAggregation::may_be_late() that the exact values make no difference.
  int64_t all = kMinWatermark;
  Buffer per_row;  // int64 per row
  // Row i is number first_arrival + i. Of any two rows of the input the one that came first has the
  // smaller number, whatever the cuts into batches and the threads; numbers may be left out.
  int64_t first_arrival = 0;
  Buffer arrivals;  // int64 per row: their numbers, of rows for add_behind()
};

using EmitWindow = std::function<void(RecordBatch&&)>;
// Panes, each with a moment (int64 per pane): operators below see it at the last watermark up to
// that. Of one that a row has fired it is the watermark that the row saw.
using EmitPanes = std::function<void(RecordBatch&&, Buffer&& watermarks)>;

class WindowAggregation {
 public:
  // Throws kSchema when a type does not fit (names column, type, aggregate); kConfig on a bad
  // window.
  WindowAggregation(const WindowAggregationSpec& spec, SchemaPtr input, int threads);
  ~WindowAggregation();

  // Key columns, window_start, window_end (type of the event-time column), aggregates. The event
  // time of a result row is window_end - 1.
  const SchemaPtr& output_schema() const;

  // False when no row with event time >= min_time can come behind any of its windows, that is after
  // one has fired, while the watermark is <= watermark. Any thread.
  bool may_be_late(int64_t min_time, int64_t watermark) const;

  // Adds rows to thread `thread`'s partial state; different threads may run at once. Rows that
  // entered no window are appended to `late` (indexes, ascending). With allowed lateness rows that
  // come behind a window, but enter one, are not added but appended to `behind`: for add_behind().
  // Throws kOperator on a null event time.
  void add(int thread, const RecordBatch& rows, const RowWatermarks& watermarks,
           std::vector<int32_t>* late, std::vector<int32_t>* behind);

  // Adds rows that add() has put into `behind`, those of all threads in the order of arrival, after
  // all of the other rows that arrived before them were added. For each row, the windows that its
  // watermark closes fire first; then each window that has fired and takes the row fires a pane of
  // the row's key, in order of end. No add() may run meanwhile.
  void add_behind(const RecordBatch& rows, const RowWatermarks& watermarks, const EmitWindow& emit,
                  const EmitPanes& emit_panes);

  // Hands rows that wait to the users' functions. No add() may run meanwhile.
  void settle();

  // Fires every window with end - 1 <= watermark, in order of end, each as one or more batches.
  // No add() may run meanwhile. The watermark never goes back.
  void advance(int64_t watermark, const EmitWindow& emit);

  // The first watermark that fires a window; none where no window is open.
  std::optional<int64_t> next_timer() const;

  // Writes the state, which is to be taken between two rounds, after advance(). restore() replaces
  // it by that of the key groups, which several instances may have written: kCheckpoint when the
  // snapshots are of another operator, of different moments or damaged; the operator is of no use
  // then. No add() may run meanwhile.
  void snapshot(state::StateWriter* writer);
  void restore(const state::StateReader& reader, state::KeyGroupRange range);

  // Bytes held by keys and accumulators; number of open windows' slices.
  int64_t state_bytes() const;
  int64_t open_slices() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace pystream::windows
