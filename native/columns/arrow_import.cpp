#include <algorithm>
#include <cassert>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "columns/arrow_c.hpp"
#include "columns/arrow_format.hpp"
#include "columns/builder.hpp"

namespace pystream {

namespace {

using detail::ArrowFormat;
using detail::ArrowLayout;

using Owner = std::shared_ptr<const ArrowArray>;

[[noreturn]] void throw_malformed(const std::string& column, const std::string& what) {
  throw Error(ErrorCode::kSchema,
              "column '" + column + "' is not valid Arrow data: " + what +
                  ". Its producer breaks the Arrow C data interface.",
              {{"column", column}});
}

// One foreign array and the rows of it that are wanted.
struct Source {
  const ArrowSchema& schema;
  const ArrowArray& array;
  int64_t begin;  // counted from the start of the buffers
  int64_t length;
  const Owner& owner;
  const std::string& column;  // for messages

  // Buffer i from byte `at` on. Misaligned memory is copied, since kernels read whole values.
  Buffer buffer(int64_t i, int64_t at, int64_t size, int64_t alignment) const {
    const auto* data = static_cast<const uint8_t*>(array.buffers[i]);
    if (size == 0) return {};
    if (data == nullptr) throw_malformed(column, "buffer " + std::to_string(i) + " is missing");
    data += at;
    if (reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(alignment) == 0) {
      return {data, size, owner};
    }
    MutableBuffer copy(size);
    std::memcpy(copy.data(), data, static_cast<size_t>(size));
    return copy.freeze();
  }

