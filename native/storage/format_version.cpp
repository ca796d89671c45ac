#include "storage/format_version.hpp"

#include "base/error.hpp"

namespace pystream::storage {

void throw_other_version(const std::string& what, const std::string& path, int64_t version) {
  std::string readable = "version " + std::to_string(kFormatVersion);
  if constexpr (kOldestFormatVersion < kFormatVersion) {
    readable = "versions " + std::to_string(kOldestFormatVersion) + " to " +
               std::to_string(kFormatVersion);
  }
  throw Error(ErrorCode::kLog,
              what + " has format version " + std::to_string(version) +
                  ", but this pystream reads " + readable + ". Use the pystream that wrote it" +
                  (version > kFormatVersion ? ", or a newer one." : "."),
              {{"path", path}, {"version", version}});
}

void throw_unknown_features(const std::string& what, const std::string& path, int64_t version) {
  throw Error(ErrorCode::kLog,
              what +
                  " uses features that this pystream does not know. Use the pystream that wrote "
                  "it, or a newer one.",
              {{"path", path}, {"version", version}});
}

}  // namespace pystream::storage
