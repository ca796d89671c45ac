#pragma once
// Files of another format are refused by name. They are not damaged: nobody may cut them back, set
// them aside or rebuild what belongs to them, and so the error is never kCorruptRecord. A checksum
// is compared before a version is believed; where it is wrong, the version is damage like the rest.

#include <cstdint>
#include <string>

#include "storage/format.hpp"

namespace pystream::storage {

inline bool is_readable_version(int64_t version) {
  return version >= kOldestFormatVersion && version <= kFormatVersion;
}

// Throw kLog, with `path` and the version as facts. `what` begins the message: "the segment ...".
[[noreturn]] void throw_other_version(const std::string& what, const std::string& path,
                                      int64_t version);
[[noreturn]] void throw_unknown_features(const std::string& what, const std::string& path,
                                         int64_t version);

}  // namespace pystream::storage
