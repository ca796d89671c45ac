#include "storage/filesystem.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace pystream::storage {
namespace {

struct NetworkFilesystem {
  int64_t type;  // statfs(2)
  const char* name;
};

constexpr NetworkFilesystem kNetworkFilesystems[] = {
    {0x6969, "NFS"},        {0x517B, "SMB"},        {0xFE534D42, "SMB2"},   {0xFF534D42, "CIFS"},
    {0x01021997, "9p"},     {0x5346414F, "AFS"},    {0x6B414653, "AFS"},    {0x00C36400, "Ceph"},
    {0x73757245, "Coda"},   {0x564C, "NCP"},        {0x0BD00BD0, "Lustre"}, {0x47504653, "GPFS"},
    {0x786F4256, "vboxsf"}, {0xBACBACBC, "vmhgfs"}, {0x01161970, "GFS2"},   {0x7461636F, "OCFS2"},
};

}  // namespace

void require_local_filesystem(FileLayer& files, const std::string& directory) {
  const int64_t type = files.filesystem_type(directory);
  const auto* end = std::end(kNetworkFilesystems);
  const auto* found =
      std::find_if(std::begin(kNetworkFilesystems), end,
                   [&](const NetworkFilesystem& network) { return network.type == type; });
  if (found == end) return;
  throw Error(ErrorCode::kLog,
              "the directory " + directory + " is on " + found->name +
                  ", a network or cluster file system, where memory mappings and kernel locks of "
                  "several machines do not see each other, so that records would be lost. Use a "
                  "directory on a local disk.",
              {{"path", directory}});
}

}  // namespace pystream::storage
