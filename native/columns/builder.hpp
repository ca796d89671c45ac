#pragma once
// Builders: append values one by one or in runs, finish to an Array. For code that cannot size
// its output beforehand (record encoding, window emission); kernels fill a MutableBuffer directly.

#include <cstdint>
#include <string_view>

#include "columns/array.hpp"

namespace pystream {

// Bits appended one by one; used for validity and for bool values.
class BitmapBuilder {
 public:
  void append(bool bit);
  void append_run(bool bit, int64_t count);
  int64_t length() const { return length_; }
  int64_t ones() const { return ones_; }
  Buffer finish();  // resets the builder

 private:
  MutableBuffer bits_;
  int64_t length_ = 0;
  int64_t ones_ = 0;
};

// Fixed-width values of any type with byte_width() == sizeof(T) (decimal128: __int128).
template <typename T>
class FixedBuilder {
 public:
  explicit FixedBuilder(DataType type) : type_(std::move(type)) {}
  void append(T value) {
    values_.append(&value, sizeof(T));
    if (has_validity_) validity_.append(true);
    ++length_;
  }
  void append_null() {
    start_validity();
    const T zero{};
    values_.append(&zero, sizeof(T));
    validity_.append(false);
    ++length_;
  }
  int64_t length() const { return length_; }
  Array finish() {
    Array array;
    array.type = type_;
    array.length = length_;
    array.values = values_.freeze();
    if (has_validity_) {
      array.null_count = length_ - validity_.ones();
      array.validity = validity_.finish();
    }
    length_ = 0;
    has_validity_ = false;
    return array;
  }

 private:
  void start_validity() {
    if (has_validity_) return;
    has_validity_ = true;
    validity_.append_run(true, length_);
  }

  DataType type_;
  MutableBuffer values_;
  BitmapBuilder validity_;
  bool has_validity_ = false;
  int64_t length_ = 0;
};

// String and binary. Throws kRecordTooLarge when the bytes would pass 2 GiB.
class VarBinaryBuilder {
 public:
  explicit VarBinaryBuilder(DataType type) : type_(std::move(type)) {}
  void append(std::string_view value);
  void append_null();
  int64_t length() const { return length_; }
  int64_t byte_count() const { return bytes_.size(); }
  Array finish();

 private:
  void start_validity();

  DataType type_;
  MutableBuffer offsets_;
  MutableBuffer bytes_;
  BitmapBuilder validity_;
  bool has_validity_ = false;
  int64_t length_ = 0;
};

}  // namespace pystream
