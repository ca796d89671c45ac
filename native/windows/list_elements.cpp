#include "windows/list_elements.hpp"

#include <cstring>
#include <limits>

#include "base/error.hpp"
#include "columns/builder.hpp"

namespace pystream::windows {

namespace {

template <typename T>
Array low_bits(const DataType& type, const std::vector<Word>& words) {
  MutableBuffer values(static_cast<int64_t>(words.size() * sizeof(T)));
  T* out = values.as<T>();
  for (size_t i = 0; i < words.size(); ++i) out[i] = static_cast<T>(words[i]);
  Array array;
  array.type = type;
  array.length = static_cast<int64_t>(words.size());
  array.values = values.freeze();
  return array;
}

void check_bytes(int64_t bytes) {
  constexpr int64_t kMaxBytes = std::numeric_limits<int32_t>::max();
  if (bytes <= kMaxBytes) return;
  throw Error(ErrorCode::kRecordTooLarge,
              "a list of texts in a window passes " + std::to_string(kMaxBytes) +
                  " bytes. Use shorter windows, or filter what is collected with where=.",
              {{"size", bytes}, {"limit", kMaxBytes}});
}

}  // namespace

void throw_long_list() {
  constexpr int64_t kMaxElements = std::numeric_limits<int32_t>::max();
  throw Error(ErrorCode::kRecordTooLarge,
              "lists in a window pass " + std::to_string(kMaxElements) +
                  " elements. Use shorter windows, or filter what is collected with where=.",
              {{"limit", kMaxElements}});
}

Text SlotTexts::append(uint32_t slot, std::string_view text) {
  const int64_t begin = bytes_.size(slot);
  const int64_t end = begin + static_cast<int64_t>(text.size());
  check_bytes(end);
  bytes_.reserve(slot, end);
  if (!text.empty()) std::memcpy(bytes_.data(slot) + begin, text.data(), text.size());
  bytes_.set_size(slot, end);
  return {static_cast<uint32_t>(begin), static_cast<uint32_t>(text.size())};
}

uint32_t SlotTexts::append_all(uint32_t slot, const SlotTexts& from, uint32_t other_slot) {
  const int64_t begin = bytes_.size(slot);
  const int64_t size = from.bytes_.size(other_slot);
  check_bytes(begin + size);
  bytes_.reserve(slot, begin + size);  // moves runs, so `from` is asked for its data behind it
  if (size > 0) {
    std::memcpy(bytes_.data(slot) + begin, from.bytes_.data(other_slot), static_cast<size_t>(size));
  }
  bytes_.set_size(slot, begin + size);
  return static_cast<uint32_t>(begin);
}

Array elements_of(const DataType& type, const std::vector<Word>& words) {
  if (type.is_bool()) {
    BitmapBuilder bits;
    for (const Word word : words) bits.append(word != 0);
    Array array;
    array.type = type;
    array.length = bits.length();
    array.values = bits.finish();
    return array;
  }
  switch (type.byte_width()) {
    case 1:
      return low_bits<uint8_t>(type, words);
    case 2:
      return low_bits<uint16_t>(type, words);
    case 4:
      return low_bits<uint32_t>(type, words);
    default:
      return low_bits<uint64_t>(type, words);
  }
}

Array elements_of(const DataType& type, const std::vector<Wide>& values) {
  MutableBuffer bytes;
  bytes.append(values.data(), static_cast<int64_t>(values.size() * sizeof(Wide)));
  Array array;
  array.type = type;
  array.length = static_cast<int64_t>(values.size());
  array.values = bytes.freeze();
  return array;
}

Array elements_of(const DataType& type, const std::vector<std::string_view>& texts) {
  VarBinaryBuilder builder(type);
  for (const std::string_view text : texts) builder.append(text);
  return builder.finish();
}

void ListOffsets::end_list(size_t total) {
  if (total > static_cast<size_t>(std::numeric_limits<int32_t>::max())) throw_long_list();
  const auto end = static_cast<int32_t>(total);
  offsets_.append(&end, sizeof(end));
}

Array ListOffsets::finish(Array elements) {
  const int64_t lists = offsets_.size() / static_cast<int64_t>(sizeof(int32_t)) - 1;
  return make_lists(offsets_.freeze(), lists, std::move(elements));
}

}  // namespace pystream::windows
