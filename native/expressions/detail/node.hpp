#pragma once
// What every bound node of this room is: a BoundExpression that also knows its own text (for
// errors) and whether it is one constant.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "expressions/detail/constant.hpp"
#include "expressions/detail/input.hpp"
#include "expressions/expression.hpp"

namespace pystream::expressions::detail {

class Node : public BoundExpression {
 public:
  Node(DataType type, bool nullable, std::string text) : text_(std::move(text)) {
    type_ = std::move(type);
    nullable_ = nullable;
  }

  Array evaluate(const RecordBatch& batch) const final { return compute(Input(batch)); }
  Array evaluate(const Input& batch) const { return compute(batch); }

  // As the user would write it.
  const std::string& text() const { return text_; }

  // The value when it is the same in every row, else nullptr.
  virtual const Constant* constant() const { return nullptr; }

 protected:
  virtual Array compute(const Input& batch) const = 0;

 private:
  std::string text_;
};
using NodePtr = std::shared_ptr<const Node>;

// One that stands in several places of an expression: computed once for a batch.
class SharedNode final : public Node {
 public:
  explicit SharedNode(NodePtr node)
      : Node(node->type(), node->nullable(), node->text()), node_(std::move(node)) {}
  const Constant* constant() const override { return node_->constant(); }

 protected:
  Array compute(const Input& batch) const override {
    const Array* known = batch.find(this);
    return known != nullptr ? *known : batch.keep(this, node_->evaluate(batch));
  }

 private:
  NodePtr node_;
};

class ConstantNode final : public Node {
 public:
  ConstantNode(DataType type, Constant value, std::string text)
      : Node(std::move(type), value.is_null(), std::move(text)), value_(std::move(value)) {}
  const Constant* constant() const override { return &value_; }
  Array compute(const Input& batch) const override {
    return repeat_constant(value_, type(), batch.num_rows);
  }

 private:
  Constant value_;
};

// `child`'s nulls, and `value` in every other row: what is left of a comparison that no value of
// the type can decide otherwise.
class SameUnlessNullNode final : public Node {
 public:
  SameUnlessNullNode(NodePtr child, bool value, std::string text)
      : Node(DataType::of(TypeId::kBool), child->nullable(), std::move(text)),
        child_(std::move(child)),
        value_(value) {}
  Array compute(const Input& batch) const override;

 private:
  NodePtr child_;
  bool value_;
};

inline NodePtr make_constant(DataType type, Constant value, std::string text) {
  return std::make_shared<ConstantNode>(std::move(type), std::move(value), std::move(text));
}
inline bool is_null_constant(const Node& node) {
  return node.constant() != nullptr && node.constant()->is_null();
}

// Not yet bound to a type: a literal takes the type that the other operand asks for.
struct Operand {
  NodePtr node;                         // null while it is a literal
  const Expression* literal = nullptr;  // null when `node` is set

  std::string text() const { return node ? node->text() : literal->to_string(); }
  // "float64", or for literals "literal 3".
  std::string describe() const;
};

// What only the data can show, in one row: "<problem> in <text> at row <row>. <advice>", with the
// facts expression and row.
class RowError final : public Error {
 public:
  RowError(std::string text, int64_t row, std::string problem, std::string advice);

  int64_t row() const { return row_; }
  // The same for the batch that the failing rows were taken from.
  RowError at_row(int64_t row) const { return {text_, row, problem_, advice_}; }

 private:
  std::string text_;
  int64_t row_;
  std::string problem_;
  std::string advice_;
};

[[noreturn]] void throw_schema_error(const std::string& message);

// "<text>: <problem>. <advice>"
[[noreturn]] void throw_type_error(const std::string& text, const std::string& problem,
                                   const std::string& advice);

// Throws RowError.
[[noreturn]] void throw_row_error(const std::string& text, int64_t row, const std::string& problem,
                                  const std::string& advice);

}  // namespace pystream::expressions::detail
