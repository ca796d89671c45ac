// Calls of functions that are not the core's: their arguments are computed here, and what comes
// back is checked.

#include <vector>

#include "expressions/detail/families.hpp"

namespace pystream::expressions::detail {

namespace {

class ExternalNode final : public Node {
 public:
  ExternalNode(std::shared_ptr<const ExternalFunction> function, std::vector<NodePtr> arguments,
               std::string text)
      : Node(function->type(), true, std::move(text)),
        function_(std::move(function)),
        arguments_(std::move(arguments)) {}

 protected:
  Array compute(const Input& batch) const override {
    std::vector<Array> values;
    for (const NodePtr& argument : arguments_) values.push_back(argument->evaluate(batch));
    Array result = function_->call(values, batch.num_rows);
    if (result.type == type() && result.length == batch.num_rows) return result;
    throw Error(ErrorCode::kSchema,
                text() + " gave " + std::to_string(result.length) + " values of " +
                    result.type.to_string() + " for " + std::to_string(batch.num_rows) +
                    " rows. Return one of " + type().to_string() + " for each.",
                {{"expression", text()}});
  }

 private:
  std::shared_ptr<const ExternalFunction> function_;
  std::vector<NodePtr> arguments_;
};

}  // namespace

NodePtr bind_external(std::shared_ptr<const ExternalFunction> function,
                      std::vector<NodePtr> arguments, std::string text) {
  return std::make_shared<ExternalNode>(std::move(function), std::move(arguments), std::move(text));
}

}  // namespace pystream::expressions::detail
