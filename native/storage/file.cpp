#include "storage/file.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <vector>

#include "base/error.hpp"

namespace pystream::storage {
namespace {

constexpr size_t kZeroBlockBytes = 64 * 1024;
constexpr size_t kCopyBlockBytes = size_t{1} << 20;
constexpr uint8_t kZeroBlock[kZeroBlockBytes] = {};

}  // namespace

template <typename Result>
Result checked(Result result, const char* what, const std::string& path) {
  if (result < 0) throw_storage_error(what, path, static_cast<int>(-result));
  return result;
}
template int checked(int, const char*, const std::string&);
template int64_t checked(int64_t, const char*, const std::string&);

File File::open(std::shared_ptr<FileLayer> layer, const std::string& path, int flags) {
  File file;
  file.fd_ = checked(layer->open(path, flags), "cannot open", path);
  file.layer_ = std::move(layer);
  file.path_ = path;
  return file;
}

File File::open_if_exists(std::shared_ptr<FileLayer> layer, const std::string& path, int flags) {
  File file;
  const int fd = layer->open(path, flags);
  if (fd == -ENOENT) return file;
  file.fd_ = checked(fd, "cannot open", path);
  file.layer_ = std::move(layer);
  file.path_ = path;
  return file;
}

void File::close() {
  if (fd_ >= 0) layer_->close(std::exchange(fd_, -1));
}

int64_t File::size() const { return checked(layer_->size(fd_), "cannot get the size of", path_); }

FileIdentity File::identity() const {
  FileIdentity identity;
  checked(layer_->identity(fd_, &identity), "cannot identify", path_);
  return identity;
}

bool File::read(std::span<uint8_t> bytes, int64_t position) const {
  while (!bytes.empty()) {
    const int64_t got =
        checked(layer_->pread(fd_, bytes.data(), bytes.size(), position), "cannot read", path_);
    if (got == 0) return false;
    bytes = bytes.subspan(static_cast<size_t>(got));
    position += got;
  }
  return true;
}

void File::write(std::span<iovec> parts, int64_t position) const {
  while (!parts.empty()) {
    if (parts[0].iov_len == 0) {
      parts = parts.subspan(1);
      continue;
    }
    const int count = static_cast<int>(std::min<size_t>(parts.size(), IOV_MAX));
    int64_t done =
        checked(layer_->pwritev(fd_, parts.data(), count, position), "cannot write", path_);
    if (done == 0) throw_storage_error("cannot write", path_, EIO);
    position += done;
    // A short write: drop what is written and go on behind it.
    while (done > 0) {
      iovec& part = parts[0];
      const size_t step = std::min(part.iov_len, static_cast<size_t>(done));
      part.iov_base = static_cast<uint8_t*>(part.iov_base) + step;
      part.iov_len -= step;
      done -= static_cast<int64_t>(step);
      if (part.iov_len == 0) parts = parts.subspan(1);
    }
  }
}

void File::write(std::span<const uint8_t> bytes, int64_t position) const {
  iovec part{const_cast<uint8_t*>(bytes.data()), bytes.size()};
  write(std::span<iovec>(&part, 1), position);
}

void File::allocate(int64_t size, int64_t end) const {
  const int result = layer_->allocate(fd_, size, end - size);
  if (result != -EOPNOTSUPP && result != -ENOSYS) {
    checked(result, "cannot reserve space in", path_);
    return;
  }
  write_zeros(size, end);
}

void File::write_zeros(int64_t begin, int64_t end) const {
  for (int64_t at = begin; at < end; at += static_cast<int64_t>(kZeroBlockBytes)) {
    const size_t length = std::min(kZeroBlockBytes, static_cast<size_t>(end - at));
    write(std::span<const uint8_t>(kZeroBlock, length), at);
  }
}

void File::sync_data() const { checked(layer_->sync_data(fd_), "cannot sync", path_); }

void File::copy_from(const File& source, int64_t end) const {
  int64_t at = 0;
  while (at < end) {
    const int64_t done = layer_->copy_range(source.fd_, fd_, at, end - at);
    if (done == -EOPNOTSUPP) break;
    if (checked(done, "cannot copy to", path_) == 0) break;  // some filesystems say so, too
    at += done;
  }
  std::vector<uint8_t> block(kCopyBlockBytes);
  while (at < end) {
    const auto piece =
        std::span(block).first(std::min(kCopyBlockBytes, static_cast<size_t>(end - at)));
    if (!source.read(piece, at)) throw_storage_error("cannot read", source.path_, EIO);
    write(std::span<const uint8_t>(piece), at);
    at += static_cast<int64_t>(piece.size());
  }
}

bool File::is_shared() const {
  return checked(layer_->link_count(fd_), "cannot look at", path_) > 1;
}

bool File::has_name() const {
  return checked(layer_->link_count(fd_), "cannot look at", path_) > 0;
}

Mapping::Mapping(const File& file, size_t length, bool writable) : length_(length) {
  void* address = nullptr;
  checked(file.layer().map_shared(file.fd(), length, writable, &address), "cannot map",
          file.path());
  data_ = static_cast<uint8_t*>(address);
}

Mapping Mapping::anonymous(size_t length) {
  Mapping mapping;
  void* address =
      ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) throw_storage_error("cannot get memory", "mmap", errno);
  mapping.data_ = static_cast<uint8_t*>(address);
  mapping.length_ = length;
  return mapping;
}

Mapping::~Mapping() {
  if (data_ != nullptr) ::munmap(data_, length_);
}

bool ensure_directory(FileLayer& layer, const std::string& directory) {
  const int result = layer.make_directory(directory);
  if (result == -EEXIST) return false;
  checked(result, "cannot make the directory", directory);
  return true;
}

}  // namespace pystream::storage
