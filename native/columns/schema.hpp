#pragma once
// A schema: named, typed fields in order. Immutable once shared.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "columns/data_type.hpp"

namespace pystream {

// A topic's columns; a parser refuses more before it allocates.
inline constexpr uint32_t kMaxSchemaFields = 4096;

struct Field {
  std::string name;
  DataType type;
  bool nullable = true;

  bool operator==(const Field&) const = default;
};

struct Schema {
  std::vector<Field> fields;

  bool operator==(const Schema&) const = default;

  int size() const { return static_cast<int>(fields.size()); }
  // Index of the field of that name, or -1.
  int index_of(std::string_view name) const;
  // Whether this is `earlier` with more nullable columns behind it, or equal to it: then rows of
  // `earlier` are rows of this schema, with nulls in what they lack.
  bool extends(const Schema& earlier) const;
  // "user: string, amount: float64 not null"
  std::string to_string() const;

  // The binary form embedded in segments and stored in the catalog; see docs/formats/schema.md.
  // Throws kNotSupported for lists, which have none.
  std::vector<uint8_t> serialize() const;
  // Throws kSchema when the bytes are not a schema; reads at most bytes.size().
  static Schema deserialize(std::span<const uint8_t> bytes);
};

using SchemaPtr = std::shared_ptr<const Schema>;

}  // namespace pystream
