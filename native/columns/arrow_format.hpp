#pragma once
// Arrow's format strings and how they are laid out in memory. Internal to columns/.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "columns/data_type.hpp"

namespace pystream::detail {

enum class ArrowLayout : uint8_t {
  kNull,         // no buffers
  kBool,         // validity, bits
  kFixed,        // validity, values
  kMillis64,     // validity, int64 milliseconds of whole days
  kVarBinary32,  // validity, int32 offsets, bytes
  kVarBinary64,  // validity, int64 offsets, bytes
  kView,         // validity, 16-byte views, any number of bytes buffers, int64 sizes of those
};

struct ArrowFormat {
  DataType type;  // meaningless for kNull
  ArrowLayout layout = ArrowLayout::kFixed;
};

enum class ListLayout : uint8_t {
  kOffsets32,  // validity, int32 offsets
  kOffsets64,  // validity, int64 offsets
  kFixedSize,  // validity; so many elements in every row
};

struct ListFormat {
  ListLayout layout = ListLayout::kOffsets32;
  int64_t size = 0;  // kFixedSize
};

// What a format string says of a list; nullopt when it is of something else.
std::optional<ListFormat> list_format(std::string_view format);

// The format string of a type; of a declared dictionary, that of its codes.
std::string format_of(const DataType& type);

// Throws kNotSupported naming `column` and the format.
ArrowFormat parse_format(const std::string& format, const std::string& column);

}  // namespace pystream::detail
