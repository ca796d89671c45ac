// Kleene logic, 64 rows a word. Bits of a value below a null are arbitrary, so every formula masks
// with validity.

#include "expressions/detail/bitmap_words.hpp"
#include "expressions/detail/families.hpp"

namespace pystream::expressions::detail {
namespace {

class LogicNode final : public Node {
 public:
  LogicNode(bool is_and, NodePtr left, NodePtr right, std::string text)
      : Node(DataType::of(TypeId::kBool), left->nullable() || right->nullable(), std::move(text)),
        is_and_(is_and),
        left_(std::move(left)),
        right_(std::move(right)) {}

  Array compute(const Input& batch) const override {
    const Array left = left_->evaluate(batch);
    const Array right = right_->evaluate(batch);
    const int64_t rows = left.length;
    const BitmapReader a(left.values.data, rows);
    const BitmapReader b(right.values.data, rows);
    if (left.null_count == 0 && right.null_count == 0) {
      return bool_array(rows,
                        is_and_
                            ? make_bitmap(rows, [&](int64_t i) { return a.word(i) & b.word(i); })
                            : make_bitmap(rows, [&](int64_t i) { return a.word(i) | b.word(i); }),
                        {});
    }
    // Known: both are known, or one is the value that decides alone (false for and, true for or).
    const BitmapReader a_valid = validity_reader(left);
    const BitmapReader b_valid = validity_reader(right);
    const uint64_t flip = is_and_ ? ~uint64_t{0} : 0;
    Validity validity = make_validity(rows, [&](int64_t i) {
      const uint64_t va = a_valid.word(i);
      const uint64_t vb = b_valid.word(i);
      return (va & vb) | (va & (a.word(i) ^ flip)) | (vb & (b.word(i) ^ flip));
    });
    // The value where one decides alone must not depend on the bit below the other's null.
    Buffer values = make_bitmap(rows, [&](int64_t i) {
      const uint64_t x = a.word(i);
      const uint64_t y = b.word(i);
      const uint64_t va = a_valid.word(i);
      const uint64_t vb = b_valid.word(i);
      return is_and_ ? (x & va) & (y & vb) : (x & va) | (y & vb);
    });
    return bool_array(rows, std::move(values), std::move(validity));
  }

 private:
  bool is_and_;
  NodePtr left_;
  NodePtr right_;
};

class NotNode final : public Node {
 public:
  NotNode(NodePtr child, std::string text)
      : Node(DataType::of(TypeId::kBool), child->nullable(), std::move(text)),
        child_(std::move(child)) {}

  Array compute(const Input& batch) const override {
    const Array child = child_->evaluate(batch);
    const BitmapReader bits(child.values.data, child.length);
    return bool_array(child.length,
                      make_bitmap(child.length, [&](int64_t i) { return ~bits.word(i); }),
                      validity_of(child));
  }

 private:
  NodePtr child_;
};

void check_bool(const NodePtr& node, const char* name, const std::string& text) {
  if (node->type().is_bool()) return;
  throw_type_error(
      text,
      std::string(name) + " takes bool, but " + node->text() + " is " + node->type().to_string(),
      "Compare first, and mind that " + std::string(name) +
          " binds tighter than == and <: write (a > 1) & (b < 2)");
}

}  // namespace

NodePtr bind_logic(Function function, NodePtr left, NodePtr right, std::string text) {
  const bool is_and = function == Function::kAnd;
  check_bool(left, is_and ? "&" : "|", text);
  check_bool(right, is_and ? "&" : "|", text);
  return std::make_shared<LogicNode>(is_and, std::move(left), std::move(right), std::move(text));
}

NodePtr bind_not(NodePtr child, std::string text) {
  check_bool(child, "~", text);
  return std::make_shared<NotNode>(std::move(child), std::move(text));
}

}  // namespace pystream::expressions::detail
