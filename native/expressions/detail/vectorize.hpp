#pragma once
// One loop, compiled for several instruction sets and chosen at run time. Plain calls instead of
// ifuncs, because resolvers run before a sanitizer's runtime is ready.

#include <cstdint>

namespace pystream::expressions::detail {

enum class InstructionSet : uint8_t { kBaseline, kAvx2, kAvx512 };

inline InstructionSet instruction_set() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    return InstructionSet::kAvx512;
  }
  if (__builtin_cpu_supports("avx2")) return InstructionSet::kAvx2;
#endif
  return InstructionSet::kBaseline;
}

#if defined(__x86_64__)
#define PYSTREAM_TARGET_AVX2 [[gnu::target("avx2,bmi,bmi2,popcnt")]]
#if defined(__clang__)  // which knows no such word in a target
#define PYSTREAM_TARGET_AVX512 [[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,bmi,bmi2,popcnt")]]
#else
#define PYSTREAM_TARGET_AVX512 \
  [[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,bmi,bmi2,popcnt,prefer-vector-width=512")]]
#endif

// gnu::flatten inlines the loop into the function that has the target, where the vectorizer sees
// it.
template <auto loop, typename... Arguments>
PYSTREAM_TARGET_AVX2 [[gnu::flatten]] auto run_avx2(Arguments... arguments) {
  return loop(arguments...);
}
template <auto loop, typename... Arguments>
PYSTREAM_TARGET_AVX512 [[gnu::flatten]] auto run_avx512(Arguments... arguments) {
  return loop(arguments...);
}
#endif

// Calls loop(arguments...) in its best version for this machine. Arguments are passed by value:
// pointers and scalars, so that nothing in the loop is reached through memory that it also writes.
template <auto loop, typename... Arguments>
auto vectorized(Arguments... arguments) {
#if defined(__x86_64__)
  switch (instruction_set()) {
    case InstructionSet::kAvx512:
      return run_avx512<loop>(arguments...);
    case InstructionSet::kAvx2:
      return run_avx2<loop>(arguments...);
    case InstructionSet::kBaseline:
      break;
  }
#endif
  return loop(arguments...);
}

// The two shapes of a kernel's input: a column, or one value for all rows.
template <typename T>
struct Column {
  using Value = T;
  const T* at;
  T operator[](int64_t i) const { return at[i]; }
};
template <typename T>
struct Repeated {
  using Value = T;
  T value;
  T operator[](int64_t) const { return value; }
};

}  // namespace pystream::expressions::detail
