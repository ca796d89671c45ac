#include "windows/window_results.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "columns/builder.hpp"
#include "windows/accumulator_values.hpp"
#include "windows/moments.hpp"
#include "windows/value_text.hpp"

namespace pystream::windows {

namespace {

using Slots = std::span<const uint32_t>;

// Values of one kind from rows: `read` maps a row's address to the value; nothing is null yet.
template <typename T, typename Read>
Array make_values(const DataType& type, Slots slots, Read read) {
  Array array;
  array.type = type;
  array.length = static_cast<int64_t>(slots.size());
  MutableBuffer values(array.length * static_cast<int64_t>(sizeof(T)));
  T* out = values.as<T>();
  for (size_t i = 0; i < slots.size(); ++i) out[i] = static_cast<T>(read(slots[i]));
  array.values = values.freeze();
  return array;
}

// A group without values has no sum, mean, min or max.
void set_nulls(const AccumulatorTable& table, int input, Slots slots, Array* array) {
  if (table.nulls(input) == nullptr) return;
  BitmapBuilder valid;
  for (const uint32_t slot : slots) valid.append(table.value_count(input, slot) > 0);
  array->null_count = valid.length() - valid.ones();
  if (array->null_count > 0) array->validity = valid.finish();
}

Array make_constant(const DataType& type, int64_t value, int64_t length) {
  if (type.id != TypeId::kDate32) return make_constant_int64(type, value, length);
  FixedBuilder<int32_t> days(type);
  for (int64_t i = 0; i < length; ++i) days.append(static_cast<int32_t>(value));
  return days.finish();
}

Array make_times(const DataType& type, std::span<const int64_t> values) {
  Array array;
  array.type = type;
  array.length = static_cast<int64_t>(values.size());
  MutableBuffer times(array.length * type.byte_width());
  if (type.id == TypeId::kDate32) {
    auto* days = times.as<int32_t>();
    for (size_t i = 0; i < values.size(); ++i) days[i] = static_cast<int32_t>(values[i]);
  } else {
    std::copy(values.begin(), values.end(), times.as<int64_t>());
  }
  array.values = times.freeze();
  return array;
}

// Calls `body` with a zero of the C++ type of a fixed-width column.
template <typename Body>
void with_type(const DataType& type, Body body) {
  switch (type.id) {
    case TypeId::kInt8:
      return body(int8_t{});
    case TypeId::kInt16:
      return body(int16_t{});
    case TypeId::kInt32:
    case TypeId::kDate32:
      return body(int32_t{});
    case TypeId::kUInt8:
      return body(uint8_t{});
    case TypeId::kUInt16:
      return body(uint16_t{});
    case TypeId::kUInt32:
      return body(uint32_t{});
    case TypeId::kUInt64:
      return body(uint64_t{});
    case TypeId::kFloat32:
      return body(float{});
    case TypeId::kFloat64:
      return body(double{});
    default:
      return body(int64_t{});
  }
}

Array make_bools(const DataType& type, const RowBlock& rows, Slots slots, int at) {
  BitmapBuilder bits;
  for (const uint32_t slot : slots) bits.append(load<int64_t>(rows.at(slot) + at) == 1);
  Array array;
  array.type = type;
  array.length = bits.length();
  array.values = bits.finish();
  return array;
}

// Min or max: the field at `at`.
Array make_extreme(const InputLayout& input, int index, const AccumulatorTable& table, Slots slots,
                   int at, const DataType& type) {
  const RowBlock rows = table.rows();
  Array array;
  switch (input.value_class) {
    case ValueClass::kDecimal:
      array = make_values<__int128>(
          type, slots, [&](uint32_t slot) { return load<__int128>(rows.at(slot) + at); });
      break;
    case ValueClass::kFloat64: {
      const int64_t* nans = table.nans(index);
      with_type(type, [&](auto zero) {
        array = make_values<decltype(zero)>(type, slots, [&](uint32_t slot) {
          const bool all_nan =
              nans != nullptr && nans[slot] > 0 && nans[slot] == table.value_count(index, slot);
          // Adding zero shows -0.0 as 0.0: which of them came first must not matter.
          return all_nan ? std::nan("") : load<double>(rows.at(slot) + at) + 0.0;
        });
      });
      break;
    }
    default:
      if (type.is_bool()) {
        array = make_bools(type, rows, slots, at);
        break;
      }
      with_type(type, [&](auto zero) {
        // Unsigned and signed are read alike: the bits are the same.
        array = make_values<decltype(zero)>(
            type, slots, [&](uint32_t slot) { return load<int64_t>(rows.at(slot) + at); });
      });
  }
  set_nulls(table, index, slots, &array);
  return array;
}

bool fits_decimal(const Sum192& sum) {
  const auto value = static_cast<__int128>(sum.low);
  if (sum.high != (value < 0 ? -1 : 0)) return false;
  __int128 limit = 1;
  for (int digit = 0; digit < kDecimalDigits; ++digit) limit *= 10;
  return -limit < value && value < limit;
}

// Exact sums that must fit `type`; the first slot (by position) whose sum does not is reported.
Array make_sum(const InputLayout& input, int index, const AccumulatorTable& table, Slots slots,
               const DataType& type, int64_t* first_bad) {
  const RowBlock rows = table.rows();
  const int at = input.sum_at;
  Array array;
  if (input.value_class == ValueClass::kFloat64) {
    array = make_values<double>(type, slots,
                                [&](uint32_t slot) { return load<double>(rows.at(slot) + at); });
  } else if (input.value_class == ValueClass::kDecimal) {
    for (size_t i = 0; i < slots.size() && *first_bad < 0; ++i) {
      if (!fits_decimal(load<Sum192>(rows.at(slots[i]) + at))) *first_bad = static_cast<int64_t>(i);
    }
    array = make_values<__int128>(type, slots, [&](uint32_t slot) {
      return static_cast<__int128>(load<Sum192>(rows.at(slot) + at).low);
    });
  } else {
    const bool is_unsigned = input.value_class == ValueClass::kUInt64;
    const __int128 lowest = is_unsigned ? 0 : INT64_MIN;
    const __int128 highest = is_unsigned ? static_cast<__int128>(UINT64_MAX) : INT64_MAX;
    bool all_fit = true;
    array = make_values<int64_t>(type, slots, [&](uint32_t slot) {
      const auto sum = load<__int128>(rows.at(slot) + at);
      all_fit &= lowest <= sum && sum <= highest;
      return static_cast<int64_t>(sum);
    });
    for (size_t i = 0; !all_fit && i < slots.size() && *first_bad < 0; ++i) {
      const auto sum = load<__int128>(rows.at(slots[i]) + at);
      if (sum < lowest || sum > highest) *first_bad = static_cast<int64_t>(i);
    }
  }
  set_nulls(table, index, slots, &array);
  return array;
}

double decimal_sum(const Sum192& sum, int scale) {
  // high * 2^128 + low, with low unsigned; exact only as far as a float64 is.
  const double value =
      std::ldexp(static_cast<double>(sum.high), 128) + static_cast<double>(sum.low);
  const bool is_small = sum.high == (static_cast<__int128>(sum.low) < 0 ? -1 : 0);
  const double exact = is_small ? static_cast<double>(static_cast<__int128>(sum.low)) : value;
  return exact / std::pow(10.0, scale);
}

Array make_mean(const InputLayout& input, int index, const AccumulatorTable& table, Slots slots) {
  const RowBlock rows = table.rows();
  const int at = input.sum_at;
  Array array = make_values<double>(DataType::of(TypeId::kFloat64), slots, [&](uint32_t slot) {
    const uint8_t* sum_at = rows.at(slot) + at;
    const auto count = static_cast<double>(table.value_count(index, slot));
    switch (input.value_class) {
      case ValueClass::kFloat64:
        return load<double>(sum_at) / count;
      case ValueClass::kDecimal:
        return decimal_sum(load<Sum192>(sum_at), input.type.scale) / count;
      default:
        return static_cast<double>(load<__int128>(sum_at)) / count;
    }
  });
  set_nulls(table, index, slots, &array);
  return array;
}

bool is_sample(AggregateKind kind) {
  return kind == AggregateKind::kVarSamp || kind == AggregateKind::kStddevSamp;
}

bool is_stddev(AggregateKind kind) {
  return kind == AggregateKind::kStddevSamp || kind == AggregateKind::kStddevPop;
}

// Of too few values there is none: of no value, and a sample's not of one.
Array make_variance(AggregateKind kind, const InputLayout& input, const AccumulatorTable& table,
                    Slots slots) {
  const RowBlock rows = table.rows();
  const double spared = is_sample(kind) ? 1 : 0;
  const double unit =
      input.value_class == ValueClass::kDecimal ? std::pow(10.0, -2.0 * input.type.scale) : 1.0;
  BitmapBuilder valid;
  Array array = make_values<double>(DataType::of(TypeId::kFloat64), slots, [&](uint32_t slot) {
    const auto moments = load<Moments>(rows.at(slot) + input.moments_at);
    valid.append(moments.count > spared);
    const double variance = moments.squares / (moments.count - spared) * unit;
    if (std::isnan(variance)) return std::nan("");  // of one sign, however it came about
    return is_stddev(kind) ? std::sqrt(variance) : variance;
  });
  array.null_count = valid.length() - valid.ones();
  if (array.null_count > 0) array.validity = valid.finish();
  return array;
}

}  // namespace

WindowResults::WindowResults(const AccumulatorLayout* layout, const Schema& input,
                             std::span<const int> key_columns, std::optional<DataType> time_type)
    : layout_(layout),
      key_count_(key_columns.size()),
      has_bounds_(time_type.has_value()),
      time_type_(time_type.value_or(DataType{})) {
  auto schema = std::make_shared<Schema>();
  for (const int key : key_columns) {
    schema->fields.push_back(input.fields[static_cast<size_t>(key)]);
  }
  if (has_bounds_) {
    schema->fields.push_back({"window_start", time_type_, false});
    schema->fields.push_back({"window_end", time_type_, false});
  }
  for (const ResultLayout& result : layout->results) schema->fields.push_back(result.field);
  for (size_t i = 0; i < schema->fields.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (schema->fields[i].name != schema->fields[j].name) continue;
      throw Error(ErrorCode::kSchema, "the result would have two columns named '" +
                                          schema->fields[i].name +
                                          "'. Rename the key column or the aggregate.");
    }
  }
  schema_ = std::move(schema);
}

