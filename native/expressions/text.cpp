// Functions of strings. Strings are valid UTF-8, and lengths and positions count code points.

#include <algorithm>
#include <optional>
#include <vector>

#include "expressions/detail/families.hpp"
#include "expressions/detail/literal.hpp"
#include "expressions/detail/map_texts.hpp"
#include "expressions/detail/utf8.hpp"

namespace pystream::expressions::detail {
namespace {

class LengthNode final : public Node {
 public:
  LengthNode(NodePtr child, std::string text)
      : Node(DataType::of(TypeId::kInt64), child->nullable(), std::move(text)),
        child_(std::move(child)) {}

  Array compute(const Input& batch) const override {
    const Array in = child_->evaluate(batch);
    MutableBuffer out(in.length * static_cast<int64_t>(sizeof(int64_t)));
    auto* lengths = out.as<int64_t>();
    if (pays_per_entry(in)) {
      std::vector<int64_t> entries;
      for (int64_t i = 0; i < in.dictionary->length; ++i) {
        entries.push_back(count_code_points(in.dictionary->view(i)));
      }
      const int32_t* codes = in.codes();
      for (int64_t i = 0; i < in.length; ++i) lengths[i] = entries[static_cast<size_t>(codes[i])];
    } else {
      const StringReader read(in);
      for (int64_t i = 0; i < in.length; ++i) lengths[i] = count_code_points(read[i]);
    }
    return fixed_array(type(), in.length, out.freeze(), validity_of(in));
  }

 private:
  NodePtr child_;
};

// A part of the text, of Part's choice.
template <typename Part>
class PartNode final : public Node {
 public:
  PartNode(NodePtr child, Part part, std::string text)
      : Node(string_type(), child->nullable(), std::move(text)),
        child_(std::move(child)),
        part_(part) {}

  Array compute(const Input& batch) const override {
    return map_texts(child_->evaluate(batch), part_);
  }

 private:
  NodePtr child_;
  Part part_;
};

struct Substring {
  int64_t start;  // negative: from the end
  std::optional<int64_t> length;

  std::string_view operator()(std::string_view text) const {
    text.remove_prefix(start >= 0
                           ? bytes_of_first(text, static_cast<uint64_t>(start))
                           : text.size() - bytes_of_last(text, -static_cast<uint64_t>(start)));
    return length ? text.substr(0, bytes_of_first(text, static_cast<uint64_t>(*length))) : text;
  }
};

struct Strip {
  bool left;
  bool right;

  std::string_view operator()(std::string_view text) const {
    while (left && !text.empty()) {
      const size_t size = bytes_of_first(text, 1);
      if (!is_white_space(text.substr(0, size))) break;
      text.remove_prefix(size);
    }
    while (right && !text.empty()) {
      const size_t size = bytes_of_last(text, 1);
      if (!is_white_space(text.substr(text.size() - size))) break;
      text.remove_suffix(size);
    }
    return text;
  }
};

class ConcatNode final : public Node {
 public:
  ConcatNode(NodePtr left, NodePtr right, std::string text)
      : Node(string_type(), left->nullable() || right->nullable(), std::move(text)),
        left_(std::move(left)),
        right_(std::move(right)) {}

  Array compute(const Input& batch) const override {
    std::string joined;
    const auto join = [&joined](std::string_view a, std::string_view b) -> std::string_view {
      joined.assign(a);
      return joined.append(b);
    };
    if (const Constant* left = left_->constant()) {
      return map_texts(right_->evaluate(batch),
                       [&](std::string_view value) { return join(left->text(), value); });
    }
    const Array left = left_->evaluate(batch);
    if (const Constant* right = right_->constant()) {
      return map_texts(left, [&](std::string_view value) { return join(value, right->text()); });
    }
    const Array right = right_->evaluate(batch);
    const StringReader a(left);
    const StringReader b(right);
    VarBinaryBuilder out(type());
    for (int64_t i = 0; i < left.length; ++i) {
      if (left.is_valid(i) && right.is_valid(i)) {
        out.append(join(a[i], b[i]));
      } else {
        out.append_null();
      }
    }
    return out.finish();
  }

