#pragma once
// Crashes for the log tests: a child process that dies without a word, and bytes changed behind the
// log's back.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <utility>

#include "log_testing.hpp"

namespace pystream::storage {

// Keeps an object for ever, as the death of its process does.
template <typename T>
void leak(T object) {
  static_cast<void>(new T(std::move(object)));
}

// Runs `action` in a forked process that then ends as if killed; the action leaks its log, so that
// nothing is closed. True when it came to its end; false when it was killed before.
template <typename Action>
bool run_and_die(Action action) {
  const pid_t child = ::fork();
  if (child == 0) {
    action();
    ::_exit(0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// A process that runs `action` when it is let go, and is killed with this object if it still runs.
// To be made before any log is opened: a sanitizer's allocator, unlike the C library's, may stay
// locked for ever in a process that was forked while another thread used it.
class WaitingProcess {
 public:
  template <typename Action>
  explicit WaitingProcess(Action action) {
    EXPECT_EQ(::pipe(gate_), 0);
    pid_ = ::fork();
    if (pid_ != 0) return;
    try {
      char byte = 0;
      if (::read(gate_[0], &byte, 1) == 1) action();
    } catch (...) {
      ::_exit(1);
    }
    ::_exit(0);
  }
  ~WaitingProcess() {
    if (!has_ended_) kill();
    for (const int fd : gate_) ::close(fd);
  }
  WaitingProcess(const WaitingProcess&) = delete;
  WaitingProcess& operator=(const WaitingProcess&) = delete;

  pid_t pid() const { return pid_; }
  void let_go() { EXPECT_EQ(::write(gate_[1], "g", 1), 1); }
  void kill() {
    ::kill(pid_, SIGKILL);
    wait();
  }
  // Waits for its end: the exit status, or minus the signal.
  int wait() {
    int status = 0;
    EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
    has_ended_ = true;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  bool has_ended() {
    has_ended_ = has_ended_ || ::waitpid(pid_, nullptr, WNOHANG) == pid_;
    return has_ended_;
  }

 private:
  pid_t pid_ = -1;
  int gate_[2];
  bool has_ended_ = false;
};

inline std::string read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_bytes(const std::string& path, int64_t position, const std::string& bytes) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  ASSERT_TRUE(file.is_open()) << path;
  file.seekp(position);
  file << bytes;
}

inline void flip_bit(const std::string& path, int64_t bit) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(bit / 8);
  const int byte = file.get();
  file.seekp(bit / 8);
  file.put(static_cast<char>(byte ^ (1 << (bit % 8))));
}

// Options of a machine that was started again: `number` tells the boots apart.
inline LogOptions after_boot(uint8_t number) {
  const auto files = std::make_shared<FakeFiles>();
  files->boot = {number};
  files->skips_syncs = true;
  LogOptions options;
  options.files = files;
  return options;
}

// Where the batches of the segment begin, and behind them its end.
inline std::vector<int64_t> batch_positions(Partition& partition) {
  std::vector<int64_t> positions;
  const auto reader = partition.reader(0);
  int64_t end = 0;
  while (const auto batch = reader->next()) {
    positions.push_back(batch->place().file_position);
    end = positions.back() + static_cast<int64_t>(batch->header().total_length);
  }
  positions.push_back(end);
  return positions;
}

}  // namespace pystream::storage
