#pragma once
// Shared by the log tests: a directory that goes away, a topic of one int64 column, and a file
// layer that fails on request.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "columns/builder.hpp"
#include "storage/file_layer.hpp"
#include "storage/log.hpp"

namespace pystream::storage {

// kMemory: on a tmpfs where there is one, for tests that make hundreds of logs.
enum class Medium { kDisk, kMemory };

class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(Medium medium = Medium::kDisk) {
    const bool in_memory = medium == Medium::kMemory && std::filesystem::exists("/dev/shm");
    const std::filesystem::path parent =
        in_memory ? std::filesystem::path("/dev/shm") : std::filesystem::temp_directory_path();
    std::string pattern = parent / "pystream-log-XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::permissions(path_, std::filesystem::perms::owner_all, ignored);
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// The operating system, with hooks. Calls are counted by name; `fail` may turn any into an error.
class FakeFiles : public FileLayer {
 public:
  // Gets the call's name and its number among those of that name (from 1); 0: let it pass.
  std::function<int(const std::string& call, int number)> fail;
  // Sets it while threads of the log may be in a call.
  void set_fail(std::function<int(const std::string& call, int number)> next) {
    std::lock_guard guard(mutex_);
    fail = std::move(next);
  }
  std::map<std::string, int> calls;
  BootId boot{1, 2, 3};
  int64_t filesystem = 0;  // statfs's magic number; 0: the real one
  std::string mounted_as;
  int64_t longest_write = INT64_MAX;
  bool skips_syncs = false;  // for speed, where the disk does not matter

  int open(const std::string& path, int flags) override {
    const int error = check("open");
    return error != 0 ? -error : FileLayer::open(path, flags);
  }
  int64_t pwritev(int fd, const iovec* parts, int count, int64_t position) override {
    if (const int error = check("pwritev")) {
      // Half of the first part, then the error: what a full disk looks like.
      const iovec half{parts[0].iov_base, parts[0].iov_len / 2};
      FileLayer::pwritev(fd, &half, 1, position);
      return -error;
    }
    if (static_cast<int64_t>(parts[0].iov_len) > longest_write) {
      const iovec piece{parts[0].iov_base, static_cast<size_t>(longest_write)};
      return FileLayer::pwritev(fd, &piece, 1, position);
    }
    return FileLayer::pwritev(fd, parts, longest_write == INT64_MAX ? count : 1, position);
  }
  int64_t pread(int fd, void* bytes, size_t length, int64_t position) override {
    const int error = check("pread");
    return error != 0 ? -error : FileLayer::pread(fd, bytes, length, position);
  }
  int64_t size(int fd) override {
    const int error = check("size");
    return error != 0 ? -error : FileLayer::size(fd);
  }
  int allocate(int fd, int64_t position, int64_t length) override {
    const int error = check("allocate");
    return error != 0 ? -error : FileLayer::allocate(fd, position, length);
  }
  int sync_data(int fd) override {
    const int error = check("sync_data");
    if (error != 0) return -error;
    return skips_syncs ? 0 : FileLayer::sync_data(fd);
  }
  int sync_directory(const std::string& directory) override {
    const int error = check("sync_directory");
    if (error != 0) return -error;
    return skips_syncs ? 0 : FileLayer::sync_directory(directory);
  }
  int make_directory(const std::string& directory) override {
    const int error = check("make_directory");
    return error != 0 ? -error : FileLayer::make_directory(directory);
  }
  int rename(const std::string& from, const std::string& to) override {
    const int error = check("rename");
    return error != 0 ? -error : FileLayer::rename(from, to);
  }
  int unlink(const std::string& path) override {
    const int error = check("unlink");
    return error != 0 ? -error : FileLayer::unlink(path);
  }
  int list(const std::string& directory, std::vector<std::string>* names) override {
    const int error = check("list");
    return error != 0 ? -error : FileLayer::list(directory, names);
  }
  int map_shared(int fd, size_t length, bool writable, void** out) override {
    const int error = check("map_shared");
    return error != 0 ? -error : FileLayer::map_shared(fd, length, writable, out);
  }
  int populate(const void* address, size_t length) override {
    const int error = check("populate");
    return error != 0 ? -error : FileLayer::populate(address, length);
  }
  int64_t filesystem_type(const std::string& path) override {
    return filesystem != 0 ? filesystem : FileLayer::filesystem_type(path);
  }
  std::string filesystem_name(const std::string& path) override {
    return filesystem != 0 ? mounted_as : FileLayer::filesystem_name(path);
  }
  int boot_id(BootId* out) override {
    *out = boot;
    return 0;
  }