int64_t WindowResults::emit(const AccumulatorTable& table, const state::KeyDictionary& keys,
                            int64_t start, int64_t end,
                            const std::function<void(RecordBatch&&)>& emit) {
  table.collect(&places_);
  const int64_t total = places_.ids.size();
  for (int64_t begin = 0; begin < total; begin += kMaxResultRows) {
    const auto count = static_cast<size_t>(std::min(kMaxResultRows, total - begin));
    emit(make_batch(table, keys, {places_.ids.data() + begin, count},
                    {places_.slots.data() + begin, count}, start, end));
  }
  return total;
}

RecordBatch WindowResults::begin_batch(const state::KeyDictionary& keys,
                                       std::span<const uint32_t> ids) const {
  RecordBatch batch;
  batch.schema = schema_;
  batch.num_rows = static_cast<int64_t>(ids.size());
  batch.columns = keys.gather(ids);
  return batch;
}

WindowResults::Failure WindowResults::add_results(const AccumulatorTable& table,
                                                  std::span<const uint32_t> slots,
                                                  RecordBatch* batch) const {
  for (const ResultLayout& result : layout_->results) {
    int64_t first_bad = -1;
    try {
      batch->columns.push_back(make_result(result, table, slots, &first_bad));
    } catch (const UserAggregateError& error) {
      if (error.at() < 0) throw;
      return {&result, static_cast<size_t>(error.at()), error};
    }
    if (first_bad >= 0) return {&result, static_cast<size_t>(first_bad)};
  }
  return {};
}

