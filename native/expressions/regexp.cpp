#include "expressions/detail/regexp.hpp"

#include <re2/re2.h>

#include <algorithm>

#include "base/error.hpp"
#include "expressions/detail/utf8.hpp"

namespace pystream::expressions::detail {
namespace {

[[noreturn]] void throw_setting_error(const std::string& text, const std::string& problem,
                                      const std::string& advice) {
  throw Error(ErrorCode::kConfig, text + ": " + problem + ". " + advice + ".");
}

re2::StringPiece piece(std::string_view text) {
  // An empty match in a text without an address could not be told from a group without a match.
  return text.data() == nullptr ? re2::StringPiece("", 0)
                                : re2::StringPiece(text.data(), text.size());
}

// Whether there is a \C in a pattern that RE2 takes; \Q...\E is literal.
bool has_byte_escape(std::string_view pattern) {
  for (size_t i = 0; i + 1 < pattern.size(); ++i) {
    if (pattern[i] != '\\') continue;
    const char escaped = pattern[++i];
    if (escaped == 'C') return true;
    if (escaped == 'Q') i = std::min(pattern.find("\\E", i), pattern.size() - 2) + 1;
  }
  return false;
}

// The first match from `begin` on that begins with a character. One that begins within a character
// is empty, so the search goes on at the next character.
bool find(const RE2& re, std::string_view value, size_t begin, re2::StringPiece* found, int count) {
  const re2::StringPiece whole = piece(value);
  while (begin <= value.size()) {
    if (!re.Match(whole, begin, value.size(), RE2::UNANCHORED, found, count)) return false;
    begin = static_cast<size_t>(found->data() - whole.data());
    if (begin == value.size() || !continues_code_point(value[begin])) return true;
    while (begin < value.size() && continues_code_point(value[begin])) ++begin;
  }
  return false;
}

}  // namespace

Regexp::Regexp(const std::string& pattern, const std::string& text) {
  RE2::Options options;
  options.set_log_errors(false);
  re_ = std::make_shared<const RE2>(re2::StringPiece(pattern.data(), pattern.size()), options);
  matches_within_characters_ = pattern.find("\\B") != std::string::npos;
  if (re_->ok() && !has_byte_escape(pattern)) return;
  if (re_->ok()) {
    throw_setting_error(text, "\\C matches a byte, which may be a part of a character",
                        "Write (?s:.) for any character");
  }
  throw_setting_error(text, "the pattern is not a regular expression: " + re_->error(),
                      "Write it in RE2's syntax, which has no look-around and no back-references");
}

int Regexp::groups() const { return re_->NumberOfCapturingGroups(); }

int Regexp::group_named(const std::string& name) const {
  const auto& names = re_->NamedCapturingGroups();
  const auto found = names.find(name);
  return found == names.end() ? -1 : found->second;
}

bool Regexp::matches(std::string_view value) const {
  if (!re_->Match(piece(value), 0, value.size(), RE2::UNANCHORED, nullptr, 0)) return false;
  re2::StringPiece match;
  return !matches_within_characters_ || find(*re_, value, 0, &match, 1);
}

std::optional<std::string_view> Regexp::extract(std::string_view value, int group) const {
  std::vector<re2::StringPiece> found(static_cast<size_t>(group) + 1);
  if (!find(*re_, value, 0, found.data(), group + 1)) return std::nullopt;
  const re2::StringPiece& taken = found.back();
  if (taken.data() == nullptr) return std::nullopt;
  return std::string_view(taken.data(), taken.size());
}

std::vector<Regexp::Part> Regexp::parse_replacement(const std::string& replacement,
                                                    const std::string& text) const {
  std::vector<Part> parts(1);
  for (size_t i = 0; i < replacement.size(); ++i) {
    if (replacement[i] != '\\') {
      parts.back().text += replacement[i];
      continue;
    }
    const char next = ++i < replacement.size() ? replacement[i] : '\0';
    if (next == '\\') {
      parts.back().text += '\\';
    } else if (next >= '0' && next <= '9') {
      const int group = next - '0';
      if (group > groups()) {
        throw_setting_error(text,
                            "the replacement names group " + std::to_string(group) +
                                ", but the pattern has " + std::to_string(groups()) + " groups",
                            "Put what it should take into parentheses");
      }
      parts.back().group = group;
      parts.emplace_back();
    } else {
      throw_setting_error(
          text, "the replacement has a lone backslash",
          "Write \\0 for the match, \\1 to \\9 for its groups, \\\\ for a backslash");
    }
  }
  return parts;
}

void Regexp::replace(std::string_view value, const std::vector<Part>& parts,
                     std::string* out) const {
  int last_group = 0;
  for (const Part& part : parts) last_group = std::max(last_group, part.group);
  std::vector<re2::StringPiece> found(static_cast<size_t>(last_group) + 1);
  const re2::StringPiece whole = piece(value);
  size_t copied = 0;  // bytes of the value that are in `out`, or replaced
  size_t begin = 0;   // of the search
  while (find(*re_, value, begin, found.data(), static_cast<int>(found.size()))) {
    const auto first = static_cast<size_t>(found[0].data() - whole.data());
    const size_t end = first + found[0].size();
    out->append(value.substr(copied, first - copied));
    for (const Part& part : parts) {
      out->append(part.text);
      if (part.group < 0) continue;
      const re2::StringPiece& taken = found[static_cast<size_t>(part.group)];
      if (!taken.empty()) out->append(taken.data(), taken.size());
    }
    copied = end;
    begin = end;
    if (first == end) begin += std::max<size_t>(bytes_of_first(value.substr(end), 1), 1);
  }
  if (copied < value.size()) out->append(value.substr(copied));
}

}  // namespace pystream::expressions::detail
