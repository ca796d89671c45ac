#pragma once
// What is accumulated per key and slice, and where it lies.
//
// One row per key: the number of rows, then per distinct input column only what its aggregates
// need. A row of count, sum, min and max over one float64 column is 32 bytes, so that an update at
// a random key touches one cache line. What is rare or of no fixed size stands beside the rows
// (AccumulatorTable): counts of nulls and NaNs, and SideStates.
//
//   | rows: int64 | input 0: sum, min, max, moments | input 1: ... | padding |
//
// Immutable after construction; any thread may read.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "columns/schema.hpp"
#include "windows/window_aggregation.hpp"

namespace pystream::windows {

// How values are held while they are accumulated.
enum class ValueClass : uint8_t {
  kNone,     // not in the row: only counted, or beside it; any type
  kInt64,    // signed integers, times, bool; sum in 128 bits
  kUInt64,   // unsigned integers; sum in 128 bits
  kFloat64,  // float32 and float64
  kDecimal,  // decimal128; sum in 192 bits
};

// What is kept beside the rows.
enum class SideKind : uint8_t {
  kMinText,
  kMaxText,
  kFirst,
  kLast,
  kArgMin,
  kArgMax,
  kDistinct,
  kHyperLogLog,
  kDDSketch,
  kUser,
  kCollected,
  kTopK,
  kBottomK,
};

// One SideState per key and slice; aggregates that need the same share it.
struct SideLayout {
  SideKind kind = SideKind::kMinText;
  int input = 0;     // index of AccumulatorLayout::inputs
  int by = -1;       // column of the input's schema that orders the values; -1: none, or event time
  DataType by_type;  // of it
  double relative_error = 0;                            // kDDSketch
  std::shared_ptr<const UserAggregate> user = nullptr;  // kUser
  std::vector<int> others = {};  // kUser: columns of the arguments behind the input
  int64_t k = 0;                 // kTopK and kBottomK

  bool operator==(const SideLayout&) const = default;
};

// One input column. Offsets are bytes within a row; -1 where no aggregate asks for it.
struct InputLayout {
  int column = -1;
  std::string name;
  DataType type;
  ValueClass value_class = ValueClass::kNone;
  int sum_at = -1;
  int min_at = -1;
  int max_at = -1;
  int moments_at = -1;
  std::vector<int> sides;  // indexes of AccumulatorLayout::sides
};

struct ResultLayout {
  AggregateKind kind = AggregateKind::kCountAll;
  int input = -1;  // index of AccumulatorLayout::inputs; -1 for kCountAll
  int side = -1;   // index of AccumulatorLayout::sides; -1 where the result is in the row
  double quantile = 0;
  std::vector<double> quantiles;  // kApproxQuantiles
  Field field;
};

struct AccumulatorLayout {
  int stride = 0;
  bool is_keyed = true;  // without key columns there is one row only
  std::vector<InputLayout> inputs;
  std::vector<SideLayout> sides;
  std::vector<ResultLayout> results;
  std::vector<uint8_t> empty_row;  // `stride` bytes
};

// Throws kSchema when an aggregate does not take its column's type, naming both.
AccumulatorLayout make_layout(std::span<const AggregateSpec> aggregates, const Schema& schema,
                              bool is_keyed);

}  // namespace pystream::windows
