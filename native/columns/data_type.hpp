#pragma once
// The column types of pystream: the subset of Arrow's that pipelines know. A topic can hold all of
// them but lists.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace pystream {

// The numbers are written to disk in schema blobs, but for kList: never renumber.
enum class TypeId : uint8_t {
  kBool = 1,
  kInt8 = 2,
  kInt16 = 3,
  kInt32 = 4,
  kInt64 = 5,
  kUInt8 = 6,
  kUInt16 = 7,
  kUInt32 = 8,
  kUInt64 = 9,
  kFloat32 = 10,
  kFloat64 = 11,
  kDecimal128 = 12,  // 16-byte little-endian two's complement
  kTimestamp = 13,   // int64 since 1970 in `unit`; `timezone` is display only
  kDate32 = 14,      // int32 days since 1970
  kDuration = 15,    // int64 in `unit`
  kString = 16,      // UTF-8, int32 offsets
  kBinary = 17,      // int32 offsets
  kList = 18,        // int32 offsets; of any type but lists
};

enum class TimeUnit : uint8_t { kSecond = 0, kMilli = 1, kMicro = 2, kNano = 3 };

struct DataType {
  TypeId id = TypeId::kInt64;
  TimeUnit unit = TimeUnit::kMicro;  // timestamp and duration only
  uint8_t precision = 0;             // decimal128 only
  int8_t scale = 0;                  // decimal128 only
  // The declared type is dictionary<int32, string>: readers get codes and a dictionary. Physical
  // dictionary encoding is another matter: see Array::dictionary.
  bool is_dictionary = false;
  std::string timezone;                     // timestamp only; empty means zone-less
  std::shared_ptr<const DataType> element;  // list only: the type of what is in it

  bool operator==(const DataType& other) const;

  bool is_var_binary() const { return id == TypeId::kString || id == TypeId::kBinary; }
  bool is_list() const { return id == TypeId::kList; }
  bool is_bool() const { return id == TypeId::kBool; }
  bool is_integer() const { return id >= TypeId::kInt8 && id <= TypeId::kUInt64; }
  bool is_signed_integer() const { return id >= TypeId::kInt8 && id <= TypeId::kInt64; }
  bool is_floating() const { return id == TypeId::kFloat32 || id == TypeId::kFloat64; }
  bool is_numeric() const { return is_integer() || is_floating() || id == TypeId::kDecimal128; }
  bool is_temporal() const {
    return id == TypeId::kTimestamp || id == TypeId::kDate32 || id == TypeId::kDuration;
  }

  // Bytes per value of a fixed-width type; 0 for bool (one bit), string, binary and list.
  int byte_width() const;

  // Arrow-like spelling, as users write it: "int64", "timestamp[ms, UTC]", "decimal128(10, 2)",
  // "dictionary<string>", "list<float64>".
  std::string to_string() const;

  // The inverse of to_string; throws kConfig naming the text and what is accepted.
  static DataType parse(const std::string& text);

  static DataType of(TypeId id) {
    DataType type;
    type.id = id;
    return type;
  }
  static DataType timestamp(TimeUnit unit, std::string timezone = {}) {
    DataType type = of(TypeId::kTimestamp);
    type.unit = unit;
    type.timezone = std::move(timezone);
    return type;
  }
  static DataType list_of(DataType element) {
    DataType type = of(TypeId::kList);
    type.element = std::make_shared<const DataType>(std::move(element));
    return type;
  }
};

// Ticks per second of a unit.
int64_t ticks_per_second(TimeUnit unit);

}  // namespace pystream
