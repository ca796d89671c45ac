#pragma once
// Regular expressions, in time linear in the text whatever the pattern: RE2 and its syntax.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "expressions/expression.hpp"

namespace re2 {
class RE2;
}

namespace pystream::expressions::detail {

class Regexp {
 public:
  // Throws kConfig, beginning with `text`, when the pattern is none.
  Regexp(const std::string& pattern, const std::string& text);

  int groups() const;
  // The number of a named group; -1 when there is none.
  int group_named(const std::string& name) const;

  // Whether it matches anywhere in the value.
  bool matches(std::string_view value) const;
  // What a group took part of in the first match; nothing without a match, or when it took none.
  std::optional<std::string_view> extract(std::string_view value, int group) const;

  // A replacement in parts: literal text where the group is negative.
  struct Part {
    std::string text;
    int group = -1;
  };
  // \0 is the whole match, \1 to \9 its groups, \\ a backslash. Throws kConfig on anything else.
  std::vector<Part> parse_replacement(const std::string& replacement,
                                      const std::string& text) const;
  // Every match replaced, from left to right, into `out`. After an empty match the next begins a
  // character later.
  void replace(std::string_view value, const std::vector<Part>& parts, std::string* out) const;

 private:
  std::shared_ptr<const re2::RE2> re_;
  bool matches_within_characters_ = false;  // \B is true between the bytes of one, as RE2 has it
};

}  // namespace pystream::expressions::detail
