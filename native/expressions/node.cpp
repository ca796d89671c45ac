#include "expressions/detail/node.hpp"

#include "expressions/detail/bitmap_words.hpp"

namespace pystream::expressions::detail {

Validity both_valid(const Array& left, const Array& right) {
  if (left.null_count == 0) return validity_of(right);
  if (right.null_count == 0) return validity_of(left);
  const BitmapReader a = validity_reader(left);
  const BitmapReader b = validity_reader(right);
  return make_validity(left.length, [&](int64_t i) { return a.word(i) & b.word(i); });
}

Array SameUnlessNullNode::compute(const Input& batch) const {
  const Array child = child_->evaluate(batch);
  return bool_array_of(value_, child.length, validity_of(child));
}

std::string Operand::describe() const {
  return node ? node->type().to_string() : "literal " + literal->to_string();
}

RowError::RowError(std::string text, int64_t row, std::string problem, std::string advice)
    : Error(ErrorCode::kOperator,
            problem + " in " + text + " at row " + std::to_string(row) + ". " + advice + ".",
            {{"expression", text}, {"row", row}}),
      text_(std::move(text)),
      row_(row),
      problem_(std::move(problem)),
      advice_(std::move(advice)) {}

void throw_schema_error(const std::string& message) { throw Error(ErrorCode::kSchema, message); }

void throw_type_error(const std::string& text, const std::string& problem,
                      const std::string& advice) {
  throw Error(ErrorCode::kSchema, text + ": " + problem + ". " + advice + ".",
              {{"expression", text}});
}

void throw_row_error(const std::string& text, int64_t row, const std::string& problem,
                     const std::string& advice) {
  throw RowError(text, row, problem, advice);
}

}  // namespace pystream::expressions::detail
