// The binary form of a schema. docs/formats/schema.md describes the same for people.
//
//   blob  := "PSSC" · u16 version · u16 reserved (0) · u32 field count · field*
//   field := u8 type id · u8 flags · u8 unit · u8 precision · i8 scale · u8 reserved (0)
//            · u16 name length · u16 timezone length · name · timezone
//
// Little endian, no padding. Members that a type does not use are zero, so that equal schemas have
// equal blobs.

#include <cstring>
#include <set>

#include "base/error.hpp"
#include "base/utf8.hpp"
#include "columns/schema.hpp"

namespace pystream {

namespace {

constexpr uint8_t kMagic[4] = {'P', 'S', 'S', 'C'};
constexpr uint16_t kVersion = 1;
constexpr uint8_t kFlagNullable = 1u << 0;
constexpr uint8_t kFlagDictionary = 1u << 1;
constexpr int kMaxDecimalPrecision = 38;

bool has_unit(TypeId id) { return id == TypeId::kTimestamp || id == TypeId::kDuration; }

// One byte at a time: schemas are small, and g++ 12 warns falsely about range inserts here.
void put_bytes(std::vector<uint8_t>* out, const void* bytes, size_t length) {
  const auto* from = static_cast<const uint8_t*>(bytes);
  for (size_t i = 0; i < length; ++i) out->push_back(from[i]);
}

template <typename T>
void put(std::vector<uint8_t>* out, T value) {
  put_bytes(out, &value, sizeof(T));
}

void put_text(std::vector<uint8_t>* out, const std::string& text) {
  put_bytes(out, text.data(), text.size());
}

uint16_t text_length(const std::string& text) {
  if (text.size() > UINT16_MAX) {
    throw Error(ErrorCode::kSchema, "the name '" + text.substr(0, 40) + "...' has " +
                                        std::to_string(text.size()) +
                                        " bytes; names of columns and time zones may have 65535.");
  }
  return static_cast<uint16_t>(text.size());
}

// A cursor over untrusted bytes.
class BlobReader {
 public:
  explicit BlobReader(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  template <typename T>
  T get() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }

  std::string text(size_t length) {
    const auto bytes = take(length);
    std::string text{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    if (!is_utf8(text)) fail("a name that is not UTF-8");
    return text;
  }

  bool at_end() const { return position_ == bytes_.size(); }
  size_t remaining() const { return bytes_.size() - position_; }

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorCode::kSchema,
                "the schema's bytes are damaged at byte " + std::to_string(position_) + " of " +
                    std::to_string(bytes_.size()) + ": " + what +
                    ". Restore the file from a copy, or read the topic without this segment.",
                {{"position", static_cast<int64_t>(position_)}});
  }

 private:
  std::span<const uint8_t> take(size_t length) {
    if (length > remaining()) fail(std::to_string(length) + " more bytes were expected");
    const auto part = bytes_.subspan(position_, length);
    position_ += length;
    return part;
  }

