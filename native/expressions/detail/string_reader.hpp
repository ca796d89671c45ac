#pragma once
// Rows of a string or binary column, whatever its encoding.

#include <string_view>

#include "columns/array.hpp"

namespace pystream::expressions::detail {

// Whether to work on dictionary entries and map the codes, none of which is then out of range. A
// short slice of a batch with a large dictionary is cheaper row by row.
inline bool pays_per_entry(const Array& array) {
  return array.is_encoded() && array.dictionary->length > 0 &&
         array.dictionary->length <= array.length;
}

class StringReader {
 public:
  explicit StringReader(const Array& array)
      : codes_(array.is_encoded() ? array.codes() : nullptr),
        plain_(array.is_encoded() ? array.dictionary.get() : &array) {
    // An all-null column may have an empty dictionary, which its codes cannot point into.
    if (codes_ != nullptr && plain_->length == 0) plain_ = nullptr;
  }
  // Empty below a null whose dictionary is empty; else whatever stands there.
  std::string_view operator[](int64_t i) const {
    if (plain_ == nullptr) return {};
    return plain_->view(codes_ != nullptr ? codes_[i] : i);
  }

 private:
  const int32_t* codes_;
  const Array* plain_;
};

}  // namespace pystream::expressions::detail