RecordBatch WindowResults::make_batch(const AccumulatorTable& table,
                                      const state::KeyDictionary& keys,
                                      std::span<const uint32_t> ids,
                                      std::span<const uint32_t> slots, int64_t start,
                                      int64_t end) const {
  RecordBatch batch = begin_batch(keys, ids);
  batch.columns.push_back(make_constant(time_type_, start, batch.num_rows));
  batch.columns.push_back(make_constant(time_type_, end, batch.num_rows));
  const Failure bad = add_results(table, slots, &batch);
  if (bad.result != nullptr) throw_failure(bad, keys, ids[bad.row], start, end);
  return batch;
}

RecordBatch WindowResults::make_batch(const AccumulatorTable& table,
                                      const state::KeyDictionary& keys, const Rows& rows) const {
  RecordBatch batch = begin_batch(keys, rows.ids);
  if (has_bounds_) {
    batch.columns.push_back(make_times(time_type_, rows.starts));
    batch.columns.push_back(make_times(time_type_, rows.ends));
  }
  const Failure bad = add_results(table, rows.slots, &batch);
  if (bad.result != nullptr) {
    const bool has_bounds = !rows.starts.empty();
    throw_failure(bad, keys, rows.ids[bad.row], has_bounds ? rows.starts[bad.row] : 0,
                  has_bounds ? rows.ends[bad.row] : 0);
  }
  return batch;
}

