// The cast functions, and the conversions that other functions ask for.

#include "expressions/detail/bitmap_words.hpp"
#include "expressions/detail/cast_kernels.hpp"
#include "expressions/detail/families.hpp"

namespace pystream::expressions::detail {
namespace {

// `rows` have values, which become nulls.
Array with_nulls(Array array, const std::vector<int64_t>& rows) {
  if (rows.empty()) return array;
  const BitmapReader valid = validity_reader(array);
  auto next = rows.begin();
  Validity validity = make_validity(array.length, [&](int64_t word) {
    uint64_t bits = valid.word(word);
    for (; next != rows.end() && *next / 64 == word; ++next) bits &= ~(uint64_t{1} << (*next % 64));
    return bits;
  });
  array.validity = std::move(validity.bits);
  array.null_count = validity.null_count;
  return array;
}

Array run(const CastKernel& kernel, const Array& in, OnFailure on_failure,
          const std::string& text) {
  CastFailures failures(text, on_failure);
  Array out = kernel(in, failures);
  return with_nulls(std::move(out), failures.rows());
}

class CastNode final : public Node {
 public:
  CastNode(NodePtr child, DataType type, CastKernel kernel, OnFailure on_failure, std::string text)
      : Node(std::move(type), child->nullable() || on_failure == OnFailure::kNull, std::move(text)),
        child_(std::move(child)),
        kernel_(std::move(kernel)),
        on_failure_(on_failure) {}
  Array compute(const Input& batch) const override {
    return run(kernel_, child_->evaluate(batch), on_failure_, text());
  }

 private:
  NodePtr child_;
  CastKernel kernel_;
  OnFailure on_failure_;
};

CastKernel find_cast(const DataType& from, const DataType& to) {
  if (CastKernel kernel = find_decimal_cast(from, to)) return kernel;
  if (CastKernel kernel = find_number_cast(from, to)) return kernel;
  if (CastKernel kernel = find_time_cast(from, to)) return kernel;
  return find_text_cast(from, to);
}

// A constant is converted here and now, so that a bad one is found when the chain is built.
NodePtr cast_constant(const Node& node, const DataType& type, const CastKernel& kernel,
                      OnFailure on_failure, const std::string& text) {
  if (node.constant()->is_null()) return make_constant(type, {}, text);
  try {
    const Array one =
        run(kernel, repeat_constant(*node.constant(), node.type(), 1), on_failure, text);
    return make_constant(type, constant_from(one, 0), text);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kOperator) throw;
    throw Error(ErrorCode::kSchema, error.what(), error.facts());
  }
}

}  // namespace

NodePtr bind_cast(NodePtr child, const DataType& target, OnFailure on_failure, std::string text) {
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
  return make_cast(std::move(child), target, kernel, on_failure, std::move(text));
}

NodePtr make_cast(NodePtr child, const DataType& target, CastKernel kernel, OnFailure on_failure,
                  std::string text) {
  if (child->constant() != nullptr) {
    return cast_constant(*child, target, kernel, on_failure, text);
  }
  return std::make_shared<CastNode>(std::move(child), target, std::move(kernel), on_failure,
                                    std::move(text));
}

NodePtr convert(NodePtr node, const DataType& type) {
  std::string text = node->text();
  return bind_cast(std::move(node), type, OnFailure::kError, std::move(text));
}

}  // namespace pystream::expressions::detail
