#pragma once
// The files of a log that no one writes to but for one of them, opened, listed and read once: what
// a fuzzer that opens the log again and again would ask the operating system each time. Mappings
// are made each time; the one file is read each time.

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/file_layer.hpp"

namespace pystream::storage {

class RememberedFiles : public FileLayer {
 public:
  explicit RememberedFiles(std::string changing) : changing_(std::move(changing)) {}
  ~RememberedFiles() override {
    for (const auto& [fd, file] : files_) FileLayer::close(fd);
  }

  // Once, however often; -ENOENT, too.
  int open(const std::string& path, int flags) override {
    if (flags != O_RDONLY) return -EROFS;
    const auto known = opened_.find(path);
    if (known != opened_.end()) return known->second;
    const int fd = FileLayer::open(path, flags);
    if (fd >= 0) files_.emplace(fd, look_at(fd, path));
    if (fd >= 0 || fd == -ENOENT) opened_.emplace(path, fd);
    return fd;
  }

  void close(int) override {}

  int64_t pread(int fd, void* bytes, size_t length, int64_t position) override {
    const auto& content = files_.at(fd).content;
    if (!content) return FileLayer::pread(fd, bytes, length, position);
    const auto size = static_cast<int64_t>(content->size());
    if (position >= size) return 0;
    const size_t read = std::min(length, static_cast<size_t>(size - position));
    std::memcpy(bytes, content->data() + position, read);
    return static_cast<int64_t>(read);
  }

  int64_t size(int fd) override { return files_.at(fd).size; }

  int identity(int fd, FileIdentity* out) override {
    *out = files_.at(fd).identity;
    return 0;
  }

  int list(const std::string& directory, std::vector<std::string>* names) override {
    const auto known = listed_.find(directory);
    if (known != listed_.end()) {
      *names = known->second;
      return 0;
    }
    const int result = FileLayer::list(directory, names);
    if (result == 0) listed_.emplace(directory, *names);
    return result;
  }

  int boot_id(BootId* out) override {
    if (!boot_) {
      const int result = FileLayer().boot_id(&boot_.emplace());
      if (result < 0) return result;
    }
    *out = *boot_;
    return 0;
  }

 private:
  struct Remembered {
    FileIdentity identity;
    int64_t size = 0;
    std::optional<std::vector<uint8_t>> content;  // not of the one that changes
  };

  Remembered look_at(int fd, const std::string& path) {
    Remembered file;
    FileLayer::identity(fd, &file.identity);
    file.size = FileLayer::size(fd);
    if (path == changing_) return file;
    file.content.emplace(static_cast<size_t>(file.size));
    FileLayer::pread(fd, file.content->data(), file.content->size(), 0);
    return file;
  }

  const std::string changing_;
  std::map<std::string, int> opened_;
  std::map<int, Remembered> files_;
  std::map<std::string, std::vector<std::string>> listed_;
  std::optional<BootId> boot_;
};

}  // namespace pystream::storage
