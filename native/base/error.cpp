#include "base/error.hpp"

#include <system_error>

namespace pystream {

void throw_storage_error(const std::string& what, const std::string& path, int err) {
  throw Error(ErrorCode::kStorage, what + ": " + path + ": " + std::generic_category().message(err),
              {{"errno", static_cast<int64_t>(err)}, {"path", path}});
}

}  // namespace pystream
