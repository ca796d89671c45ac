// The cast function, and the conversions that other functions ask for.

#include "expressions/detail/cast_kernels.hpp"
#include "expressions/detail/families.hpp"

namespace pystream::expressions::detail {
namespace {

class CastNode final : public Node {
 public:
  CastNode(NodePtr child, DataType type, CastKernel kernel, std::string text)
      : Node(std::move(type), child->nullable(), std::move(text)),
        child_(std::move(child)),
        kernel_(std::move(kernel)) {}
  Array evaluate(const RecordBatch& batch) const override {
    return kernel_(child_->evaluate(batch), text());
  }

 private:
  NodePtr child_;
  CastKernel kernel_;
};

CastKernel find_cast(const DataType& from, const DataType& to) {
  if (CastKernel kernel = find_number_cast(from, to)) return kernel;
  if (CastKernel kernel = find_time_cast(from, to)) return kernel;
  return find_text_cast(from, to);
}

// A constant is converted here and now, so that a bad one is found when the chain is built.
NodePtr cast_constant(const Node& node, const DataType& type, const CastKernel& kernel,
                      const std::string& text) {
  if (node.constant()->is_null()) return make_constant(type, {}, text);
  try {
    const Array one = kernel(repeat_constant(*node.constant(), node.type(), 1), text);
    return make_constant(type, constant_from(one, 0), text);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kOperator) throw;
    throw Error(ErrorCode::kSchema, error.what(), error.facts());
  }
}

}  // namespace

NodePtr bind_cast(NodePtr child, const DataType& target, std::string text) {
  const DataType& from = child->type();
  if (from == target) return child;
  const CastKernel kernel = find_cast(from, target);
  if (!kernel) {
    throw_type_error(text,
                     "there is no cast from " + from.to_string() + " (" + child->text() + ") to " +
                         target.to_string(),
                     "Casts go between numbers, between times, between times and integers, and "
                     "from and to string");
  }
  if (child->constant() != nullptr) return cast_constant(*child, target, kernel, text);
  return std::make_shared<CastNode>(std::move(child), target, kernel, std::move(text));
}

NodePtr convert(NodePtr node, const DataType& type) {
  std::string text = node->text();
  return bind_cast(std::move(node), type, std::move(text));
}

}  // namespace pystream::expressions::detail