  std::span<const uint8_t> bytes_;
  size_t position_ = 0;
};

Field read_field(BlobReader* reader) {
  Field field;
  const auto id = reader->get<uint8_t>();
  const auto flags = reader->get<uint8_t>();
  const auto unit = reader->get<uint8_t>();
  const auto precision = reader->get<uint8_t>();
  const auto scale = reader->get<int8_t>();
  const auto reserved = reader->get<uint8_t>();
  const auto name_length = reader->get<uint16_t>();
  const auto timezone_length = reader->get<uint16_t>();
  if (id < static_cast<uint8_t>(TypeId::kBool) || id > static_cast<uint8_t>(TypeId::kBinary)) {
    reader->fail("unknown type " + std::to_string(id));
  }
  field.type = DataType::of(static_cast<TypeId>(id));
  if ((flags & ~(kFlagNullable | kFlagDictionary)) != 0 || reserved != 0) {
    reader->fail("unknown flags " + std::to_string(flags));
  }
  field.nullable = (flags & kFlagNullable) != 0;
  field.type.is_dictionary = (flags & kFlagDictionary) != 0;
  if (field.type.is_dictionary && field.type.id != TypeId::kString) {
    reader->fail("a dictionary of " + field.type.to_string());
  }
  if (unit > static_cast<uint8_t>(TimeUnit::kNano) || (!has_unit(field.type.id) && unit != 0)) {
    reader->fail("time unit " + std::to_string(unit));
  }
  if (has_unit(field.type.id)) field.type.unit = static_cast<TimeUnit>(unit);
  const bool is_decimal = field.type.id == TypeId::kDecimal128;
  if (is_decimal ? precision < 1 || precision > kMaxDecimalPrecision : precision != 0) {
    reader->fail("precision " + std::to_string(precision));
  }
  if (is_decimal ? scale < -kMaxDecimalPrecision || scale > kMaxDecimalPrecision : scale != 0) {
    reader->fail("scale " + std::to_string(scale));
  }
  field.type.precision = precision;
  field.type.scale = scale;
  if (timezone_length > 0 && field.type.id != TypeId::kTimestamp) {
    reader->fail("a time zone on " + field.type.to_string());
  }
  field.name = reader->text(name_length);
  field.type.timezone = reader->text(timezone_length);
  return field;
}

}  // namespace

std::vector<uint8_t> Schema::serialize() const {
  std::vector<uint8_t> out;
  put_bytes(&out, kMagic, sizeof(kMagic));
  put(&out, kVersion);
  put(&out, uint16_t{0});
  put(&out, static_cast<uint32_t>(fields.size()));
  for (const Field& field : fields) {
    const DataType& type = field.type;
    if (type.is_list()) {
      throw Error(ErrorCode::kNotSupported,
                  "column '" + field.name + "' is " + type.to_string() +
                      ", and a topic cannot hold lists yet. Leave it out, or store its elements as "
                      "rows of their own.",
                  {{"column", field.name}, {"type", type.to_string()}});
    }
    put(&out, static_cast<uint8_t>(type.id));
    put(&out, static_cast<uint8_t>((field.nullable ? kFlagNullable : 0) |
                                   (type.is_dictionary ? kFlagDictionary : 0)));
    put(&out, has_unit(type.id) ? static_cast<uint8_t>(type.unit) : uint8_t{0});
    put(&out, type.precision);
    put(&out, type.scale);
    put(&out, uint8_t{0});
    put(&out, text_length(field.name));
    put(&out, text_length(type.timezone));
    put_text(&out, field.name);
    put_text(&out, type.timezone);
  }
  return out;
}

Schema Schema::deserialize(std::span<const uint8_t> bytes) {
  BlobReader reader(bytes);
  for (const uint8_t expected : kMagic) {
    if (reader.get<uint8_t>() != expected) reader.fail("the magic number is not PSSC");
  }
  const auto version = reader.get<uint16_t>();
  if (version != kVersion) {
    throw Error(ErrorCode::kSchema,
                "the schema has format version " + std::to_string(version) +
                    ", this pystream reads " + std::to_string(kVersion) + ". Update pystream.",
                {{"version", int64_t{version}}});
  }
  if (reader.get<uint16_t>() != 0) reader.fail("reserved bytes are not zero");
  const auto count = reader.get<uint32_t>();
  if (count > kMaxSchemaFields) reader.fail(std::to_string(count) + " fields");
  Schema schema;
  std::set<std::string> names;
  for (uint32_t i = 0; i < count; ++i) {
    schema.fields.push_back(read_field(&reader));
    if (!names.insert(schema.fields.back().name).second) {
      reader.fail("column '" + schema.fields.back().name + "' appears twice");
    }
  }
  if (!reader.at_end()) reader.fail(std::to_string(reader.remaining()) + " bytes too many");
  return schema;
}

}  // namespace pystream
