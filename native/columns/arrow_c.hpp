#pragma once
// The Arrow C data interface (https://arrow.apache.org/docs/format/CDataInterface.html), both ways,
// without libarrow.

#include <cstdint>
#include <functional>

#include "columns/record_batch.hpp"

extern "C" {
struct ArrowSchema {
  const char* format;
  const char* name;
  const char* metadata;
  int64_t flags;
  int64_t n_children;
  struct ArrowSchema** children;
  struct ArrowSchema* dictionary;
  void (*release)(struct ArrowSchema*);
  void* private_data;
};
struct ArrowArray {
  int64_t length;
  int64_t null_count;
  int64_t offset;
  int64_t n_buffers;
  int64_t n_children;
  const void** buffers;
  struct ArrowArray** children;
  struct ArrowArray* dictionary;
  void (*release)(struct ArrowArray*);
  void* private_data;
};
struct ArrowArrayStream {
  int (*get_schema)(struct ArrowArrayStream*, struct ArrowSchema* out);
  int (*get_next)(struct ArrowArrayStream*, struct ArrowArray* out);
  const char* (*get_last_error)(struct ArrowArrayStream*);
  void (*release)(struct ArrowArrayStream*);
  void* private_data;
};
}

namespace pystream {

// Export. The Arrow array keeps the buffers' owners alive until it is released. Declared
// dictionary types export as dictionary<int32, utf8>; physically encoded columns of another
// declared type are decoded (that is a copy). A batch exports as a struct array.
void export_schema(const Schema& schema, ArrowSchema* out);
void export_array(const RecordBatch& batch, ArrowArray* out);
// The same for a single column.
void export_field(const Field& field, ArrowSchema* out);
void export_column(const Array& array, ArrowArray* out);
// A stream over batches from `next`, which returns false at the end and may throw.
void export_stream(SchemaPtr schema, std::function<bool(RecordBatch*)> next, ArrowArrayStream* out);

// Import. Takes ownership (moves the structs out and marks the sources released). Accepts all types
// of TypeId plus large_string, large_binary, string_view, binary_view, and dictionaries with any
// integer index: of strings they become dictionary<string>, of other values an encoded array of the
// value type. Lists, large_lists and fixed_size_lists of these become lists. date64 becomes date32,
// where it is whole days. struct, lists of lists and the rest throw kNotSupported naming the
// column. Zero-copy where layouts agree. `schema` is not consumed.
//
// Arrow's null type has no counterpart here. With `target`, such a column takes the type of the
// target's column of the same name; without, it throws kNotSupported.
SchemaPtr import_schema(const ArrowSchema& schema, const Schema* target = nullptr);
RecordBatch import_array(const ArrowSchema& schema, ArrowArray* array,
                         const Schema* target = nullptr);
// Pulls one batch; false at the end; throws kSchema with the stream's own message on error.
bool import_next(ArrowArrayStream* stream, const ArrowSchema& schema, RecordBatch* out,
                 const Schema* target = nullptr);

}  // namespace pystream
