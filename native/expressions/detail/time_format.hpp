#pragma once
// Times in formats of strftime and strptime: the directives that docs/expressions.md lists, with
// English names.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "expressions/detail/time_text.hpp"

namespace pystream::expressions::detail {

class TimeFormat {
 public:
  enum class Use : uint8_t { kFormat, kParse };

  // Throws kConfig, beginning with `text`, for a directive that does not exist, or, to parse, one
  // that is there twice.
  TimeFormat(std::string_view format, Use use, const std::string& text);

  // Appends the time.
  void format(TimePoint time, std::string* out) const;

  // The time that the whole text says. What the format does not say is that of 1900-01-01 00:00,
  // in UTC. Nothing when the text is not so, or there is no such time.
  std::optional<TimePoint> parse(std::string_view text) const;

 private:
  struct Part {
    char directive;  // 0: literal text; ' ': white space, to parse
    std::string text;
  };
  std::vector<Part> parts_;
};

}  // namespace pystream::expressions::detail
