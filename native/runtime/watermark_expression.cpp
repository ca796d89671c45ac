#include "runtime/watermark_expression.hpp"

#include <memory>
#include <set>
#include <utility>

#include "runtime/columns_needed.hpp"

namespace pystream::runtime {

WatermarkExpression::WatermarkExpression(const expressions::Expression& expression,
                                         const Schema& source) {
  // Against all columns first, so that an unknown one is told among those that there are.
  bound_ = expressions::bind(expression, source);
  const std::set<std::string> names = columns_of(expression);
  auto schema = std::make_shared<Schema>();
  for (const Field& field : source.fields) {
    if (names.contains(field.name)) schema->fields.push_back(field);
  }
  bound_ = expressions::bind(expression, *schema);
  schema_ = std::move(schema);
}

Array WatermarkExpression::evaluate(const RecordBatch& rows) const {
  return decode_dictionary(bound_->evaluate(rows));
}

}  // namespace pystream::runtime
