// Foreign lists as list arrays: offsets of 32 bits that count from the first element in use.

#include <limits>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "columns/arrow_columns.hpp"

namespace pystream::detail {

namespace {

constexpr int64_t kMaxElements = std::numeric_limits<int32_t>::max();

// Elements [begin, end) of a foreign array, and where each list of them starts and the last ends.
struct Elements {
  int64_t begin = 0;
  int64_t end = 0;
  Buffer offsets;
};

void check_count(const ArrowSource& source, int64_t count) {
  if (count <= kMaxElements) return;
  throw Error(ErrorCode::kRecordTooLarge,
              "column '" + source.column + "' has " + std::to_string(count) +
                  " list elements in one batch; the limit is " + std::to_string(kMaxElements) +
                  ". Send smaller batches.",
              {{"column", source.column}, {"size", count}, {"limit", kMaxElements}});
}

template <typename Offset>
Elements offsets_of(const ArrowSource& source) {
  constexpr auto kWidth = static_cast<int64_t>(sizeof(Offset));
  Buffer held = source.buffer(1, source.begin * kWidth, (source.length + 1) * kWidth, kWidth);
  const auto* from = held.as<Offset>();
  for (int64_t i = 0; i < source.length; ++i) {
    if (from[i + 1] < from[i]) throw_malformed(source.column, "its offsets fall");
  }
  if (from[0] < 0) throw_malformed(source.column, "an offset is negative");
  check_count(source, from[source.length] - from[0]);
  Elements out{from[0], from[source.length], {}};
  if (sizeof(Offset) == sizeof(int32_t) && from[0] == 0) {
    out.offsets = std::move(held);
    return out;
  }
  MutableBuffer offsets((source.length + 1) * 4);
  int32_t* to = offsets.as<int32_t>();
  for (int64_t i = 0; i <= source.length; ++i) to[i] = static_cast<int32_t>(from[i] - from[0]);
  out.offsets = offsets.freeze();
  return out;
}

// Lists of `size` elements each, also where a list is null.
Elements offsets_of_fixed(const ArrowSource& source, int64_t size) {
  check_count(source, source.length * size);
  MutableBuffer offsets((source.length + 1) * 4);
  int32_t* to = offsets.as<int32_t>();
  for (int64_t i = 0; i <= source.length; ++i) to[i] = static_cast<int32_t>(i * size);
  return {source.begin * size, (source.begin + source.length) * size, offsets.freeze()};
}

Elements elements_of(const ArrowSource& source, const ListFormat& format) {
  const int64_t expected = format.layout == ListLayout::kFixedSize ? 1 : 2;
  if (source.array.n_buffers != expected || source.array.n_children != 1) {
    throw_malformed(source.column, "a list of " + std::to_string(source.array.n_buffers) +
                                       " buffers and " + std::to_string(source.array.n_children) +
                                       " children");
  }
  switch (format.layout) {
    case ListLayout::kOffsets32:
      return offsets_of<int32_t>(source);
    case ListLayout::kOffsets64:
      return offsets_of<int64_t>(source);
    case ListLayout::kFixedSize:
      break;
  }
  return offsets_of_fixed(source, format.size);
}

}  // namespace

Array import_list(const ArrowSource& source, const DataType& type) {
  if (source.length == 0) return make_nulls(type, 0);
  const auto format = list_format(source.schema.format);
  if (!format) throw_malformed(source.column, "it changes its type");
  Array out;
  out.type = type;
  out.length = source.length;
  import_validity(source, &out);
  Elements elements = elements_of(source, *format);
  const ArrowArray& foreign = *source.array.children[0];
  if (foreign.length < elements.end) {
    throw_malformed(source.column, "it has fewer elements than its lists");
  }
  out.offsets = std::move(elements.offsets);
  out.elements = std::make_shared<const Array>(
      import_column({*source.schema.children[0], foreign, foreign.offset + elements.begin,
                     elements.end - elements.begin, source.owner, source.column},
                    *type.element));
  return out;
}

Array import_column(const ArrowSource& source, const DataType& type) {
  if (source.schema.dictionary != nullptr) return import_dictionary(source, type);
  return type.is_list() ? import_list(source, type) : import_plain(source, type);
}

}  // namespace pystream::detail
