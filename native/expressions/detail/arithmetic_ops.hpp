#pragma once
// The arithmetic of one row. Each apply() sets the sign bit of `bad` when the exact result does
// not fit (or a whole number is divided by zero), and returns something harmless then; the loop
// looks at `bad` once, so that it stays free of branches.

#include <cmath>
#include <cstdint>
#include <limits>

namespace pystream::expressions::detail {

inline constexpr int64_t kBad = std::numeric_limits<int64_t>::min();

// The result of mixed signedness is int64, computed exactly.
inline int64_t narrow(__int128 value, int64_t& bad) {
  const auto result = static_cast<int64_t>(value);
  if (result != value) bad |= kBad;
  return result;
}

struct Add {
  static int64_t apply(int64_t a, int64_t b, int64_t& bad) {
    const auto sum = static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
    bad |= (a ^ sum) & (b ^ sum);
    return sum;
  }
  static uint64_t apply(uint64_t a, uint64_t b, int64_t& bad) {
    const uint64_t sum = a + b;
    bad |= sum < a ? kBad : 0;
    return sum;
  }
  template <typename A, typename B>
  static int64_t apply(A a, B b, int64_t& bad) {
    return narrow(static_cast<__int128>(a) + b, bad);
  }
  static float apply(float a, float b, int64_t&) { return a + b; }
  static double apply(double a, double b, int64_t&) { return a + b; }
};

struct Subtract {
  static int64_t apply(int64_t a, int64_t b, int64_t& bad) {
    const auto difference =
        static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
    bad |= (a ^ b) & (a ^ difference);
    return difference;
  }
  static uint64_t apply(uint64_t a, uint64_t b, int64_t& bad) {
    bad |= a < b ? kBad : 0;
    return a - b;
  }
  template <typename A, typename B>
  static int64_t apply(A a, B b, int64_t& bad) {
    return narrow(static_cast<__int128>(a) - b, bad);
  }
  static float apply(float a, float b, int64_t&) { return a - b; }
  static double apply(double a, double b, int64_t&) { return a - b; }
};

struct Multiply {
  static int64_t apply(int64_t a, int64_t b, int64_t& bad) {
    int64_t product;
    bad |= __builtin_mul_overflow(a, b, &product) ? kBad : 0;
    return product;
  }
  static uint64_t apply(uint64_t a, uint64_t b, int64_t& bad) {
    uint64_t product;
    bad |= __builtin_mul_overflow(a, b, &product) ? kBad : 0;
    return product;
  }
  template <typename A, typename B>
  static int64_t apply(A a, B b, int64_t& bad) {
    return narrow(static_cast<__int128>(a) * b, bad);
  }
  static float apply(float a, float b, int64_t&) { return a * b; }
  static double apply(double a, double b, int64_t&) { return a * b; }
};

// True division. Whole numbers are converted to float64 first.
struct Divide {
  static float apply(float a, float b, int64_t&) { return a / b; }
  static double apply(double a, double b, int64_t&) { return a / b; }
  template <typename A, typename B>
  static double apply(A a, B b, int64_t& bad) {
    bad |= b == 0 ? kBad : 0;
    return static_cast<double>(a) / static_cast<double>(b);
  }
};

// Quotient and remainder as Python's divmod: the remainder has the sign of the divisor.
struct FloorDivide {
  static int64_t apply(int64_t a, int64_t b, int64_t& bad) {
    // -1 apart: INT64_MIN / -1 traps.
    if (b == -1) return Subtract::apply(int64_t{0}, a, bad);
    if (b == 0) {
      bad |= kBad;
      return 0;
    }
    const int64_t quotient = a / b;
    return quotient - (a % b != 0 && (a < 0) != (b < 0));
  }
  static uint64_t apply(uint64_t a, uint64_t b, int64_t& bad) {
    if (b == 0) {
      bad |= kBad;
      return 0;
    }
    return a / b;
  }
  template <typename A, typename B>
  static int64_t apply(A a, B b, int64_t& bad) {
    if (b == 0) {
      bad |= kBad;
      return 0;
    }
    const __int128 wide_a = a;
    const __int128 wide_b = b;
    const __int128 quotient = wide_a / wide_b;
    const bool inexact = wide_a % wide_b != 0 && (wide_a < 0) != (wide_b < 0);
    return narrow(inexact ? quotient - 1 : quotient, bad);
  }
  static float apply(float a, float b, int64_t&) { return floored(a, b); }
  static double apply(double a, double b, int64_t&) { return floored(a, b); }

 private:
  // The quotient is taken from the exact remainder, because floor(a / b) rounds a / b first.
  template <typename T>
  static T floored(T a, T b) {
    if (b == 0) return a / b;
    const T remainder = std::fmod(a, b);
    T quotient = (a - remainder) / b;
    if (remainder != 0 && (b < 0) != (remainder < 0)) quotient -= 1;
    if (quotient == 0) return std::copysign(T{0}, a / b);
    const T floor = std::floor(quotient);
    return quotient - floor > T{0.5} ? floor + 1 : floor;
  }
};

struct Modulo {
  static int64_t apply(int64_t a, int64_t b, int64_t& bad) {
    if (b == -1) return 0;
    if (b == 0) {
      bad |= kBad;
      return 0;
    }
    const int64_t remainder = a % b;
    return remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder;
  }
  static uint64_t apply(uint64_t a, uint64_t b, int64_t& bad) {
    if (b == 0) {
      bad |= kBad;
      return 0;
    }
    return a % b;
  }
  template <typename A, typename B>
  static int64_t apply(A a, B b, int64_t& bad) {
    if (b == 0) {
      bad |= kBad;
      return 0;
    }
    const __int128 wide_b = b;
    const __int128 remainder = static_cast<__int128>(a) % wide_b;
    const bool shift = remainder != 0 && (remainder < 0) != (wide_b < 0);
    return narrow(shift ? remainder + wide_b : remainder, bad);
  }
  static float apply(float a, float b, int64_t&) { return floored(a, b); }
  static double apply(double a, double b, int64_t&) { return floored(a, b); }

 private:
  template <typename T>
  static T floored(T a, T b) {
    if (b == 0) return std::numeric_limits<T>::quiet_NaN();
    const T remainder = std::fmod(a, b);
    if (remainder == 0) return std::copysign(T{0}, b);
    return (b < 0) != (remainder < 0) ? remainder + b : remainder;
  }
};

struct Negate {
  static int64_t apply(int64_t a, int64_t& bad) { return Subtract::apply(int64_t{0}, a, bad); }
  static int64_t apply(uint64_t a, int64_t& bad) { return narrow(-static_cast<__int128>(a), bad); }
  static float apply(float a, int64_t&) { return -a; }
  static double apply(double a, int64_t&) { return -a; }
};

struct Absolute {
  static int64_t apply(int64_t a, int64_t& bad) {
    bad |= a == kBad ? kBad : 0;
    return a < 0 ? static_cast<int64_t>(-static_cast<uint64_t>(a)) : a;
  }
  static float apply(float a, int64_t&) { return std::fabs(a); }
  static double apply(double a, int64_t&) { return std::fabs(a); }
};

}  // namespace pystream::expressions::detail
