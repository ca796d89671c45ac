#include "storage/filesystem.hpp"

#include <algorithm>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace pystream::storage {
namespace {

struct NetworkFilesystem {
  int64_t type;  // statfs(2)
  const char* name;
};

constexpr NetworkFilesystem kNetworkFilesystems[] = {
    {0x6969, "NFS"},          {0x517B, "SMB"},        {0xFE534D42, "SMB2"},   {0xFF534D42, "CIFS"},
    {0x01021997, "9p"},       {0x5346414F, "AFS"},    {0x6B414653, "AFS"},    {0x00C36400, "Ceph"},
    {0x73757245, "Coda"},     {0x564C, "NCP"},        {0x0BD00BD0, "Lustre"}, {0x47504653, "GPFS"},
    {0x786F4256, "vboxsf"},   {0xBACBACBC, "vmhgfs"}, {0x01161970, "GFS2"},   {0x7461636F, "OCFS2"},
    {0x19830326, "BeeGFS"},   {0xAAD7AAEA, "PanFS"},  {0x7C7C6673, "prl_fs"}, {0x61636673, "ACFS"},
    {0xBEEFDEAD, "StorNext"},
};

// In user space, where all have one number.
constexpr int64_t kFuse = 0x65735546;
constexpr std::string_view kNetworkFuse[] = {
    // how their names begin
    "afp",     "blobfuse", "ceph",     "curlftpfs", "davfs",         "fuse-nfs",
    "gcsfuse", "geesefs",  "gluster",  "goofys",    "gvfsd",         "hdfs",
    "juicefs", "mfs",      "moosefs",  "mount-s3",  "mountpoint-s3", "rclone",
    "s3",      "seaweed",  "smbnetfs", "sshfs",     "virtiofs",      "webdav",
};

const char* network_name(int64_t type) {
  const auto* end = std::end(kNetworkFilesystems);
  const auto* found =
      std::find_if(std::begin(kNetworkFilesystems), end,
                   [&](const NetworkFilesystem& network) { return network.type == type; });
  return found == end ? "" : found->name;
}

// As in "fuse.sshfs".
bool is_network_fuse(std::string_view name) {
  if (name.starts_with("fuse.")) name.remove_prefix(5);
  return std::any_of(std::begin(kNetworkFuse), std::end(kNetworkFuse),
                     [&](std::string_view begin) { return name.starts_with(begin); });
}

}  // namespace

void require_local_filesystem(FileLayer& files, const std::string& directory) {
  const int64_t type = files.filesystem_type(directory);
  std::string name = network_name(type);
  if (type == kFuse) {
    const std::string mounted = files.filesystem_name(directory);
    if (is_network_fuse(mounted)) name = mounted;
  }
  if (name.empty()) return;
  throw Error(ErrorCode::kLog,
              "the directory " + directory + " is on " + name +
                  ", a network or cluster file system, where memory mappings and kernel locks of "
                  "several machines do not see each other, so that records would be lost. Use a "
                  "directory on a local disk.",
              {{"path", directory}});
}

}  // namespace pystream::storage
