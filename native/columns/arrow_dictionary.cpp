#include <string>
#include <utility>

#include "base/error.hpp"
#include "columns/arrow_columns.hpp"
#include "columns/builder.hpp"

namespace pystream::detail {

namespace {

// Foreign indexes become int32 codes that are safe to follow: those of valid rows are checked,
// those below nulls become 0. Entries that are null themselves make their rows null.
template <typename Index>
Buffer import_codes(const ArrowSource& source, const Array& entries, BitmapBuilder* validity,
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

Buffer import_codes_of(TypeId index, const ArrowSource& source, const Array& entries,
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

}  // namespace

Array import_dictionary(const ArrowSource& source, const DataType& type) {
  if (source.array.dictionary == nullptr) throw_malformed(source.column, "no dictionary");
  source.check_buffer_count(ArrowLayout::kFixed);
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
  const TypeId index = parse_format(source.schema.format, source.column).type.id;
  if (source.length > 0) out.values = import_codes_of(index, source, entries, &validity, out);
  out.null_count = source.length - validity.ones();
  out.validity = out.null_count > 0 ? validity.finish() : Buffer{};
  entries.null_count = 0;
  entries.validity = {};
  out.dictionary = std::make_shared<const Array>(std::move(entries));
  return out;
}

}  // namespace pystream::detail
