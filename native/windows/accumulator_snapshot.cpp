// AccumulatorTable's content as columns: see docs/formats/state.md.

#include <algorithm>
#include <cstring>
#include <set>
#include <type_traits>
#include <utility>

#include "base/error.hpp"
#include "windows/accumulator_table.hpp"
#include "windows/accumulator_values.hpp"
#include "windows/moments.hpp"
#include "windows/state_columns.hpp"

namespace pystream::windows {

namespace {

constexpr int kSumBits = 64;

const char* name_of(SideKind kind) {
  switch (kind) {
    case SideKind::kMinText:
      return "min";
    case SideKind::kMaxText:
      return "max";
    case SideKind::kFirst:
      return "first";
    case SideKind::kLast:
      return "last";
    case SideKind::kArgMin:
      return "arg_min";
    case SideKind::kArgMax:
      return "arg_max";
    case SideKind::kDistinct:
      return "distinct";
    case SideKind::kHyperLogLog:
      return "hyper_log_log";
    case SideKind::kDDSketch:
      return "dd_sketch";
    case SideKind::kUser:
      return "user";
    case SideKind::kCollected:
      return "collected";
    case SideKind::kTopK:
      return "top_k";
    case SideKind::kBottomK:
      return "bottom_k";
  }
  return "";
}

// Sums of 128 bits as a decimal, which holds what 2^64 values of 63 bits add up to.
DataType wide_sum() {
  DataType type = DataType::of(TypeId::kDecimal128);
  type.precision = 38;
  return type;
}

void add_sum_fields(const InputLayout& input, std::vector<Field>* fields) {
  const std::string sum = input.name + ".sum";
  switch (input.value_class) {
    case ValueClass::kFloat64:
      fields->push_back(state_field(sum, TypeId::kFloat64));
      break;
    case ValueClass::kDecimal:  // 192 bits
      fields->push_back(state_field(sum + ".low", TypeId::kUInt64));
      fields->push_back(state_field(sum + ".middle", TypeId::kUInt64));
      fields->push_back(state_field(sum + ".high", TypeId::kInt64));
      break;
    default:
      fields->push_back({sum, wide_sum(), true});
  }
}

void add_input_fields(const InputLayout& input, std::vector<Field>* fields) {
  fields->push_back(state_field(input.name + ".nulls", TypeId::kInt64));
  if (input.value_class == ValueClass::kNone) return;
  if (input.value_class == ValueClass::kFloat64) {
    fields->push_back(state_field(input.name + ".nans", TypeId::kInt64));
  }
  if (input.sum_at >= 0) add_sum_fields(input, fields);
  if (input.min_at >= 0) fields->push_back({input.name + ".min", input.type, true});
  if (input.max_at >= 0) fields->push_back({input.name + ".max", input.type, true});
  if (input.moments_at >= 0) {
    for (const char* part : {".moments.count", ".moments.mean", ".moments.squares"}) {
      fields->push_back(state_field(input.name + part, TypeId::kFloat64));
    }
  }
}

// No two columns have one name: the second of them is told apart by its number.
void make_distinct(std::vector<Field>* fields) {
  std::set<std::string> taken;
  for (Field& field : *fields) {
    const std::string name = field.name;
    for (int number = 2; !taken.insert(field.name).second; ++number) {
      field.name = name + "#" + std::to_string(number);
    }
  }
}

// Calls visit(V) with a zero of the class in which the values of an input are held.
template <typename Visit>
void with_class(ValueClass value_class, Visit visit) {
  switch (value_class) {
    case ValueClass::kNone:
      break;
    case ValueClass::kInt64:
      return visit(int64_t{});
    case ValueClass::kUInt64:
      return visit(uint64_t{});
    case ValueClass::kFloat64:
      return visit(double{});
    case ValueClass::kDecimal:
      return visit(__int128{});
  }
}

// The rows that are written, or those of a restored table.
struct Rows {
  RowBlock block;
  StateSlots slots;

