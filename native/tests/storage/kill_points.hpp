#pragma once
// Kills a process at the nth thing that it does to a log: a system call on files, or a single store
// into a mapped page (control, order).
//
// Stores are seen without a debugger: the pages are mapped read-only behind the log's back, so that
// each store faults; the handler counts it, opens the page for the one instruction (the processor's
// trap flag) and closes it again. Only for a process that was forked for it, and on x86-64;
// elsewhere calls alone are counted.

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdint>

#include "log_crash_testing.hpp"
#include "torture.hpp"

namespace pystream::storage {

class KillPoints : public FakeFiles {
 public:
#if defined(__x86_64__)
  static constexpr bool kSeesStores = true;
#else
  static constexpr bool kSeesStores = false;
#endif

  // Kills this process at the point of that number, from 1. Counts stores in `*stores`.
  KillPoints(int64_t point, std::atomic<int64_t>* stores) {
    left_ = point;
    stores_ = stores;
    skips_syncs = true;
    fail = [](const std::string&, int) {
      reach();
      return 0;
    };
    if (kSeesStores) install_handlers();
  }

  int map_shared(int fd, size_t length, bool writable, void** out) override {
    const int result = FakeFiles::map_shared(fd, length, writable, out);
    if (result == 0 && writable && kSeesStores) {
      pages_[page_count_ % kMaxPages] = {static_cast<uint8_t*>(*out), length};
      ++page_count_;
      ::mprotect(*out, length, PROT_READ);
    }
    return result;
  }

 private:
  static constexpr size_t kMaxPages = 64;
  struct Page {
    uint8_t* begin;
    size_t length;
  };

  static void reach() {
    if (--left_ == 0) ::kill(::getpid(), SIGKILL);
  }

#if defined(__x86_64__)
  static constexpr greg_t kTrapFlag = 0x100;

  static void install_handlers() {
    struct sigaction action{};
    action.sa_flags = SA_SIGINFO;
    action.sa_sigaction = on_store;
    ::sigaction(SIGSEGV, &action, nullptr);
    action.sa_sigaction = on_stored;
    ::sigaction(SIGTRAP, &action, nullptr);
  }

  static void on_store(int, siginfo_t* info, void* context) {
    const auto* at = static_cast<const uint8_t*>(info->si_addr);
    for (const Page& page : pages_) {
      if (page.begin == nullptr || at < page.begin || at >= page.begin + page.length) continue;
      reach();
      stores_->fetch_add(1);
      open_page_ = page;
      ::mprotect(page.begin, page.length, PROT_READ | PROT_WRITE);
      static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] |= kTrapFlag;
      return;
    }
    ::signal(SIGSEGV, SIG_DFL);  // a real one
  }

  static void on_stored(int, siginfo_t*, void* context) {
    ::mprotect(open_page_.begin, open_page_.length, PROT_READ);
    static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] &= ~kTrapFlag;
  }
#else
  static void install_handlers() {}
#endif

  static inline Page pages_[kMaxPages];
  static inline Page open_page_;
  static inline size_t page_count_ = 0;
  static inline std::atomic<int64_t> left_{0};
  static inline std::atomic<int64_t>* stores_ = nullptr;
};

// Lets `life` be killed at the points that kEveryNthCase says, each time in a directory of its own,
// until it comes to its end; after each, `check` looks at what it left. Returns the last point.
template <typename Life, typename Check>
int64_t kill_along(uint64_t seed, Torture* torture, Life life, Check check) {
  bool has_ended = false;
  int64_t point = 1;
  for (; !has_ended && !::testing::Test::HasFailure(); point += kEveryNthCase) {
    SCOPED_TRACE("seed " + std::to_string(seed) + ", point " + std::to_string(point));
    const TemporaryDirectory directory(Medium::kMemory);
    has_ended = run_and_die([&] { life(directory.path(), point); });
    torture->count();
    check(directory.path());
  }
  return point;
}

}  // namespace pystream::storage
