#pragma once
// Rows of a string or binary column, whatever its encoding.

#include <string_view>

#include "columns/array.hpp"

namespace pystream::expressions::detail {

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
