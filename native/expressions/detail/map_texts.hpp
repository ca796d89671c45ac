#pragma once
// A function of strings over a column of them, whatever its encoding: in an encoded column once
// per dictionary entry, and the codes stay, so that entries of a result may be equal.

#include <algorithm>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "columns/builder.hpp"
#include "expressions/detail/bitmap_words.hpp"
#include "expressions/detail/string_reader.hpp"

namespace pystream::expressions::detail {

inline DataType string_type() { return DataType::of(TypeId::kString); }

// function(value) per row; what it returns must stay valid until the next call.
template <typename Function>
Array map_texts(const Array& in, const Function& function) {
  VarBinaryBuilder out(string_type());
  if (pays_per_entry(in)) {
    for (int64_t i = 0; i < in.dictionary->length; ++i)
      out.append(function(in.dictionary->view(i)));
    Array result = fixed_array(string_type(), in.length, in.values, validity_of(in));
    result.dictionary = std::make_shared<Array>(out.finish());
    return result;
  }
  const StringReader read(in);
  for (int64_t i = 0; i < in.length; ++i) {
    if (in.is_valid(i)) {
      out.append(function(read[i]));
    } else {
      out.append_null();
    }
  }
  return out.finish();
}

// The same for a function that returns an optional: nothing is a null.
template <typename Function>
Array map_texts_or_null(const Array& in, const Function& function) {
  VarBinaryBuilder out(string_type());
  const auto append = [&](std::string_view value) {
    const std::optional<std::string_view> result = function(value);
    if (result) {
      out.append(*result);
    } else {
      out.append_null();
    }
  };
  if (!pays_per_entry(in)) {
    const StringReader read(in);
    for (int64_t i = 0; i < in.length; ++i) {
      if (in.is_valid(i)) {
        append(read[i]);
      } else {
        out.append_null();
      }
    }
    return out.finish();
  }
  for (int64_t i = 0; i < in.dictionary->length; ++i) append(in.dictionary->view(i));
  Array entries = out.finish();
  // A dictionary has no nulls; they move to the rows.
  Validity validity = validity_of(in);
  if (entries.null_count > 0) {
    const int32_t* codes = in.codes();
    const BitmapReader valid = validity_reader(in);
    validity = make_validity(in.length, [&](int64_t word) {
      uint64_t bits = 0;
      const int64_t begin = word * 64;
      const int64_t end = std::min(begin + 64, in.length);
      for (int64_t i = begin; i < end; ++i) {
        bits |= static_cast<uint64_t>(entries.is_valid(codes[i])) << (i - begin);
      }
      return bits & valid.word(word);
    });
    entries.validity = {};
    entries.null_count = 0;
  }
  Array result = fixed_array(string_type(), in.length, in.values, std::move(validity));
  result.dictionary = std::make_shared<Array>(std::move(entries));
  return result;
}

}  // namespace pystream::expressions::detail
