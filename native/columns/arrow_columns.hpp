#pragma once
// Foreign Arrow arrays as columns. Internal to columns/.

#include <memory>
#include <string>

#include "columns/array.hpp"
#include "columns/arrow_c.hpp"
#include "columns/arrow_format.hpp"

namespace pystream::detail {

// Releases a foreign array with the last view of it.
using ArrowOwner = std::shared_ptr<const ArrowArray>;

// One foreign array and the rows of it that are wanted.
struct ArrowSource {
  const ArrowSchema& schema;
  const ArrowArray& array;
  int64_t begin;  // counted from the start of the buffers
  int64_t length;
  const ArrowOwner& owner;
  const std::string& column;  // for messages

  // Buffer i from byte `at` on. Misaligned memory is copied, since kernels read whole values.
  Buffer buffer(int64_t i, int64_t at, int64_t size, int64_t alignment) const;
  // The wanted bits of buffer i.
  Buffer bits(int64_t i) const;
  // Throws kSchema when the array has another number of buffers than its layout.
  void check_buffer_count(ArrowLayout layout) const;
};

// Throws kSchema: the producer breaks the rules of the interface.
[[noreturn]] void throw_malformed(const std::string& column, const std::string& what);

// Validity and null count of `out`, whose other members may follow.
void import_validity(const ArrowSource& source, Array* out);

// An array without dictionary. Arrow's null type becomes nulls of `null_type`. Throws kSchema where
// the array breaks the rules of the interface, kRecordTooLarge past 2 GiB of text.
Array import_plain(const ArrowSource& source, const DataType& null_type);

// A dictionary array as an encoded array of `type`: strings or whatever its entries are.
Array import_dictionary(const ArrowSource& source, const DataType& type);

// A list array as one of `type`, whose elements may be encoded. Throws as import_plain.
Array import_list(const ArrowSource& source, const DataType& type);

// Any column.
Array import_column(const ArrowSource& source, const DataType& type);

}  // namespace pystream::detail
