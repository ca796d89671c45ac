#pragma once
// Every system call that the log makes on files, in one place that can be made to fail. The class
// itself is the operating system; tests derive from it and let the nth call return an error.
//
// All calls return a non-negative result or -errno, restart after EINTR, and are thread safe.
// Files are never truncated or hole-punched: a reader may have them mapped.

#include <fcntl.h>
#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace pystream::storage {

using BootId = std::array<uint8_t, 16>;

struct FileIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  bool operator==(const FileIdentity&) const = default;
};

enum class LockMode : uint8_t { kUnlock, kExclusive };
enum class UseMode : uint8_t { kNone, kShared, kExclusive };

class FileLayer {
 public:
  virtual ~FileLayer() = default;

  virtual int open(const std::string& path, int flags);  // O_CLOEXEC is added; mode 0644
  virtual void close(int fd);
  virtual int64_t pwritev(int fd, const iovec* parts, int count, int64_t position);
  virtual int64_t pread(int fd, void* bytes, size_t length, int64_t position);
  virtual int64_t size(int fd);
  virtual int identity(int fd, FileIdentity* out);
  // Of the file that has the name now; -ENOENT when none has.
  virtual int identity_at(const std::string& path, FileIdentity* out);
  // Reserves the bytes and lets the file's size reach their end.
  virtual int allocate(int fd, int64_t position, int64_t length);
  virtual int sync_data(int fd);                             // fdatasync
  virtual int sync_directory(const std::string& directory);  // fsync of the directory itself
  virtual int make_directory(const std::string& directory);
  virtual int rename(const std::string& from, const std::string& to);
  virtual int unlink(const std::string& path);
  virtual int link(const std::string& from, const std::string& to);  // a second name, one file
  virtual int64_t link_count(int fd);                                // names that the file has
  // Copies bytes from one file to the same place in another, sharing blocks where the filesystem
  // can; gives how many, which may be fewer, 0 at the end. -EOPNOTSUPP: read and write instead.
  virtual int64_t copy_range(int from, int to, int64_t position, int64_t length);
  // Names in the directory without "." and "..", unsorted.
  virtual int list(const std::string& directory, std::vector<std::string>* names);
  virtual int map_shared(int fd, size_t length, bool writable, void** out);
  // MADV_POPULATE_READ: faults the pages in, so that an I/O error is an error here, not a signal.
  virtual int populate(const void* address, size_t length);
  // The lock on one byte of the file, of the open file description (F_OFD_SETLK), without waiting:
  // -EAGAIN when held by another description. It dies with the last copy of the descriptor.
  virtual int lock(int fd, LockMode mode, int64_t position = 0);
  // 1 when another open file description holds the lock on byte 0, else 0.
  virtual int is_locked_elsewhere(int fd);
  // A second lock of the open file description, on another byte, without waiting: -EAGAIN when
  // another description has it in a way that excludes this. Given back by kNone, or with the last
  // copy of the descriptor and the last mapping made of it.
  // kShared needs a descriptor open for reading, kExclusive one for writing.
  virtual int lock_use(int fd, UseMode mode);
  // The kernel's magic number of the file system that holds `path` (statfs).
  virtual int64_t filesystem_type(const std::string& path);
  // The name under which it is mounted (mountinfo(5)), which tells one file system in user space
  // from another; empty when it is not known.
  virtual std::string filesystem_name(const std::string& path);
  // Changes with each boot of the machine.
  virtual int boot_id(BootId* out);
};

}  // namespace pystream::storage
