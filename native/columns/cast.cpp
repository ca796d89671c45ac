#include "columns/cast.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/error.hpp"

namespace pystream {

namespace {

// The first row whose value the target cannot hold, and how that value reads.
struct BadValue {
  int64_t row;
  std::string text;
};

// Outcome of one column: an array, or a bad value, or neither (the types do not convert).
struct CastResult {
  std::optional<Array> array;
  std::optional<BadValue> bad_value;
};

Array with_values(const Array& source, const DataType& target, MutableBuffer&& values) {
  Array out = source;
  out.type = target;
  out.values = values.freeze();
  return out;
}

CastResult with_type(const Array& source, const DataType& target) {
  Array out = source;
  out.type = target;
  if (out.is_encoded() && out.dictionary->type.id != target.id) {
    Array entries = *out.dictionary;
    entries.type = DataType::of(target.id);
    out.dictionary = std::make_shared<const Array>(std::move(entries));
  }
  return {std::move(out), std::nullopt};
}

// Applies `convert(value, &result) -> bool` to each valid row; false means it does not fit.
template <typename From, typename To, typename Convert>
CastResult convert_values(const Array& source, const DataType& target, Convert convert) {
  MutableBuffer values(source.length * static_cast<int64_t>(sizeof(To)));
  const From* from = source.data<From>();
  To* to = values.as<To>();
  for (int64_t i = 0; i < source.length; ++i) {
    to[i] = To{};
    if (!convert(from[i], &to[i]) && source.is_valid(i)) {
      return {std::nullopt, BadValue{i, std::to_string(from[i])}};
    }
  }
  return {with_values(source, target, std::move(values)), std::nullopt};
}

template <typename From, typename To>
CastResult cast_integer(const Array& source, const DataType& target) {
  return convert_values<From, To>(source, target, [](From value, To* out) {
    *out = static_cast<To>(value);
    if constexpr (std::is_floating_point_v<To>) {
      return static_cast<__int128>(*out) == static_cast<__int128>(value);
    } else {
      return std::in_range<To>(value);
    }
  });
}

template <typename From>
CastResult cast_integer_to(const Array& source, const DataType& target) {
  switch (target.id) {
    case TypeId::kInt8:
      return cast_integer<From, int8_t>(source, target);
    case TypeId::kInt16:
      return cast_integer<From, int16_t>(source, target);
    case TypeId::kInt32:
      return cast_integer<From, int32_t>(source, target);
    case TypeId::kInt64:
    case TypeId::kTimestamp:
    case TypeId::kDuration:
      return cast_integer<From, int64_t>(source, target);
    case TypeId::kUInt8:
      return cast_integer<From, uint8_t>(source, target);
    case TypeId::kUInt16:
      return cast_integer<From, uint16_t>(source, target);
    case TypeId::kUInt32:
      return cast_integer<From, uint32_t>(source, target);
    case TypeId::kUInt64:
      return cast_integer<From, uint64_t>(source, target);
    case TypeId::kFloat32:
      return cast_integer<From, float>(source, target);
    case TypeId::kFloat64:
      return cast_integer<From, double>(source, target);
    default:
      return {};
  }
}

CastResult cast_from_integer(const Array& source, const DataType& target) {
  switch (source.type.id) {
    case TypeId::kInt8:
      return cast_integer_to<int8_t>(source, target);
    case TypeId::kInt16:
      return cast_integer_to<int16_t>(source, target);
    case TypeId::kInt32:
      return cast_integer_to<int32_t>(source, target);
    case TypeId::kInt64:
      return cast_integer_to<int64_t>(source, target);
    case TypeId::kUInt8:
      return cast_integer_to<uint8_t>(source, target);
    case TypeId::kUInt16:
      return cast_integer_to<uint16_t>(source, target);
    case TypeId::kUInt32:
      return cast_integer_to<uint32_t>(source, target);
    case TypeId::kUInt64:
      return cast_integer_to<uint64_t>(source, target);
    default:
      return {};
  }
}

CastResult cast_unit(const Array& source, const DataType& target) {
  const int64_t from = ticks_per_second(source.type.unit);
  const int64_t to = ticks_per_second(target.unit);
  if (from == to) return with_type(source, target);
  if (from < to) {
    return convert_values<int64_t, int64_t>(source, target,
                                            [factor = to / from](int64_t value, int64_t* out) {
                                              return !__builtin_mul_overflow(value, factor, out);
                                            });
  }
  return convert_values<int64_t, int64_t>(source, target,
                                          [factor = from / to](int64_t value, int64_t* out) {
                                            *out = value / factor;
                                            return *out * factor == value;
                                          });
}

CastResult cast_list(const Array& source, const DataType& target);

CastResult cast_array(const Array& source, const DataType& target) {
  const DataType& from = source.type;
  if (from == target) return {source, std::nullopt};
  if (from.is_list() && target.is_list()) return cast_list(source, target);
  if (from.id == TypeId::kString && target.is_var_binary()) return with_type(source, target);
  const Array plain = decode_dictionary(source);
  if (from.is_integer()) return cast_from_integer(plain, target);
  if (from.id == TypeId::kFloat32 && target.id == TypeId::kFloat64) {
    return convert_values<float, double>(plain, target, [](float value, double* out) {
      *out = value;
      return true;
    });
  }
  if (from.id != target.id) return {};
  if (from.id == TypeId::kTimestamp || from.id == TypeId::kDuration)
    return cast_unit(plain, target);
  const bool keeps_digits = from.scale == target.scale && from.precision <= target.precision;
  if (from.id == TypeId::kDecimal128 && keeps_digits) return with_type(plain, target);
  return {};
}

CastResult cast_list(const Array& source, const DataType& target) {
  // What lies below a null row, or in no row at all, must not fail.
  std::vector<int32_t> all(static_cast<size_t>(source.length));
  std::iota(all.begin(), all.end(), 0);
  Array lists = take(source, all);
  CastResult cast = cast_array(*lists.elements, *target.element);
  if (cast.bad_value) {
    const int32_t* ends = lists.offsets.as<int32_t>() + 1;
    cast.bad_value->row = std::upper_bound(ends, ends + lists.length, cast.bad_value->row) - ends;
  }
  if (!cast.array) return cast;
  lists.type = target;
  lists.elements = std::make_shared<const Array>(*std::move(cast.array));
  return {std::move(lists), std::nullopt};
}

std::string of_topic(const std::string& topic) {
  return topic.empty() ? "" : " of topic '" + topic + "'";
}

[[noreturn]] void throw_schema(const std::string& message, const std::string& topic,
                               std::vector<ErrorFact> facts) {
  if (!topic.empty()) facts.emplace_back("topic", topic);
  throw Error(ErrorCode::kSchema, message, std::move(facts));
}

std::string list_names(const Schema& schema) {
  std::string names;
  for (const Field& field : schema.fields) names += (names.empty() ? "" : ", ") + field.name;
  return names;
}

void check_columns(const Schema& got, const Schema& target, const std::string& topic) {
  std::set<std::string> seen;
  for (const Field& field : got.fields) {
    if (target.index_of(field.name) < 0) {
      throw_schema("column '" + field.name + "' does not exist" +
                       (topic.empty() ? "" : " in topic '" + topic + "'") + "; the columns are " +
                       list_names(target) + ". Drop or rename it.",
                   topic, {{"column", field.name}, {"got", field.type.to_string()}});
    }
    if (!seen.insert(field.name).second) {
      throw_schema("column '" + field.name + "' is given twice. Drop one of them.", topic,
                   {{"column", field.name}});
    }
  }
  for (const Field& field : target.fields) {
    if (seen.contains(field.name) || field.nullable) continue;
    throw_schema("column '" + field.name + "'" + of_topic(topic) + " (" + field.type.to_string() +
                     ") is missing and is not nullable; the batch has " + list_names(got) +
                     ". Add it.",
                 topic, {{"column", field.name}, {"expected", field.type.to_string()}});
  }
}

Array cast_column(const Array& source, const Field& field, const std::string& topic) {
  const std::string expected = field.type.to_string();
  const std::string got = source.type.to_string();
  const std::string where = "column '" + field.name + "'" + of_topic(topic);
  CastResult result = cast_array(source, field.type);
  if (result.bad_value) {
    const auto& [row, value] = *result.bad_value;
    throw_schema(where + " expects " + expected + ", got " + got + " with " + value + " in row " +
                     std::to_string(row) + ", which " + expected +
                     " cannot hold. Convert the column, or declare a wider type.",
                 topic,
                 {{"column", field.name}, {"expected", expected}, {"got", got}, {"row", row}});
  }
  if (!result.array) {
    throw_schema(where + " expects " + expected + ", got " + got + ". Convert the column first.",
                 topic, {{"column", field.name}, {"expected", expected}, {"got", got}});
  }
  if (!field.nullable && source.null_count > 0) {
    const int64_t row = find_clear_bit(source.validity.data, source.length);
    throw_schema(where + " is not nullable, row " + std::to_string(row) +
                     " is null. Fill the nulls, or declare the column nullable.",
                 topic,
                 {{"column", field.name},
                  {"expected", expected + " not null"},
                  {"got", std::string("null")},
                  {"row", row}});
  }
  return *std::move(result.array);
}

}  // namespace

RecordBatch cast_to(const RecordBatch& batch, const SchemaPtr& target, const std::string& topic) {
  check_columns(*batch.schema, *target, topic);
  RecordBatch out{target, batch.num_rows, {}};
  for (const Field& field : target->fields) {
    const int at = batch.schema->index_of(field.name);
    if (at < 0) {
      const Array nulls = make_nulls(field.type, batch.num_rows);
      out.columns.push_back(field.type.is_dictionary ? encode_dictionary(nulls) : nulls);
      continue;
    }
    out.columns.push_back(cast_column(batch.columns[static_cast<size_t>(at)], field, topic));
  }
  return out;
}

}  // namespace pystream