  Buffer bits(int64_t i) const {
    if ((begin & 7) == 0) return buffer(i, begin >> 3, bitmap_bytes(length), 1);
    const auto* data = static_cast<const uint8_t*>(array.buffers[i]);
    if (data == nullptr) throw_malformed(column, "buffer " + std::to_string(i) + " is missing");
    MutableBuffer copy(bitmap_bytes(length));
    copy_bits(data, begin, length, copy.data());
    return copy.freeze();
  }
};

void import_validity(const Source& source, Array* out) {
  if (source.array.null_count == 0 || source.array.buffers[0] == nullptr) return;
  out->validity = source.bits(0);
  out->null_count = source.length - count_set_bits(out->validity.data, source.length);
  if (out->null_count == 0) out->validity = {};
}

void import_large_offsets(const Source& source, Array* out) {
  const Buffer wide = source.buffer(1, source.begin * 8, (source.length + 1) * 8, 8);
  const int64_t* from = wide.as<int64_t>();
  const int64_t total = from[source.length] - from[0];
  if (total < 0) throw_malformed(source.column, "its offsets fall");
  constexpr int64_t kMaxBytes = std::numeric_limits<int32_t>::max();
  if (total > kMaxBytes) {
    throw Error(ErrorCode::kRecordTooLarge,
                "column '" + source.column + "' has " + std::to_string(total) +
                    " bytes in one batch; the limit is " + std::to_string(kMaxBytes) +
                    ". Send smaller batches.",
                {{"column", source.column}, {"size", total}, {"limit", kMaxBytes}});
  }
  MutableBuffer offsets((source.length + 1) * 4);
  int32_t* to = offsets.as<int32_t>();
  for (int64_t i = 0; i <= source.length; ++i) to[i] = static_cast<int32_t>(from[i] - from[0]);
  out->offsets = offsets.freeze();
  out->values = source.buffer(2, from[0], total, 1);
}

// Arrow's 16-byte view of a string: short ones stand inside, long ones in one of many buffers.
struct View {
  int32_t length;
  union {
    char inlined[12];
    struct {
      char prefix[4];
      int32_t buffer;
      int32_t offset;
    } far;
  };
};
static_assert(sizeof(View) == 16);

void import_views(const Source& source, Array* out) {
  constexpr int64_t kMaxBytes = std::numeric_limits<int32_t>::max();
  const int64_t far_buffers = source.array.n_buffers - 3;
  const Buffer held = source.buffer(1, source.begin * 16, source.length * 16, 8);
  const View* views = held.as<View>();
  MutableBuffer offsets((source.length + 1) * 4);
  MutableBuffer values;
  for (int64_t i = 0; i < source.length; ++i) {
    offsets.as<int32_t>()[i] = static_cast<int32_t>(values.size());
    if (!out->is_valid(i)) continue;
    const View& view = views[i];
    if (view.length < 0) throw_malformed(source.column, "a view of negative length");
    if (values.size() + view.length > kMaxBytes) {
      throw Error(ErrorCode::kRecordTooLarge,
                  "column '" + source.column + "' passes " + std::to_string(kMaxBytes) +
                      " bytes at row " + std::to_string(i) + ". Send smaller batches.",
                  {{"column", source.column}, {"row", i}, {"limit", kMaxBytes}});
    }
    if (view.length <= static_cast<int32_t>(sizeof(view.inlined))) {
      values.append(view.inlined, view.length);
      continue;
    }
    if (view.far.buffer < 0 || view.far.buffer >= far_buffers) {
      throw_malformed(source.column, "a view of a buffer that does not exist");
    }
    const auto* bytes = static_cast<const uint8_t*>(source.array.buffers[2 + view.far.buffer]);
    values.append(bytes + view.far.offset, view.length);
  }
  offsets.as<int32_t>()[source.length] = static_cast<int32_t>(values.size());
  out->offsets = offsets.freeze();
  out->values = values.freeze();
}

int64_t expected_buffers(ArrowLayout layout) {
  switch (layout) {
    case ArrowLayout::kNull:
      return 0;
    case ArrowLayout::kBool:
    case ArrowLayout::kFixed:
      return 2;
    case ArrowLayout::kVarBinary32:
    case ArrowLayout::kVarBinary64:
    case ArrowLayout::kView:
      return 3;
  }
  return 0;
}

void check_buffers(const Source& source, ArrowLayout layout) {
  const int64_t expected = expected_buffers(layout);
  const int64_t got = source.array.n_buffers;
  if (layout == ArrowLayout::kView ? got < expected : got != expected) {
    throw_malformed(source.column, std::to_string(got) + " buffers where its type has " +
                                       std::to_string(expected));
  }
}

// A plain array. `null_type` is what Arrow's null type becomes.
Array import_plain(const Source& source, const DataType& null_type) {
  const ArrowFormat format = detail::parse_format(source.schema.format, source.column);
  check_buffers(source, format.layout);
  if (format.layout == ArrowLayout::kNull) return make_nulls(null_type, source.length);
  if (source.length == 0) return make_nulls(format.type, 0);
  Array out;
  out.type = format.type;
  out.length = source.length;
  import_validity(source, &out);
  switch (format.layout) {
    case ArrowLayout::kNull:
      break;
    case ArrowLayout::kBool:
      out.values = source.bits(1);
      break;
    case ArrowLayout::kFixed: {
      const int64_t width = format.type.byte_width();
      out.values = source.buffer(1, source.begin * width, source.length * width, width);
      break;
    }
    case ArrowLayout::kVarBinary32: {
      out.offsets = source.buffer(1, source.begin * 4, (source.length + 1) * 4, 4);
      const int32_t end = out.offsets.as<int32_t>()[source.length];
      if (end < out.offsets.as<int32_t>()[0]) throw_malformed(source.column, "its offsets fall");
      out.values = source.buffer(2, 0, end, 1);
      break;
    }
    case ArrowLayout::kVarBinary64:
      import_large_offsets(source, &out);
      break;
    case ArrowLayout::kView:
      import_views(source, &out);
      break;
  }
  return out;
}

// Foreign indexes become int32 codes that are safe to follow: those of valid rows are checked,
// those below nulls become 0. Entries that are null themselves make their rows null.
template <typename Index>
Buffer import_codes(const Source& source, const Array& entries, BitmapBuilder* validity,
                    const Array& out) {
  const Buffer held =
      source.buffer(1, source.begin * static_cast<int64_t>(sizeof(Index)),
                    source.length * static_cast<int64_t>(sizeof(Index)), sizeof(Index));
  const Index* from = held.as<Index>();
  MutableBuffer codes(source.length * 4);
  int32_t* to = codes.as<int32_t>();
  for (int64_t i = 0; i < source.length; ++i) {
    bool is_valid = out.is_valid(i);
    to[i] = 0;
    if (is_valid) {
      if (!std::in_range<int32_t>(from[i]) || std::cmp_less(from[i], 0) ||
          std::cmp_greater_equal(from[i], entries.length)) {
        throw_malformed(source.column, "the dictionary index of row " + std::to_string(i) + " is " +
                                           std::to_string(from[i]) + ", the dictionary has " +
                                           std::to_string(entries.length) + " entries");
      }
      is_valid = entries.is_valid(static_cast<int64_t>(from[i]));
      if (is_valid) to[i] = static_cast<int32_t>(from[i]);
    }
    validity->append(is_valid);
  }
  return codes.freeze();
}

Buffer import_codes_of(TypeId index, const Source& source, const Array& entries,
                       BitmapBuilder* validity, const Array& out) {
  switch (index) {
    case TypeId::kInt8:
      return import_codes<int8_t>(source, entries, validity, out);
    case TypeId::kInt16:
      return import_codes<int16_t>(source, entries, validity, out);
    case TypeId::kInt32:
      return import_codes<int32_t>(source, entries, validity, out);
    case TypeId::kInt64:
      return import_codes<int64_t>(source, entries, validity, out);
    case TypeId::kUInt8:
      return import_codes<uint8_t>(source, entries, validity, out);
    case TypeId::kUInt16:
      return import_codes<uint16_t>(source, entries, validity, out);
    case TypeId::kUInt32:
      return import_codes<uint32_t>(source, entries, validity, out);
    case TypeId::kUInt64:
      return import_codes<uint64_t>(source, entries, validity, out);
    default:
      throw_malformed(source.column, "its dictionary index is no integer");
  }
}

// The type of the rows of a column: of a dictionary, what its entries are.
DataType column_type(const ArrowSchema& schema, const std::string& column,
                     const DataType* null_type) {
  const bool is_dictionary = schema.dictionary != nullptr;
  const ArrowSchema& values = is_dictionary ? *schema.dictionary : schema;
  if (values.dictionary != nullptr) {
    throw Error(ErrorCode::kNotSupported,
                "column '" + column +
                    "' is a dictionary whose values are a dictionary again. Decode it first.",
                {{"column", column}});
  }
  ArrowFormat format = detail::parse_format(values.format, column);
  if (format.layout == ArrowLayout::kNull) {
    if (null_type != nullptr) return *null_type;
    throw Error(ErrorCode::kNotSupported,
                "column '" + column +
                    "' has Arrow type null, which a topic cannot hold. Cast it to the type that "
                    "its values would have.",
                {{"column", column}, {"format", std::string("n")}});
  }
  if (is_dictionary) format.type.is_dictionary = format.type.id == TypeId::kString;
  return format.type;
}

Array import_dictionary(const Source& source, const DataType& type) {
  if (source.array.dictionary == nullptr) throw_malformed(source.column, "no dictionary");
  check_buffers(source, ArrowLayout::kFixed);
  const ArrowArray& foreign = *source.array.dictionary;
  DataType entry_type = type;
  entry_type.is_dictionary = false;
  Array entries = import_plain({*source.schema.dictionary, foreign, foreign.offset, foreign.length,
                                source.owner, source.column},
                               entry_type);
  Array out;
  out.type = type;
  out.length = source.length;
  import_validity(source, &out);
  BitmapBuilder validity;
  const TypeId index = detail::parse_format(source.schema.format, source.column).type.id;
  if (source.length > 0) out.values = import_codes_of(index, source, entries, &validity, out);
  out.null_count = source.length - validity.ones();
  out.validity = out.null_count > 0 ? validity.finish() : Buffer{};
  entries.null_count = 0;
  entries.validity = {};
  out.dictionary = std::make_shared<const Array>(std::move(entries));
  return out;
}

const DataType* target_type(const Schema* target, const std::string& column) {
  const int at = target == nullptr ? -1 : target->index_of(column);
  return at < 0 ? nullptr : &target->fields[static_cast<size_t>(at)].type;
}

void check_is_table(const ArrowSchema& schema) {
  if (std::string(schema.format) == "+s") return;
  throw Error(ErrorCode::kSchema,
              "expected a record batch or table (an Arrow struct), got a single Arrow array of "
              "format '" +
                  std::string(schema.format) + "'. Put it into a table with a column name.");
}

std::string column_name(const ArrowSchema& schema) {
  return schema.name == nullptr ? "" : schema.name;
}

}  // namespace

SchemaPtr import_schema(const ArrowSchema& schema, const Schema* target) {
  check_is_table(schema);
  auto out = std::make_shared<Schema>();
  for (int64_t i = 0; i < schema.n_children; ++i) {
    const ArrowSchema& child = *schema.children[i];
    const std::string name = column_name(child);
    constexpr int64_t kFlagNullable = 2;
    out->fields.push_back({name, column_type(child, name, target_type(target, name)),
                           (child.flags & kFlagNullable) != 0});
  }
  return out;
}

RecordBatch import_array(const ArrowSchema& schema, ArrowArray* array, const Schema* target) {
  auto moved = std::make_unique<ArrowArray>(*array);
  array->release = nullptr;
  const Owner owner(moved.release(), [](const ArrowArray* held) {
    auto* foreign = const_cast<ArrowArray*>(held);
    if (foreign->release != nullptr) foreign->release(foreign);
    delete foreign;
  });
  RecordBatch batch{import_schema(schema, target), owner->length, {}};
  if (owner->n_children != schema.n_children) {
    throw Error(ErrorCode::kSchema, "the Arrow batch has " + std::to_string(owner->n_children) +
                                        " columns, its schema has " +
                                        std::to_string(schema.n_children) + ".");
  }
  const bool has_null_rows = owner->null_count != 0 && owner->n_buffers > 0 &&
                             owner->buffers[0] != nullptr && owner->length > 0;
  if (has_null_rows) {
    MutableBuffer bits(bitmap_bytes(owner->length));
    copy_bits(static_cast<const uint8_t*>(owner->buffers[0]), owner->offset, owner->length,
              bits.data());
    const int64_t row = find_clear_bit(bits.data(), owner->length);
    if (row >= 0) {
      throw Error(ErrorCode::kSchema,
                  "row " + std::to_string(row) +
                      " is null as a whole; a record has columns. Drop such rows first.",
                  {{"row", row}});
    }
  }
  for (int64_t i = 0; i < schema.n_children; ++i) {
    const ArrowSchema& child_schema = *schema.children[i];
    const ArrowArray& child = *owner->children[i];
    const Field& field = batch.schema->fields[static_cast<size_t>(i)];
    if (child.length < owner->offset + owner->length) {
      throw_malformed(field.name, "it has fewer rows than its batch");
    }
    const Source source{child_schema,  child, child.offset + owner->offset,
                        owner->length, owner, field.name};
    batch.columns.push_back(child_schema.dictionary != nullptr
                                ? import_dictionary(source, field.type)
                                : import_plain(source, field.type));
  }
  return batch;
}

bool import_next(ArrowArrayStream* stream, const ArrowSchema& schema, RecordBatch* out,
                 const Schema* target) {
  ArrowArray array{};
  const int code = stream->get_next(stream, &array);
  if (code != 0) {
    const char* message = stream->get_last_error(stream);
    throw Error(ErrorCode::kSchema,
                "the Arrow stream failed with code " + std::to_string(code) + ": " +
                    (message == nullptr ? "no message" : message) + ". Check its source.",
                {{"errno", static_cast<int64_t>(code)}});
  }
  if (array.release == nullptr) return false;
  *out = import_array(schema, &array, target);
  return true;
}

}  // namespace pystream
