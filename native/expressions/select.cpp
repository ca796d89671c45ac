// From a bool column to the rows where it is true.

#include "expressions/detail/bitmap_words.hpp"
#include "expressions/detail/select_kernels.hpp"
#include "expressions/detail/vectorize.hpp"
#include "expressions/expression.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace pystream::expressions {
namespace detail {
namespace {

// The rows that count, word by word.
class TrueWords {
 public:
  explicit TrueWords(const Array& condition)
      : rows_(condition.length),
        values_(condition.values.data, condition.length),
        valid_(validity_reader(condition)) {}
  int64_t count() const { return word_count(rows_); }
  uint64_t operator[](int64_t i) const {
    return values_.word(i) & valid_.word(i) & row_mask(i, rows_);
  }

 private:
  int64_t rows_;
  BitmapReader values_;
  BitmapReader valid_;
};

}  // namespace

int32_t* list_rows_portable(const Array& condition, int32_t* out) {
  const TrueWords words(condition);
  for (int64_t i = 0; i < words.count(); ++i) {
    uint64_t word = words[i];
    const auto base = static_cast<int32_t>(i * 64);
    if (word == ~uint64_t{0}) {
      for (int32_t j = 0; j < 64; ++j) out[j] = base + j;
      out += 64;
      continue;
    }
    for (; word != 0; word &= word - 1) *out++ = base + std::countr_zero(word);
  }
  return out;
}

#if defined(__x86_64__)
// Compresses 16 row numbers at a time in a register and stores the whole vector: the compress that
// writes to memory is slow on some machines.
PYSTREAM_TARGET_AVX512 int32_t* list_rows_avx512(const Array& condition, int32_t* out) {
  const TrueWords words(condition);
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (int64_t i = 0; i < words.count(); ++i) {
    uint64_t word = words[i];
    auto base = static_cast<int32_t>(i * 64);
    for (; word != 0; word >>= 16, base += 16) {
      const auto mask = static_cast<__mmask16>(word);
      const __m512i rows = _mm512_add_epi32(_mm512_set1_epi32(base), lanes);
      _mm512_storeu_si512(out, _mm512_maskz_compress_epi32(mask, rows));
      out += std::popcount(static_cast<uint32_t>(mask));
    }
  }
  return out;
}
#else
int32_t* list_rows_avx512(const Array& condition, int32_t* out) {
  return list_rows_portable(condition, out);
}
#endif

}  // namespace detail

void select_true(const Array& condition, std::vector<int32_t>* out) {
  const detail::TrueWords words(condition);
  int64_t ones = 0;
  for (int64_t i = 0; i < words.count(); ++i) ones += std::popcount(words[i]);
  // Growing a vector clears what it adds, so a caller that keeps `out` pays that once.
  out->resize(static_cast<size_t>(ones + detail::kSelectSlack));
  if (detail::instruction_set() == detail::InstructionSet::kAvx512) {
    detail::list_rows_avx512(condition, out->data());
  } else {
    detail::list_rows_portable(condition, out->data());
  }
  out->resize(static_cast<size_t>(ones));
}

}  // namespace pystream::expressions
