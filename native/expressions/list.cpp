// The length of a list and its elements.

#include "columns/builder.hpp"
#include "expressions/detail/bitmap_words.hpp"
#include "expressions/detail/families.hpp"

namespace pystream::expressions::detail {
namespace {

class ListLengthNode final : public Node {
 public:
  ListLengthNode(NodePtr child, std::string text)
      : Node(DataType::of(TypeId::kInt64), child->nullable(), std::move(text)),
        child_(std::move(child)) {}

  Array compute(const Input& batch) const override {
    const Array lists = child_->evaluate(batch);
    const int32_t* offsets = lists.offsets.as<int32_t>();
    MutableBuffer out(lists.length * static_cast<int64_t>(sizeof(int64_t)));
    auto* lengths = out.as<int64_t>();
    for (int64_t i = 0; i < lists.length; ++i) lengths[i] = offsets[i + 1] - offsets[i];
    return fixed_array(type(), lists.length, out.freeze(), validity_of(lists));
  }

 private:
  NodePtr child_;
};

class ListGetNode final : public Node {
 public:
  ListGetNode(NodePtr child, int64_t index, std::string text)
      : Node(*child->type().element, true, std::move(text)),
        child_(std::move(child)),
        index_(index) {}

  Array compute(const Input& batch) const override {
    const Array lists = child_->evaluate(batch);
    const Array& elements = *lists.elements;
    if (elements.length == 0) return make_nulls(type(), lists.length);
    const int32_t* offsets = lists.offsets.as<int32_t>();
    std::vector<int32_t> places(static_cast<size_t>(lists.length));
    BitmapBuilder validity;
    for (int64_t i = 0; i < lists.length; ++i) {
      const int64_t length = offsets[i + 1] - offsets[i];
      const int64_t index = index_ < 0 ? index_ + length : index_;
      const bool is_there = lists.is_valid(i) && 0 <= index && index < length;
      const int64_t place = is_there ? offsets[i] + index : 0;
      places[static_cast<size_t>(i)] = static_cast<int32_t>(place);
      validity.append(is_there && elements.is_valid(place));
    }
    Array found = take(elements, places);
    // Kernels of fixed-width types read values.
    if (found.is_encoded() && !type().is_var_binary()) found = decode_dictionary(found);
    found.null_count = validity.length() - validity.ones();
    found.validity = found.null_count > 0 ? validity.finish() : Buffer{};
    return found;
  }

 private:
  NodePtr child_;
  int64_t index_;
};

void check_list(const Node& child, const std::string& text, const char* function) {
  if (child.type().is_list()) return;
  throw_type_error(text,
                   std::string(function) + " takes lists, but " + child.text() + " is " +
                       child.type().to_string(),
                   "length() counts the characters of strings, substring() takes some of them");
}

}  // namespace

NodePtr bind_list_length(NodePtr child, std::string text) {
  check_list(*child, text, "list_length");
  return std::make_shared<ListLengthNode>(std::move(child), std::move(text));
}

NodePtr bind_list_get(NodePtr child, const Expression& index, std::string text) {
  check_list(*child, text, "list_get");
  const auto* number = std::get_if<int64_t>(&index.literal);
  if (index.kind != Expression::Kind::kLiteral || number == nullptr) {
    throw_type_error(text, "the place in a list is " + index.to_string(), "Pass an integer");
  }
  return std::make_shared<ListGetNode>(std::move(child), *number, std::move(text));
}

}  // namespace pystream::expressions::detail
