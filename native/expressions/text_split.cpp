// The parts of strings between delimiters, as lists.

#include "columns/builder.hpp"
#include "expressions/detail/bitmap_words.hpp"
#include "expressions/detail/families.hpp"
#include "expressions/detail/map_texts.hpp"

namespace pystream::expressions::detail {
namespace {

// text.split(delimiter). One list after the other, also where rows share a dictionary entry: an
// array of lists is not encoded.
class SplitNode final : public Node {
 public:
  SplitNode(NodePtr child, std::string delimiter, std::string text)
      : Node(DataType::list_of(string_type()), child->nullable(), std::move(text)),
        child_(std::move(child)),
        delimiter_(std::move(delimiter)) {}

  Array compute(const Input& batch) const override {
    const Array texts = child_->evaluate(batch);
    const StringReader read(texts);
    VarBinaryBuilder parts(string_type());
    MutableBuffer offsets((texts.length + 1) * static_cast<int64_t>(sizeof(int32_t)));
    auto* ends = offsets.as<int32_t>();
    ends[0] = 0;
    for (int64_t i = 0; i < texts.length; ++i) {
      if (texts.is_valid(i)) append_parts(read[i], i, &parts);
      ends[i + 1] = static_cast<int32_t>(parts.length());
    }
    Array lists = make_lists(offsets.freeze(), texts.length, parts.finish());
    lists.validity = texts.null_count > 0 ? validity_of(texts).bits : Buffer{};
    lists.null_count = texts.null_count;
    return lists;
  }

 private:
  void append_parts(std::string_view value, int64_t row, VarBinaryBuilder* parts) const {
    // A text has no more parts than bytes, and one.
    if (parts->length() > INT32_MAX - static_cast<int64_t>(value.size()) - 1) {
      throw_row_error(text(), row, "the parts of one batch are more than a list column holds",
                      "Send smaller batches");
    }
    for (size_t end; (end = value.find(delimiter_)) != std::string_view::npos;) {
      parts->append(value.substr(0, end));
      value.remove_prefix(end + delimiter_.size());
    }
    parts->append(value);
  }

  NodePtr child_;
  std::string delimiter_;
};

}  // namespace

NodePtr bind_split(NodePtr child, const Expression& delimiter, std::string text) {
  check_string(Function::kSplit, *child, text);
  const auto* literal = std::get_if<std::string>(&delimiter.literal);
  if (literal == nullptr || literal->empty()) {
    throw_type_error(text, "it takes a delimiter that is not empty",
                     "Write, for example, split(\",\")");
  }
  return std::make_shared<SplitNode>(std::move(child), *literal, std::move(text));
}

}  // namespace pystream::expressions::detail
