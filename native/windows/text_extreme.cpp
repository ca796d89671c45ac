#include "windows/text_extreme.hpp"

#include <string>

#include "columns/builder.hpp"

namespace pystream::windows {

void TextExtreme::add(const SideRows& rows) {
  const bool is_encoded = rows.column.is_encoded();
  const Array& texts = is_encoded ? *rows.column.dictionary : rows.column;
  for (int64_t i = 0; i < rows.count; ++i) {
    const int64_t row = rows.row(i);
    const std::string_view value = texts.view(is_encoded ? rows.column.codes()[row] : row);
    const uint32_t slot = rows.slots[i];
    if (is_beaten_by(slot, value)) {
      texts_.assign(slot, value.data(), static_cast<int64_t>(value.size()));
    }
  }
}

void TextExtreme::merge(const SideState& other, const uint32_t* slots, const uint32_t* other_slots,
                        int64_t count) {
  const auto& from = static_cast<const TextExtreme&>(other);
  std::string own;  // of this arena, which may move
  for (int64_t i = 0; i < count; ++i) {
    if (!from.texts_.has(other_slots[i])) continue;
    std::string_view value = from.text(other_slots[i]);
    if (!is_beaten_by(slots[i], value)) continue;
    if (&from == this) value = own = value;
    texts_.assign(slots[i], value.data(), static_cast<int64_t>(value.size()));
  }
}

Array TextExtreme::emit(const ResultLayout& result, std::span<const uint32_t> slots) const {
  return gather(result.field.type, slots);
}

std::vector<Field> TextExtreme::state_fields() const { return {{"value", type_, true}}; }

std::vector<Array> TextExtreme::snapshot(std::span<const uint32_t> slots) const {
  return {gather(type_, slots)};
}

void TextExtreme::restore(std::span<const Array> columns) {
  const Array& values = columns[0];
  for (int64_t row = 0; row < values.length; ++row) {
    if (!values.is_valid(row)) continue;
    const std::string_view value = values.view(row);
    texts_.assign(static_cast<uint32_t>(row), value.data(), static_cast<int64_t>(value.size()));
  }
}

Array TextExtreme::gather(const DataType& type, std::span<const uint32_t> slots) const {
  VarBinaryBuilder builder(type);
  for (const uint32_t slot : slots) {
    if (texts_.has(slot)) {
      builder.append(text(slot));
    } else {
      builder.append_null();
    }
  }
  return builder.finish();
}

}  // namespace pystream::windows