  template <typename T>
  T get(size_t i, int at) const {
    return load<T>(block.at(slots[i]) + at);
  }
  template <typename T>
  void set(size_t i, int at, const T& value) const {
    store(block.at(slots[i]) + at, value);
  }
};

template <typename Sum>
void write_sums(const Rows& rows, int at, std::vector<Array>* columns) {
  const size_t count = rows.slots.size();
  if constexpr (std::is_same_v<Sum, double>) {
    columns->push_back(state_column<double>(TypeId::kFloat64, count,
                                            [&](size_t i) { return rows.get<double>(i, at); }));
  } else if constexpr (std::is_same_v<Sum, Sum192>) {
    const auto sum = [&](size_t i) { return rows.get<Sum192>(i, at); };
    columns->push_back(state_column<uint64_t>(
        TypeId::kUInt64, count, [&](size_t i) { return static_cast<uint64_t>(sum(i).low); }));
    columns->push_back(state_column<uint64_t>(TypeId::kUInt64, count, [&](size_t i) {
      return static_cast<uint64_t>(sum(i).low >> kSumBits);
    }));
    columns->push_back(
        state_column<int64_t>(TypeId::kInt64, count, [&](size_t i) { return sum(i).high; }));
  } else {
    std::vector<Wide> sums;
    for (size_t i = 0; i < count; ++i) sums.push_back(rows.get<Wide>(i, at));
    columns->push_back(elements_of(wide_sum(), sums));
  }
}

template <typename Sum>
void read_sums(const Rows& rows, int at, const Array** column) {
  const size_t count = rows.slots.size();
  if constexpr (std::is_same_v<Sum, Sum192>) {
    const auto* low = (*column)++->data<uint64_t>();
    const auto* middle = (*column)++->data<uint64_t>();
    const auto* high = (*column)++->data<int64_t>();
    for (size_t i = 0; i < count; ++i) {
      Sum192 sum;
      sum.low = static_cast<unsigned __int128>(middle[i]) << kSumBits | low[i];
      sum.high = high[i];
      rows.set(i, at, sum);
    }
  } else {
    const uint8_t* values = (*column)++->values.data;
    for (size_t i = 0; i < count; ++i) rows.set(i, at, load<Sum>(values + i * sizeof(Sum)));
  }
}

// An extreme, null where there is none.
template <typename V>
Array write_extremes(const Rows& rows, int at, const DataType& type,
                     const std::vector<uint8_t>& has_values) {
  std::vector<V> values;
  for (size_t i = 0; i < rows.slots.size(); ++i) {
    values.push_back(has_values[i] != 0 ? rows.get<V>(i, at) : V{});
  }
  return with_nulls(narrowed(type, values), has_values);
}

template <typename V>
void read_extremes(const Rows& rows, int at, const Array& column) {
  const std::vector<V> values = widened<V>(column);
  for (size_t i = 0; i < values.size(); ++i) {
    if (column.is_valid(static_cast<int64_t>(i))) rows.set(i, at, values[i]);
  }
}

constexpr double Moments::* kMoments[] = {&Moments::count, &Moments::mean, &Moments::squares};

}  // namespace

std::vector<Field> AccumulatorTable::state_fields() const {
  std::vector<Field> fields = {state_field("rows", TypeId::kInt64)};
  for (const InputLayout& input : layout_->inputs) add_input_fields(input, &fields);
  for (size_t i = 0; i < sides_.size(); ++i) {
    const SideLayout& side = layout_->sides[i];
    const std::string& input = layout_->inputs[static_cast<size_t>(side.input)].name;
    for (Field& field : sides_[i]->state_fields()) {
      field.name = input + "." + name_of(side.kind) + "." + field.name;
      fields.push_back(std::move(field));
    }
  }
  make_distinct(&fields);
  return fields;
}

std::vector<Array> AccumulatorTable::snapshot(std::span<const uint32_t> slots) const {
  const Rows written{rows(), slots};
  const size_t count = slots.size();
  std::vector<Array> columns;
  const auto add_counts = [&](auto read) {
    columns.push_back(state_column<int64_t>(TypeId::kInt64, count, read));
  };
  add_counts([&](size_t i) { return written.get<int64_t>(i, 0); });
  for (size_t index = 0; index < layout_->inputs.size(); ++index) {
    const InputLayout& input = layout_->inputs[index];
    const int64_t* null_counts = nulls(static_cast<int>(index));
    const int64_t* nan_counts = nans(static_cast<int>(index));
    const auto null_count = [&](size_t i) { return null_counts ? null_counts[slots[i]] : 0; };
    const auto nan_count = [&](size_t i) { return nan_counts ? nan_counts[slots[i]] : 0; };
    add_counts(null_count);
    if (input.value_class == ValueClass::kFloat64) add_counts(nan_count);
    std::vector<uint8_t> has_values;
    for (size_t i = 0; i < count; ++i) {
      const int64_t values = written.get<int64_t>(i, 0) - null_count(i) - nan_count(i);
      has_values.push_back(values > 0 ? 1 : 0);
    }
    with_class(input.value_class, [&](auto zero) {
      using V = decltype(zero);
      if (input.sum_at >= 0) {
        write_sums<typename Accumulate<V>::Sum>(written, input.sum_at, &columns);
      }
      for (const int at : {input.min_at, input.max_at}) {
        if (at >= 0) columns.push_back(write_extremes<V>(written, at, input.type, has_values));
      }
    });
    for (size_t part = 0; part < std::size(kMoments) && input.moments_at >= 0; ++part) {
      columns.push_back(state_column<double>(TypeId::kFloat64, count, [&](size_t i) {
        return written.get<Moments>(i, input.moments_at).*kMoments[part];
      }));
    }
  }
  for (const Side& side : sides_) {
    for (Array& column : side->snapshot(slots)) columns.push_back(std::move(column));
  }
  return columns;
}

void AccumulatorTable::restore(std::span<const Array> columns, int64_t count) {
  prepare(static_cast<uint32_t>(count), true);
  std::vector<uint32_t> slots(static_cast<size_t>(count));
  for (uint32_t i = 0; i < slots.size(); ++i) slots[i] = i;
  const Rows read{rows(), slots};
  const Array* column = columns.data();
  const auto read_counts = [&](std::vector<int64_t>* counts) {
    const auto* values = column++->data<int64_t>();
    if (std::all_of(values, values + count, [](int64_t value) { return value == 0; })) return;
    std::copy_n(values, count, side(counts));
  };
  const auto* row_counts = column++->data<int64_t>();
  for (size_t i = 0; i < slots.size(); ++i) read.set(i, 0, row_counts[i]);
  for (size_t index = 0; index < layout_->inputs.size(); ++index) {
    const InputLayout& input = layout_->inputs[index];
    read_counts(&nulls_[index]);
    if (input.value_class == ValueClass::kFloat64) read_counts(&nans_[index]);
    with_class(input.value_class, [&](auto zero) {
      using V = decltype(zero);
      if (input.sum_at >= 0) read_sums<typename Accumulate<V>::Sum>(read, input.sum_at, &column);
      for (const int at : {input.min_at, input.max_at}) {
        if (at >= 0) read_extremes<V>(read, at, *column++);
      }
    });
    for (size_t part = 0; part < std::size(kMoments) && input.moments_at >= 0; ++part) {
      const auto* values = column++->data<double>();
      for (size_t i = 0; i < slots.size(); ++i) {
        auto moments = read.get<Moments>(i, input.moments_at);
        moments.*kMoments[part] = values[i];
        read.set(i, input.moments_at, moments);
      }
    }
  }
  for (Side& side : sides_) {
    const size_t fields = side->state_fields().size();
    side->restore({column, fields});
    column += fields;
  }
}

}  // namespace pystream::windows
