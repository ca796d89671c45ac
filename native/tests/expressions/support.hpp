#pragma once
// Short ways to write columns and expressions in tests.

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "columns/builder.hpp"
#include "expressions/expression.hpp"

namespace pystream::expressions {

inline testing::AssertionResult contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "'" << text << "' does not contain '" << part << "'";
}

using Tree = std::shared_ptr<Expression>;

inline Tree column(const std::string& name) {
  auto tree = std::make_shared<Expression>();
  tree->kind = Expression::Kind::kColumn;
  tree->column = name;
  return tree;
}

inline Tree literal(Literal value) {
  auto tree = std::make_shared<Expression>();
  tree->kind = Expression::Kind::kLiteral;
  tree->literal = std::move(value);
  return tree;
}

inline Tree typed_literal(Literal value, const std::string& type) {
  Tree tree = literal(std::move(value));
  tree->literal_type = DataType::parse(type);
  tree->has_literal_type = true;
  return tree;
}

inline Tree call(Function function, std::vector<ExpressionPtr> arguments) {
  auto tree = std::make_shared<Expression>();
  tree->kind = Expression::Kind::kCall;
  tree->function = function;
  tree->arguments = std::move(arguments);
  return tree;
}

inline Tree cast(ExpressionPtr child, const std::string& type) {
  Tree tree = call(Function::kCast, {std::move(child)});
  tree->cast_type = DataType::parse(type);
  return tree;
}

template <typename T>
Array fixed(const std::string& type, const std::vector<std::optional<T>>& values) {
  FixedBuilder<T> builder(DataType::parse(type));
  for (const auto& value : values) {
    if (value) {
      builder.append(*value);
    } else {
      builder.append_null();
    }
  }
  return builder.finish();
}

inline Array strings(const std::vector<std::optional<std::string>>& values) {
  VarBinaryBuilder builder(DataType::of(TypeId::kString));
  for (const auto& value : values) {
    if (value) {
      builder.append(*value);
    } else {
      builder.append_null();
    }
  }
  return builder.finish();
}

inline Array bools(const std::vector<std::optional<bool>>& values) {
  BitmapBuilder bits;
  BitmapBuilder validity;
  for (const auto& value : values) {
    bits.append(value.value_or(true));  // whatever lies below a null must not matter
    validity.append(value.has_value());
  }
  Array array;
  array.type = DataType::of(TypeId::kBool);
  array.length = bits.length();
  array.null_count = validity.length() - validity.ones();
  array.values = bits.finish();
  if (array.null_count > 0) array.validity = validity.finish();
  return array;
}

struct NamedArray {
  std::string name;
  Array array;
};

inline RecordBatch batch_of(const std::vector<NamedArray>& columns) {
  auto schema = std::make_shared<Schema>();
  RecordBatch batch;
  for (const NamedArray& named : columns) {
    schema->fields.push_back({named.name, named.array.type, true});
    batch.columns.push_back(named.array);
    batch.num_rows = named.array.length;
  }
  batch.schema = schema;
  return batch;
}

inline Array run(const Tree& tree, const RecordBatch& batch) {
  return bind(*tree, *batch.schema)->evaluate(batch);
}

// The rows as optionals of T.
template <typename T>
std::vector<std::optional<T>> rows(const Array& array) {
  std::vector<std::optional<T>> out;
  for (int64_t i = 0; i < array.length; ++i) {
    if (!array.is_valid(i)) {
      out.push_back(std::nullopt);
    } else if constexpr (std::is_same_v<T, bool>) {
      out.push_back(get_bit(array.values.data, i));
    } else if constexpr (std::is_same_v<T, std::string>) {
      out.push_back(array.is_encoded() ? std::string(array.dictionary->view(array.codes()[i]))
                                       : std::string(array.view(i)));
    } else {
      out.push_back(array.data<T>()[i]);
    }
  }
  return out;
}

}  // namespace pystream::expressions
