#pragma once
// The one error type of the core. Every failure that a caller can meet is an Error with a code;
// the bindings turn each code into exactly one Python class. Expected outcomes (end of log, not
// found, would block) are return values, and broken promises of our own code are assertions.

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace pystream {

enum class ErrorCode : uint8_t {
  kConfig,        // a setting is wrong
  kNotSupported,  // the feature does not exist yet
  kLog,           // the log as a whole cannot be used (not a log, newer format, ...)
  kUnknownTopic,
  kOffsetOutOfRange,
  kRecordTooLarge,
  kCorruptRecord,
  kStorage,  // the operating system refused; carries "errno" and "path"
  kBufferFull,
  kRequestTimeout,
  kFenced,
  kOperator,  // an operator of a pipeline failed
  kSchema,
  kCheckpoint,
  kClosed,  // use after close
};

// A fact that a handler may want without parsing the message: ("topic", "orders"), ("offset", 12).
using ErrorFact = std::pair<std::string, std::variant<int64_t, std::string>>;

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message, std::vector<ErrorFact> facts = {})
      : std::runtime_error(message), code_(code), facts_(std::move(facts)) {}

  ErrorCode code() const { return code_; }
  const std::vector<ErrorFact>& facts() const { return facts_; }

 private:
  ErrorCode code_;
  std::vector<ErrorFact> facts_;
};

// Throws a kStorage Error: "<what happened>: <path>: <strerror>", with facts errno and path.
[[noreturn]] void throw_storage_error(const std::string& what, const std::string& path, int err);

}  // namespace pystream
