#include "windows/accumulator_layout.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>

#include "base/error.hpp"
#include "windows/accumulator_values.hpp"
#include "windows/moments.hpp"

namespace pystream::windows {

namespace {

const char* name_of(AggregateKind kind) {
  for (const auto& [name, other] : kAggregates) {
    if (other == kind) return name;
  }
  return "aggregate";
}

ValueClass value_class_of(const DataType& type) {
  if (type.is_floating()) return ValueClass::kFloat64;
  if (type.id == TypeId::kDecimal128) return ValueClass::kDecimal;
  if (type.is_integer() && !type.is_signed_integer()) return ValueClass::kUInt64;
  return ValueClass::kInt64;
}

[[noreturn]] void refuse(const AggregateSpec& aggregate, const Field& field, const char* accepted) {
  throw Error(ErrorCode::kSchema,
              std::string(name_of(aggregate.kind)) + " does not take column '" + field.name +
                  "' of type " + field.type.to_string() + ". It takes " + accepted +
                  "; cast the column first.",
              {{"column", field.name}, {"aggregate", aggregate.name}});
}

const Field& checked_field(const AggregateSpec& aggregate, int column, const Schema& schema) {
  if (column >= 0 && column < schema.size()) return schema.fields[static_cast<size_t>(column)];
  throw Error(ErrorCode::kSchema,
              "aggregate '" + aggregate.name + "' reads column number " + std::to_string(column) +
                  " of " + std::to_string(schema.size()) + ". Name a column of the input.");
}

const Field& checked_by(const AggregateSpec& aggregate, const Schema& schema) {
  const Field& field = checked_field(aggregate, aggregate.by, schema);
  if (!field.type.is_var_binary() && !field.type.is_list()) return field;
  throw Error(ErrorCode::kSchema,
              std::string(name_of(aggregate.kind)) + " does not order by column '" + field.name +
                  "' of type " + field.type.to_string() + ". It orders by numbers, times and bool.",
              {{"column", field.name}, {"aggregate", aggregate.name}});
}

void check_quantile(const AggregateSpec& aggregate) {
  const auto check = [&](const char* parameter, double value, double least, double most) {
    if (least <= value && value <= most) return;
    throw Error(ErrorCode::kConfig, "aggregate '" + aggregate.name + "' has " + parameter + "=" +
                                        std::to_string(value) + ". Pass one from " +
                                        std::to_string(least) + " to " + std::to_string(most) +
                                        ".");
  };
  if (aggregate.kind == AggregateKind::kApproxQuantile) {
    check("quantile", aggregate.quantile, 0, 1);
  } else {
    check("number of quantiles", static_cast<double>(aggregate.quantiles.size()), 1,
          static_cast<double>(kMostQuantiles));
  }
  for (const double quantile : aggregate.quantiles) check("quantile", quantile, 0, 1);
  check("relative_error", aggregate.relative_error, kLeastRelativeError, kMostRelativeError);
}

void check_k(const AggregateSpec& aggregate) {
  if (1 <= aggregate.k && aggregate.k <= kMostValues) return;
  throw Error(ErrorCode::kConfig, "aggregate '" + aggregate.name +
                                      "' has k=" + std::to_string(aggregate.k) +
                                      ". Pass one from 1 to " + std::to_string(kMostValues) + ".");
}

void check_type(const AggregateSpec& aggregate, const Field& field) {
  const DataType& type = field.type;
  if (type.is_list() && aggregate.kind != AggregateKind::kCount &&
      aggregate.kind != AggregateKind::kUser) {
    throw Error(ErrorCode::kSchema,
                std::string(name_of(aggregate.kind)) + " does not take column '" + field.name +
                    "' of type " + type.to_string() + ". Of lists there is count alone.",
                {{"column", field.name}, {"aggregate", aggregate.name}});
  }
  switch (aggregate.kind) {
    case AggregateKind::kSum:
      if (!type.is_numeric() && type.id != TypeId::kDuration) {
        refuse(aggregate, field, "numbers and durations");
      }
      break;
    case AggregateKind::kMean:
    case AggregateKind::kVarSamp:
    case AggregateKind::kVarPop:
    case AggregateKind::kStddevSamp:
    case AggregateKind::kStddevPop:
      if (!type.is_numeric()) refuse(aggregate, field, "numbers");
      break;
    case AggregateKind::kTopK:
    case AggregateKind::kBottomK:
      check_k(aggregate);
      break;
    case AggregateKind::kApproxQuantile:
    case AggregateKind::kApproxQuantiles:
      if (!type.is_numeric()) refuse(aggregate, field, "numbers");
      check_quantile(aggregate);
      break;
    case AggregateKind::kAny:
    case AggregateKind::kAll:
      if (!type.is_bool()) refuse(aggregate, field, "bool");
      break;
    default:
      break;
  }
}

// What the aggregate keeps beside the rows, if anything.
std::optional<SideKind> side_kind_of(AggregateKind kind, const DataType& type) {
  switch (kind) {
    case AggregateKind::kMin:
      if (type.is_var_binary()) return SideKind::kMinText;
      break;
    case AggregateKind::kMax:
      if (type.is_var_binary()) return SideKind::kMaxText;
      break;
    case AggregateKind::kFirst:
      return SideKind::kFirst;
    case AggregateKind::kLast:
      return SideKind::kLast;
    case AggregateKind::kArgMin:
      return SideKind::kArgMin;
    case AggregateKind::kArgMax:
      return SideKind::kArgMax;
    case AggregateKind::kCountDistinct:
      return SideKind::kDistinct;
    case AggregateKind::kApproxCountDistinct:
      return SideKind::kHyperLogLog;
    case AggregateKind::kApproxQuantile:
    case AggregateKind::kApproxQuantiles:
      return SideKind::kDDSketch;
    case AggregateKind::kUser:
      return SideKind::kUser;
    case AggregateKind::kCollectList:
      return SideKind::kCollected;
    case AggregateKind::kTopK:
      return SideKind::kTopK;
    case AggregateKind::kBottomK:
      return SideKind::kBottomK;
    default:
      break;
  }
  return std::nullopt;
}

// The index of the side, which aggregates share that need the same.
int side_of(AccumulatorLayout* layout, const SideLayout& wanted) {
  const auto found = std::find(layout->sides.begin(), layout->sides.end(), wanted);
  const auto side = static_cast<int>(found - layout->sides.begin());
  if (found == layout->sides.end()) {
    layout->sides.push_back(wanted);
    layout->inputs[static_cast<size_t>(wanted.input)].sides.push_back(side);
  }
  return side;
}

// Marks what the aggregate needs in the row; place() replaces the marks.
void want(AggregateKind kind, InputLayout* input) {
  if (kind == AggregateKind::kCount) return;
  input->value_class = value_class_of(input->type);
  switch (kind) {
    case AggregateKind::kSum:
    case AggregateKind::kMean:
      input->sum_at = 0;
      break;
    case AggregateKind::kMin:
    case AggregateKind::kAll:
      input->min_at = 0;
      break;
    case AggregateKind::kMax:
    case AggregateKind::kAny:
      input->max_at = 0;
      break;
    default:
      input->moments_at = 0;
  }
}

// Of nothing, counts are 0 and what collects values is an empty list.
bool is_never_null(AggregateKind kind) {
  return kind == AggregateKind::kCollectList || kind == AggregateKind::kTopK ||
         kind == AggregateKind::kBottomK || kind == AggregateKind::kCountAll ||
         kind == AggregateKind::kCount || kind == AggregateKind::kCountDistinct ||
         kind == AggregateKind::kApproxCountDistinct;
}

DataType result_type(AggregateKind kind, const DataType& input) {
  switch (kind) {
    case AggregateKind::kCountAll:
    case AggregateKind::kCount:
    case AggregateKind::kCountDistinct:
    case AggregateKind::kApproxCountDistinct:
      return DataType::of(TypeId::kInt64);
    case AggregateKind::kMean:
    case AggregateKind::kVarSamp:
    case AggregateKind::kVarPop:
    case AggregateKind::kStddevSamp:
    case AggregateKind::kStddevPop:
    case AggregateKind::kApproxQuantile:
      return DataType::of(TypeId::kFloat64);
    case AggregateKind::kApproxQuantiles:
      return DataType::list_of(DataType::of(TypeId::kFloat64));
    case AggregateKind::kSum: {
      if (input.is_floating()) return DataType::of(TypeId::kFloat64);
      if (input.is_signed_integer()) return DataType::of(TypeId::kInt64);
      if (input.is_integer()) return DataType::of(TypeId::kUInt64);
      DataType type = input;  // duration keeps its unit
      if (type.id == TypeId::kDecimal128) type.precision = kDecimalDigits;
      return type;
    }
    case AggregateKind::kMin:
    case AggregateKind::kMax:
    case AggregateKind::kAny:
    case AggregateKind::kAll:
    case AggregateKind::kFirst:
    case AggregateKind::kLast:
    case AggregateKind::kArgMin:
    case AggregateKind::kArgMax:
    case AggregateKind::kUser:
    case AggregateKind::kCollectList:
    case AggregateKind::kTopK:
    case AggregateKind::kBottomK:
      break;
  }
  DataType type = input;
  type.is_dictionary = false;  // single values hardly repeat
  const bool is_list = kind == AggregateKind::kCollectList || kind == AggregateKind::kTopK ||
                       kind == AggregateKind::kBottomK;
  return is_list ? DataType::list_of(std::move(type)) : type;
}

int input_of(AccumulatorLayout* layout, int column, const Schema& schema) {
  for (size_t i = 0; i < layout->inputs.size(); ++i) {
    if (layout->inputs[i].column == column) return static_cast<int>(i);
  }
  const Field& field = schema.fields[static_cast<size_t>(column)];
  InputLayout input;
  input.column = column;
  input.name = field.name;
  input.type = field.type;
  layout->inputs.push_back(input);
  return static_cast<int>(layout->inputs.size()) - 1;
}

class RowBuilder {
 public:
  explicit RowBuilder(std::vector<uint8_t>* row) : row_(row) {}