Array WindowResults::make_result(const ResultLayout& result, const AccumulatorTable& table,
                                 std::span<const uint32_t> slots, int64_t* first_bad) const {
  const RowBlock rows = table.rows();
  const DataType& type = result.field.type;
  if (result.kind == AggregateKind::kCountAll) {
    return make_values<int64_t>(type, slots,
                                [&](uint32_t slot) { return load<int64_t>(rows.at(slot)); });
  }
  if (result.side >= 0) return table.side(result.side)->emit(result, slots);
  const InputLayout& input = layout_->inputs[static_cast<size_t>(result.input)];
  switch (result.kind) {
    case AggregateKind::kSum:
      return make_sum(input, result.input, table, slots, type, first_bad);
    case AggregateKind::kMean:
      return make_mean(input, result.input, table, slots);
    case AggregateKind::kMin:
    case AggregateKind::kAll:
      return make_extreme(input, result.input, table, slots, input.min_at, type);
    case AggregateKind::kVarSamp:
    case AggregateKind::kVarPop:
    case AggregateKind::kStddevSamp:
    case AggregateKind::kStddevPop:
      return make_variance(result.kind, input, table, slots);
    case AggregateKind::kMax:
    case AggregateKind::kAny:
      return make_extreme(input, result.input, table, slots, input.max_at, type);
    default:
      return make_values<int64_t>(
          type, slots, [&](uint32_t slot) { return table.value_count(result.input, slot); });
  }
}

WindowResults::Place WindowResults::place_of(const state::KeyDictionary& keys, uint32_t id,
                                             int64_t start, int64_t end) const {
  Place place;
  const std::vector<Array> key = keys.gather({&id, 1});
  for (size_t i = 0; i < key.size(); ++i) {
    place.key += (i == 0 ? "" : ", ") + schema_->fields[i].name + " = " + value_text(key[i], 0);
  }
  if (has_bounds_) {
    place.window = " [" + std::to_string(start) + ", " + std::to_string(end) + ")";
  }
  return place;
}

void WindowResults::throw_failure(const Failure& failure, const state::KeyDictionary& keys,
                                  uint32_t id, int64_t start, int64_t end) const {
  const Place place = place_of(keys, id, start, end);
  const std::string where = (place.key.empty() ? "" : " for " + place.key) +
                            (has_bounds_ ? " in window" + place.window : " in a window");
  std::vector<ErrorFact> facts = {{"key", place.key}, {"window_start", start}, {"window_end", end}};
  if (failure.user) {
    throw Error(failure.user->code(), failure.user->what() + where + ".", std::move(facts));
  }
  const InputLayout& input = layout_->inputs[static_cast<size_t>(failure.result->input)];
  facts.emplace_back("column", input.name);
  throw Error(ErrorCode::kOperator,
              "the sum of '" + input.name + "' does not fit " +
                  failure.result->field.type.to_string() + where +
                  ". Cast the column to float64 before summing.",
              std::move(facts));
}

}  // namespace pystream::windows
