// The greatest or least of several values of a row, by the order of comparisons.

#include <cmath>

#include "expressions/detail/bitmap_words.hpp"
#include "expressions/detail/families.hpp"

namespace pystream::expressions::detail {
namespace {

// A column of a batch that a node makes for itself.
class InputNode final : public Node {
 public:
  InputNode(size_t index, const Node& node)
      : Node(node.type(), node.nullable(), node.text()), index_(index) {}
  Array compute(const Input& batch) const override { return batch.column(index_); }

 private:
  size_t index_;
};

bool is_nan(const Array& array, int64_t row) {
  if (array.type.id == TypeId::kFloat64) return std::isnan(array.data<double>()[row]);
  return array.type.id == TypeId::kFloat32 && std::isnan(array.data<float>()[row]);
}

// Whether the left one of two zeros stays: 0.0 is greater than -0.0, whatever the order.
template <typename T>
bool zero_stays(const Array& left, const Array& right, int64_t row, bool greatest) {
  const T a = left.data<T>()[row];
  const T b = right.data<T>()[row];
  if (a != 0 || b != 0) return true;
  return greatest ? !std::signbit(a) || std::signbit(b) : std::signbit(a) || !std::signbit(b);
}

bool zero_stays(const Array& left, const Array& right, int64_t row, bool greatest) {
  if (left.type.id == TypeId::kFloat64) return zero_stays<double>(left, right, row, greatest);
  return left.type.id != TypeId::kFloat32 || zero_stays<float>(left, right, row, greatest);
}

class ExtremeNode final : public Node {
 public:
  // `keeps` compares the inputs 0 and 1, and is true where the first one stays.
  ExtremeNode(Function function, DataType type, NodePtr left, NodePtr right, NodePtr keeps,
              std::string text)
      : Node(std::move(type), left->nullable() || right->nullable(), std::move(text)),
        greatest_(function == Function::kGreatest),
        left_(std::move(left)),
        right_(std::move(right)),
        keeps_(std::move(keeps)) {}

  Array compute(const Input& batch) const override {
    RecordBatch pair{batch.schema, batch.num_rows, {plain(left_, batch), plain(right_, batch)}};
    const Array& left = pair.columns[0];
    const Array keeps = keeps_->evaluate(pair);
    std::vector<int32_t> rows(static_cast<size_t>(batch.num_rows));
    for (int64_t i = 0; i < batch.num_rows; ++i) {
      const bool is_better =
          get_bit(keeps.values.data, i) && zero_stays(left, pair.columns[1], i, greatest_);
      const bool stays = is_better || is_nan(left, i);
      rows[static_cast<size_t>(i)] = static_cast<int32_t>(stays ? i : i + batch.num_rows);
    }
    Array result = take(concat(pair.columns), rows);
    Validity validity = both_valid(left, pair.columns[1]);
    result.validity = std::move(validity.bits);
    result.null_count = validity.null_count;
    return result;
  }

 private:
  Array plain(const NodePtr& node, const Input& batch) const {
    Array array = decode_dictionary(node->evaluate(batch));
    array.type = type();
    return array;
  }

  bool greatest_;
  NodePtr left_;
  NodePtr right_;
  NodePtr keeps_;
};

}  // namespace

NodePtr bind_extreme(Function function, std::vector<Operand> values, std::string text) {
  DataType type;
  std::vector<NodePtr> parts = bind_alike(std::move(values), text, &type);
  type.is_dictionary = false;
  NodePtr best = std::move(parts[0]);
  const Function keeps =
      function == Function::kGreatest ? Function::kGreaterEqual : Function::kLessEqual;
  for (size_t i = 1; i < parts.size(); ++i) {
    NodePtr next = std::move(parts[i]);
    NodePtr compare = bind_comparison(keeps, {std::make_shared<InputNode>(0, *best), nullptr},
                                      {std::make_shared<InputNode>(1, *next), nullptr}, text);
    best = std::make_shared<ExtremeNode>(function, type, std::move(best), std::move(next),
                                         std::move(compare), text);
  }
  return best;
}

}  // namespace pystream::expressions::detail