  template <typename T>
  int add(const T& initial) {
    const size_t at = row_->size();
    row_->resize(at + sizeof(T));
    std::memcpy(row_->data() + at, &initial, sizeof(T));
    return static_cast<int>(at);
  }

 private:
  std::vector<uint8_t>* row_;
};

template <typename V>
void place_values(InputLayout* input, RowBuilder* row) {
  if (input->sum_at == 0) input->sum_at = row->add(typename Accumulate<V>::Sum{});
  if (input->min_at == 0) input->min_at = row->add(Accumulate<V>::kHighest);
  if (input->max_at == 0) input->max_at = row->add(Accumulate<V>::kLowest);
  if (input->moments_at == 0) input->moments_at = row->add(Moments{});
}

// Replaces the marks (0: wanted) by places.
void place(AccumulatorLayout* layout) {
  RowBuilder row(&layout->empty_row);
  row.add(int64_t{0});  // the number of rows
  for (InputLayout& input : layout->inputs) {
    switch (input.value_class) {
      case ValueClass::kNone:
        break;
      case ValueClass::kInt64:
        place_values<int64_t>(&input, &row);
        break;
      case ValueClass::kUInt64:
        place_values<uint64_t>(&input, &row);
        break;
      case ValueClass::kFloat64:
        place_values<double>(&input, &row);
        break;
      case ValueClass::kDecimal:
        place_values<__int128>(&input, &row);
        break;
    }
  }
  // Rows of up to a cache line never straddle two.
  size_t stride = 8;
  while (stride < layout->empty_row.size() && stride < 64) stride *= 2;
  if (stride < layout->empty_row.size()) stride = (layout->empty_row.size() + 15) / 16 * 16;
  layout->empty_row.resize(stride, 0);
  layout->stride = static_cast<int>(stride);
}

}  // namespace

AccumulatorLayout make_layout(std::span<const AggregateSpec> aggregates, const Schema& schema,
                              bool is_keyed) {
  AccumulatorLayout layout;
  layout.is_keyed = is_keyed;
  for (const AggregateSpec& aggregate : aggregates) {
    ResultLayout result;
    result.kind = aggregate.kind;
    result.quantile = aggregate.quantile;
    result.quantiles = aggregate.quantiles;
    DataType input_type;
    if (aggregate.kind != AggregateKind::kCountAll) {
      check_type(aggregate, checked_field(aggregate, aggregate.input, schema));
      result.input = input_of(&layout, aggregate.input, schema);
      InputLayout& input = layout.inputs[static_cast<size_t>(result.input)];
      input_type = input.type;
      if (const auto side = side_kind_of(aggregate.kind, input_type)) {
        SideLayout wanted;
        wanted.kind = *side;
        wanted.input = result.input;
        wanted.by = aggregate.by;
        wanted.relative_error = aggregate.relative_error;
        wanted.k = aggregate.k;
        wanted.user = aggregate.user;
        wanted.others = aggregate.others;
        for (const int other : aggregate.others) checked_field(aggregate, other, schema);
        if (wanted.by >= 0) wanted.by_type = checked_by(aggregate, schema).type;
        result.side = side_of(&layout, wanted);
      } else {
        want(aggregate.kind, &input);
      }
    }
    const DataType type =
        aggregate.user ? aggregate.user->result_type() : result_type(aggregate.kind, input_type);
    result.field = {aggregate.name, type, !is_never_null(aggregate.kind)};
    layout.results.push_back(std::move(result));
  }
  place(&layout);
  return layout;
}

}  // namespace pystream::windows