 private:
  NodePtr left_;
  NodePtr right_;
};

int64_t position(const Expression& literal, const std::string& text) {
  if (const auto* value = std::get_if<int64_t>(&literal.literal)) return *value;
  throw_type_error(text, literal.to_string() + " is not a number of characters",
                   "Pass an int, for example substring(0, 3)");
}

NodePtr make_strip(NodePtr child, Strip strip, std::string text) {
  return std::make_shared<PartNode<Strip>>(std::move(child), strip, std::move(text));
}

}  // namespace

void check_string(Function function, const Node& node, const std::string& text) {
  if (node.type().id == TypeId::kString) return;
  const bool is_binary = node.type().id == TypeId::kBinary;
  throw_type_error(
      text,
      std::string(name_of(function)) + " takes string, but " + node.text() + " is " +
          node.type().to_string(),
      is_binary ? "Cast it to string if its bytes are UTF-8" : "Cast it to string first");
}

NodePtr bind_text(Function function, NodePtr child, std::string text) {
  check_string(function, *child, text);
  switch (function) {
    case Function::kStrip:
      return make_strip(std::move(child), {true, true}, std::move(text));
    case Function::kLStrip:
      return make_strip(std::move(child), {true, false}, std::move(text));
    case Function::kRStrip:
      return make_strip(std::move(child), {false, true}, std::move(text));
    case Function::kLower:
    case Function::kUpper:
      return make_case_change(function, std::move(child), std::move(text));
    default:
      return std::make_shared<LengthNode>(std::move(child), std::move(text));
  }
}

NodePtr bind_substring(NodePtr child, std::span<const ExpressionPtr> bounds, std::string text) {
  check_string(Function::kSubstring, *child, text);
  Substring part{position(*bounds[0], text), std::nullopt};
  if (bounds.size() > 1) part.length = position(*bounds[1], text);
  if (part.length && *part.length < 0) {
    throw_type_error(text, "the length " + std::to_string(*part.length) + " is negative",
                     "Pass zero or more; a negative start counts from the end");
  }
  return std::make_shared<PartNode<Substring>>(std::move(child), part, std::move(text));
}

NodePtr bind_text_test(Function function, NodePtr child, Operand pattern, std::string text) {
  check_string(function, *child, text);
  if (pattern.literal) pattern.node = literal_as(*pattern.literal, string_type(), text);
  check_string(function, *pattern.node, text);
  return make_string_comparison(function, std::move(child), std::move(pattern.node),
                                std::move(text));
}

bool is_concat(const Operand& left, const Operand& right) {
  const auto is_string = [](const Operand& operand) {
    if (operand.node) return operand.node->type().id == TypeId::kString;
    return !is_null_literal(*operand.literal) &&
           natural_type(*operand.literal).id == TypeId::kString;
  };
  const auto is_null = [](const Operand& operand) {
    return operand.literal != nullptr && is_null_literal(*operand.literal);
  };
  return (is_string(left) && (is_string(right) || is_null(right))) ||
         (is_null(left) && is_string(right));
}

NodePtr bind_concat(Operand left, Operand right, std::string text) {
  for (Operand* side : {&left, &right}) {
    if (side->literal) side->node = literal_as(*side->literal, string_type(), text);
  }
  if (is_null_constant(*left.node) || is_null_constant(*right.node)) {
    return make_constant(string_type(), {}, std::move(text));
  }
  if (left.node->constant() != nullptr && right.node->constant() != nullptr) {
    return make_constant(string_type(),
                         {left.node->constant()->text() + right.node->constant()->text()},
                         std::move(text));
  }
  return std::make_shared<ConcatNode>(std::move(left.node), std::move(right.node), std::move(text));
}

}  // namespace pystream::expressions::detail
