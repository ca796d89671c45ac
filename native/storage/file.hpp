#pragma once
// Files and mappings with an owner, over the file layer. Failures throw kStorage with errno and
// path, and a mapping or descriptor is released when its object goes.

#include <memory>
#include <span>
#include <string>
#include <utility>

#include "storage/file_layer.hpp"

namespace pystream::storage {

// An open file. Owned by one object; pread, pwritev and sync may be called from several threads.
class File {
 public:
  File() = default;
  // Throws kStorage, naming `path`.
  static File open(std::shared_ptr<FileLayer> layer, const std::string& path, int flags);
  // A file that is not open when the path does not exist (ENOENT); throws on other failures.
  static File open_if_exists(std::shared_ptr<FileLayer> layer, const std::string& path, int flags);
  File(File&& other) noexcept { swap(other); }
  File& operator=(File&& other) noexcept {
    swap(other);
    return *this;
  }
  ~File() { close(); }

  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  const std::string& path() const { return path_; }
  FileLayer& layer() const { return *layer_; }
  // The open file got another name; errors say that one from now on.
  void set_path(const std::string& path) { path_ = path; }
  void close();

  int64_t size() const;
  FileIdentity identity() const;
  // Reads all of `bytes`; false when the file ends before.
  bool read(std::span<uint8_t> bytes, int64_t position) const;
  // Writes all parts, in as few calls as the kernel allows. `parts` is scratch afterwards.
  void write(std::span<iovec> parts, int64_t position) const;
  void write(std::span<const uint8_t> bytes, int64_t position) const;
  // Lets the file reach `end`, with blocks reserved. Writes zeros where the filesystem cannot
  // reserve (EOPNOTSUPP); what lies between size and end is unpublished, so that is safe.
  void allocate(int64_t size, int64_t end) const;
  void write_zeros(int64_t begin, int64_t end) const;
  void sync_data() const;
  // Writes the first `end` bytes of `source` over this file's; both must reach that far.
  void copy_from(const File& source, int64_t end) const;
  // Whether the file has another name, perhaps in the backup of a log.
  bool is_shared() const;
  // False when all names of the file were removed.
  bool has_name() const;

 private:
  void swap(File& other) {
    std::swap(layer_, other.layer_);
    std::swap(path_, other.path_);
    std::swap(fd_, other.fd_);
  }

  std::shared_ptr<FileLayer> layer_;
  std::string path_;
  int fd_ = -1;
};

// A shared mapping of a file's first bytes; it may reach past the end of the file.
class Mapping {
 public:
  Mapping() = default;
  Mapping(const File& file, size_t length, bool writable);
  // Zeroed memory of this process alone, of no file.
  static Mapping anonymous(size_t length);
  Mapping(Mapping&& other) noexcept { swap(other); }
  Mapping& operator=(Mapping&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Mapping();

  uint8_t* data() const { return data_; }
  size_t length() const { return length_; }
  explicit operator bool() const { return data_ != nullptr; }

 private:
  void swap(Mapping& other) {
    std::swap(data_, other.data_);
    std::swap(length_, other.length_);
  }

  uint8_t* data_ = nullptr;
  size_t length_ = 0;
};

// Throws kStorage for a result of -errno; gives the result otherwise.
template <typename Result>
Result checked(Result result, const char* what, const std::string& path);

// Makes the directory unless it exists; its parent must. True when it was made.
bool ensure_directory(FileLayer& layer, const std::string& directory);

}  // namespace pystream::storage
