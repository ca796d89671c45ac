#include "storage/file_layer.hpp"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22  // Linux 5.14
#endif

namespace pystream::storage {
namespace {

// Calls until it is not interrupted; gives the result or -errno.
template <typename Call>
auto retry(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result < 0 ? static_cast<decltype(result)>(-errno) : result;
}

constexpr off_t kUseByte = 1;

// A byte of the file stands for each lock, whether the file has it or not.
struct flock byte_lock(short type, off_t byte) {
  struct flock range{};
  range.l_type = type;
  range.l_whence = SEEK_SET;
  range.l_start = byte;
  range.l_len = 1;
  return range;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

int FileLayer::open(const std::string& path, int flags) {
  return retry([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0644); });
}

void FileLayer::close(int fd) { ::close(fd); }

int64_t FileLayer::pwritev(int fd, const iovec* parts, int count, int64_t position) {
  return retry([&] { return ::pwritev(fd, parts, count, position); });
}

int64_t FileLayer::pread(int fd, void* bytes, size_t length, int64_t position) {
  return retry([&] { return ::pread(fd, bytes, length, position); });
}

int64_t FileLayer::size(int fd) {
  struct stat status;
  if (::fstat(fd, &status) != 0) return -errno;
  return status.st_size;
}

int FileLayer::identity(int fd, FileIdentity* out) {
  struct stat status;
  if (::fstat(fd, &status) != 0) return -errno;
  *out = {static_cast<uint64_t>(status.st_dev), static_cast<uint64_t>(status.st_ino)};
  return 0;
}

int FileLayer::identity_at(const std::string& path, FileIdentity* out) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) return -errno;
  *out = {static_cast<uint64_t>(status.st_dev), static_cast<uint64_t>(status.st_ino)};
  return 0;
}

int FileLayer::allocate(int fd, int64_t position, int64_t length) {
  return retry([&] { return ::fallocate(fd, 0, position, length); });
}

// Not restarted after EINTR: an error of a sync is never answered by trying again.
int FileLayer::sync_data(int fd) { return ::fdatasync(fd) == 0 ? 0 : -errno; }

int FileLayer::sync_directory(const std::string& directory) {
  const int fd = open(directory, O_RDONLY | O_DIRECTORY);
  if (fd < 0) return fd;
  const int result = ::fsync(fd) == 0 ? 0 : -errno;
  ::close(fd);
  return result;
}

int FileLayer::make_directory(const std::string& directory) {
  return ::mkdir(directory.c_str(), 0755) == 0 ? 0 : -errno;
}

int FileLayer::rename(const std::string& from, const std::string& to) {
  return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : -errno;
}

int FileLayer::unlink(const std::string& path) { return ::unlink(path.c_str()) == 0 ? 0 : -errno; }

int FileLayer::link(const std::string& from, const std::string& to) {
  return ::link(from.c_str(), to.c_str()) == 0 ? 0 : -errno;
}

int64_t FileLayer::link_count(int fd) {
  struct stat status;
  if (::fstat(fd, &status) != 0) return -errno;
  return static_cast<int64_t>(status.st_nlink);
}

int64_t FileLayer::copy_range(int from, int to, int64_t position, int64_t length) {
  off64_t at = position;
  off64_t into = position;
  const int64_t done = retry(
      [&] { return ::copy_file_range(from, &at, to, &into, static_cast<size_t>(length), 0); });
  const bool is_unable = done == -EXDEV || done == -EINVAL || done == -ENOSYS;
  return is_unable ? -EOPNOTSUPP : done;
}

int FileLayer::list(const std::string& directory, std::vector<std::string>* names) {
  names->clear();
  DIR* stream = ::opendir(directory.c_str());
  if (stream == nullptr) return -errno;
  errno = 0;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names->push_back(name);
    errno = 0;
  }
  const int result = -errno;
  ::closedir(stream);
  return result;
}

int FileLayer::map_shared(int fd, size_t length, bool writable, void** out) {
  void* address =
      ::mmap(nullptr, length, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
  if (address == MAP_FAILED) return -errno;
  *out = address;
  return 0;
}

int FileLayer::populate(const void* address, size_t length) {
  return retry([&] { return ::madvise(const_cast<void*>(address), length, MADV_POPULATE_READ); });
}

int FileLayer::lock(int fd, LockMode mode, int64_t position) {
  struct flock range = byte_lock(mode == LockMode::kUnlock ? F_UNLCK : F_WRLCK, position);
  const int result = retry([&] { return ::fcntl(fd, F_OFD_SETLK, &range); });
  return result == -EACCES ? -EAGAIN : result;
}

int FileLayer::is_locked_elsewhere(int fd) {
  struct flock range = byte_lock(F_WRLCK, 0);
  const int result = retry([&] { return ::fcntl(fd, F_OFD_GETLK, &range); });
  if (result < 0) return result;
  return range.l_type == F_UNLCK ? 0 : 1;
}

int FileLayer::lock_use(int fd, UseMode mode) {
  constexpr short kTypes[] = {F_UNLCK, F_RDLCK, F_WRLCK};
  struct flock range = byte_lock(kTypes[static_cast<size_t>(mode)], kUseByte);
  const int result = retry([&] { return ::fcntl(fd, F_OFD_SETLK, &range); });
  return result == -EACCES ? -EAGAIN : result;
}

int64_t FileLayer::filesystem_type(const std::string& path) {
  struct statfs status;
  const int result = retry([&] { return ::statfs(path.c_str(), &status); });
  if (result < 0) return result;
  return static_cast<int64_t>(static_cast<uint32_t>(status.f_type));
}

// A line is: id parent major:minor root mount-point options [tags] - type source options.
std::string FileLayer::filesystem_name(const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) return "";
  const std::string device =
      std::to_string(major(status.st_dev)) + ":" + std::to_string(minor(status.st_dev));
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string id, parent, number, word, type;
    words >> id >> parent >> number;
    if (number != device) continue;
    while (words >> word && word != "-") {
    }
    words >> type;
    return type;
  }
  return "";
}

int FileLayer::boot_id(BootId* out) {
  const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY);
  if (fd < 0) return fd;
  char text[64];
  const int64_t length = pread(fd, text, sizeof(text), 0);
  ::close(fd);
  size_t digits = 0;
  out->fill(0);
  for (int64_t i = 0; i < length && digits < 32; ++i) {
    const int digit = hex_digit(text[i]);
    if (digit < 0) continue;
    (*out)[digits / 2] = static_cast<uint8_t>((*out)[digits / 2] << 4 | digit);
    ++digits;
  }
  return digits == 32 ? 0 : -EINVAL;
}

}  // namespace pystream::storage