 private:
  int check(const std::string& call) {
    std::lock_guard guard(mutex_);
    const int number = ++calls[call];
    return fail ? fail(call, number) : 0;
  }

  std::mutex mutex_;
};

inline SchemaPtr test_schema() {
  static const SchemaPtr schema =
      std::make_shared<const Schema>(Schema{{Field{"value", DataType::of(TypeId::kInt64), false}}});
  return schema;
}

inline PartitionOptions test_options(int32_t partition = 0,
                                     int64_t segment_bytes = int64_t{1} << 20) {
  PartitionOptions options;
  options.topic = "orders";
  options.topic_id.bytes[0] = 0xAB;
  options.topic_id.bytes[15] = 7;
  options.partition = partition;
  options.segment_bytes = segment_bytes;
  options.schema_id = 1;
  options.schema = test_schema();
  return options;
}

// A batch of the values first, first + 1, ...
inline EncodedBatch encode_values(int64_t first, int64_t count, uint32_t schema_id = 1) {
  FixedBuilder<int64_t> values(DataType::of(TypeId::kInt64));
  for (int64_t i = 0; i < count; ++i) values.append(first + i);
  EncodeOptions options;
  options.schema_id = schema_id;
  options.dictionary = DictionaryPolicy::kNever;
  Timestamps timestamps;
  timestamps.constant_us = first;
  return encode_batch({test_schema(), count, {values.finish()}}, timestamps, nullptr, options);
}

inline AppendResult append_values(Partition& partition, int64_t first, int64_t count = 1,
                                  Acks acks = Acks::kPublished) {
  EncodedBatch batch = encode_values(first, count, partition.options().schema_id);
  return partition.append(&batch, acks);
}

inline std::vector<int64_t> values_of(const LogBatch& batch) {
  const Array column = batch.column(0);
  return {column.data<int64_t>(), column.data<int64_t>() + column.length};
}

// All values from `offset` to the end of what is published.
inline std::vector<int64_t> read_values(Partition& partition, int64_t offset = 0) {
  std::vector<int64_t> result;
  const auto reader = partition.reader(offset);
  while (const auto batch = reader->next()) {
    for (const int64_t value : values_of(*batch)) result.push_back(value);
  }
  return result;
}

inline std::vector<int64_t> iota(int64_t first, int64_t count) {
  std::vector<int64_t> result;
  for (int64_t i = 0; i < count; ++i) result.push_back(first + i);
  return result;
}

inline std::string partition_directory(const std::string& log, int32_t partition = 0) {
  return log + "/topics/ab000000000000000000000000000007/" + std::to_string(partition);
}

inline std::string segment_file(const std::string& log, int64_t base_offset,
                                int32_t partition = 0) {
  std::string digits = std::to_string(base_offset);
  return partition_directory(log, partition) + "/" + std::string(20 - digits.size(), '0') + digits +
         ".seg";
}

// Waits for what another thread or process does soon.
template <typename Condition>
void await(Condition condition) {
  for (int i = 0; i < 60'000 && !condition(); ++i) ::usleep(1'000);
  EXPECT_TRUE(condition());
}

// Expects that `action` throws an Error of that code whose message contains `text`.
template <typename Action>
void expect_error(ErrorCode code, const std::string& text, Action action) {
  try {
    action();
    ADD_FAILURE() << "no error; expected one about: " << text;
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(code)) << error.what();
    EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
  }
}

}  // namespace pystream::storage
