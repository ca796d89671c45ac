#pragma once
// Which file systems can hold a log: those on which mapped memory, writes and kernel locks of all
// processes see each other. A network file system promises that to the processes of one machine at
// most, and loses locks when its server is started again.

#include <string>

#include "storage/file_layer.hpp"

namespace pystream::storage {

// Throws kLog, naming the file system, when `directory` is on one that cannot hold a log. What the
// system does not tell (a directory that is missing) is left to the open that follows.
void require_local_filesystem(FileLayer& files, const std::string& directory);

}  // namespace pystream::storage
