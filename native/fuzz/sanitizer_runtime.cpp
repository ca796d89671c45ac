// The address sanitizer, tuned for millions of short executions:
//
//   - the quarantine holds what an execution frees, but for the largest columns. Far more only
//     costs cache misses and page faults, as nothing outlives an execution
//   - blocks do not remember where they were allocated. A finding is repeated with
//     ASAN_OPTIONS=malloc_context_size=30, which is stronger than what is said here
//   - at each throw it asks the kernel for the signal stack, which only changes through this
//   process

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

extern "C" {

const char* __asan_default_options();
const char* __asan_default_options() {
  return "malloc_context_size=0:quarantine_size_mb=1:thread_local_quarantine_size_kb=64";
}

// In place of libc's; the sanitizer's start calls it before its own memory is there.
__attribute__((no_sanitize("address", "undefined", "coverage"))) int sigaltstack(
    const stack_t* set, stack_t* out) noexcept {
  static thread_local stack_t current;
  static thread_local bool is_known = false;
  if (set == nullptr && out != nullptr && is_known) {
    *out = current;
    return 0;
  }
  is_known = false;
  const auto result = static_cast<int>(::syscall(SYS_sigaltstack, set, out));
  if (set == nullptr && out != nullptr && result == 0) {
    current = *out;
    is_known = true;
  }
  return result;
}

}  // extern "C"
