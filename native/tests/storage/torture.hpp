#pragma once
// Tests that can go on for ever: a commit runs the usual number of cases, `make torture` others.
//
//   PYSTREAM_TORTURE_SEED   the first seed (default 1)
//   PYSTREAM_TORTURE_CASES  how many cases, at least (default: the usual number)
//
// A failure names its seed.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "log_testing.hpp"

namespace pystream::storage {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PYSTREAM_IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PYSTREAM_IS_SANITIZED 1
#endif
#endif

// Under a sanitizer a case costs ten times as much, so that every nth is tried.
#if defined(PYSTREAM_IS_SANITIZED)
inline constexpr int64_t kEveryNthCase = 20;
#else
inline constexpr int64_t kEveryNthCase = 1;
#endif

inline uint64_t number_from(const char* variable, uint64_t usual) {
  const char* text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : usual;
}

// The seeds and cases of one run.
class Torture {
 public:
  explicit Torture(uint64_t usual_cases)
      : seed_(number_from("PYSTREAM_TORTURE_SEED", 1)),
        wanted_(number_from("PYSTREAM_TORTURE_CASES",
                            (usual_cases + kEveryNthCase - 1) / kEveryNthCase)) {}

  Torture(const Torture&) = delete;
  Torture& operator=(const Torture&) = delete;
  // What tests/torture/native.py reads.
  ~Torture() {
    std::printf("torture: %llu cases, next seed %llu\n", static_cast<unsigned long long>(cases_),
                static_cast<unsigned long long>(seed_));
  }

  bool goes_on() const { return cases_ < wanted_; }
  uint64_t next_seed() { return seed_++; }
  void count(uint64_t cases = 1) { cases_ += cases; }
  uint64_t cases() const { return cases_; }
  uint64_t wanted() const { return wanted_; }

 private:
  uint64_t seed_;
  uint64_t wanted_;
  uint64_t cases_ = 0;
};

// The levels of acknowledgement that exist: those to come join the tests by themselves.
inline std::vector<Acks> supported_levels() {
  static const std::vector<Acks> levels = [] {
    std::vector<Acks> found;
    const TemporaryDirectory directory(Medium::kMemory);
    const auto log = Log::open(directory.path());
    const auto partition = log->open_partition(test_options());
    for (const Acks acks : {Acks::kPublished, Acks::kInterval, Acks::kDurable}) {
      try {
        append_values(*partition, 0, 1, acks);
        found.push_back(acks);
      } catch (const Error& error) {
        if (error.code() != ErrorCode::kNotSupported) throw;
      }
    }
    return found;
  }();
  return levels;
}

}  // namespace pystream::storage
