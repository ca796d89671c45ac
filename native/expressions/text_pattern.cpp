// Functions of strings that search them for a pattern or a delimiter.

#include "expressions/detail/families.hpp"
#include "expressions/detail/map_texts.hpp"
#include "expressions/detail/regexp.hpp"

namespace pystream::expressions::detail {
namespace {

class RegexpMatchNode final : public Node {
 public:
  RegexpMatchNode(NodePtr child, const Regexp& regexp, std::string text)
      : Node(DataType::of(TypeId::kBool), child->nullable(), std::move(text)),
        child_(std::move(child)),
        find_(find_where([regexp](std::string_view value) { return regexp.matches(value); })) {}

  Array compute(const Input& batch) const override {
    const Array in = child_->evaluate(batch);
    return bool_array(in.length, find_(in), validity_of(in));
  }

 private:
  NodePtr child_;
  Finder find_;
};

// A part of the text, of Part's choice, or null.
template <typename Part>
class PartOrNullNode final : public Node {
 public:
  PartOrNullNode(NodePtr child, Part part, std::string text)
      : Node(string_type(), true, std::move(text)),
        child_(std::move(child)),
        part_(std::move(part)) {}

  Array compute(const Input& batch) const override {
    return map_texts_or_null(child_->evaluate(batch), part_);
  }

 private:
  NodePtr child_;
  Part part_;
};

struct Extract {
  Regexp regexp;
  int group;

  std::optional<std::string_view> operator()(std::string_view value) const {
    return regexp.extract(value, group);
  }
};

// text.split(delimiter)[index]
struct SplitPart {
  std::string delimiter;
  int64_t index;  // negative: from the end

  std::optional<std::string_view> operator()(std::string_view value) const {
    int64_t wanted = index;
    if (wanted < 0) {
      wanted += 1;
      for (size_t at = 0; (at = value.find(delimiter, at)) != std::string_view::npos;) {
        ++wanted;
        at += delimiter.size();
      }
      if (wanted < 0) return std::nullopt;
    }
    while (true) {
      const size_t end = value.find(delimiter);
      if (wanted == 0) return value.substr(0, end);
      if (end == std::string_view::npos) return std::nullopt;
      value.remove_prefix(end + delimiter.size());
      --wanted;
    }
  }
};

class RegexpReplaceNode final : public Node {
 public:
  RegexpReplaceNode(NodePtr child, Regexp regexp, std::vector<Regexp::Part> parts, std::string text)
      : Node(string_type(), child->nullable(), std::move(text)),
        child_(std::move(child)),
        regexp_(std::move(regexp)),
        parts_(std::move(parts)) {}

  Array compute(const Input& batch) const override {
    std::string replaced;
    return map_texts(child_->evaluate(batch), [&](std::string_view value) -> std::string_view {
      replaced.clear();
      regexp_.replace(value, parts_, &replaced);
      return replaced;
    });
  }

 private:
  NodePtr child_;
  Regexp regexp_;
  std::vector<Regexp::Part> parts_;
};

const std::string& literal_text(const Expression& literal, const std::string& text) {
  if (const auto* value = std::get_if<std::string>(&literal.literal)) return *value;
  throw_type_error(text, literal.to_string() + " is not a str", "Write it as a Python string");
}

int group_of(const Regexp& regexp, const Expression& literal, const std::string& text) {
  int group = -1;
  if (const auto* number = std::get_if<int64_t>(&literal.literal)) {
    if (*number >= 0 && *number <= regexp.groups()) group = static_cast<int>(*number);
  } else if (const auto* name = std::get_if<std::string>(&literal.literal)) {
    group = regexp.group_named(*name);
  }
  if (group >= 0) return group;
  throw Error(ErrorCode::kConfig, text + ": the pattern has no group " + literal.to_string() +
                                      ". Use 0 for the whole match, or one of its " +
                                      std::to_string(regexp.groups()) + " groups.");
}

}  // namespace

NodePtr bind_pattern(Function function, NodePtr child, std::span<const ExpressionPtr> arguments,
                     std::string text) {
  check_string(function, *child, text);
  const std::string& pattern = literal_text(*arguments[0], text);
  if (function == Function::kSplitPart) {
    const auto* index = std::get_if<int64_t>(&arguments[1]->literal);
    if (pattern.empty() || index == nullptr) {
      throw_type_error(text, "it takes a delimiter and the number of a part",
                       "Write, for example, split_part(\",\", 0)");
    }
    return std::make_shared<PartOrNullNode<SplitPart>>(std::move(child), SplitPart{pattern, *index},
                                                       std::move(text));
  }
  Regexp regexp(pattern, text);
  if (function == Function::kRegexpMatch) {
    return std::make_shared<RegexpMatchNode>(std::move(child), regexp, std::move(text));
  }
  if (function == Function::kRegexpExtract) {
    const int group = group_of(regexp, *arguments[1], text);
    return std::make_shared<PartOrNullNode<Extract>>(
        std::move(child), Extract{std::move(regexp), group}, std::move(text));
  }
  auto parts = regexp.parse_replacement(literal_text(*arguments[1], text), text);
  return std::make_shared<RegexpReplaceNode>(std::move(child), std::move(regexp), std::move(parts),
                                             std::move(text));
}

}  // namespace pystream::expressions::detail
