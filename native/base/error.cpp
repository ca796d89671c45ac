#include "base/error.hpp"

#include <sys/resource.h>

#include <cerrno>
#include <system_error>

namespace pystream {
namespace {

// Of errors whose cause is not where the path points to.
std::string advice_on(int err) {
  rlimit limit{};
  if (err != EMFILE || ::getrlimit(RLIMIT_NOFILE, &limit) != 0) return "";
  return ". This process may have " + std::to_string(limit.rlim_cur) +
         " open files (RLIMIT_NOFILE), and each partition in use takes two: raise the limit with "
         "\"ulimit -n\", or use fewer partitions at a time.";
}

}  // namespace

void throw_storage_error(const std::string& what, const std::string& path, int err) {
  throw Error(ErrorCode::kStorage,
              what + ": " + path + ": " + std::generic_category().message(err) + advice_on(err),
              {{"errno", static_cast<int64_t>(err)}, {"path", path}});
}

}  // namespace pystream
