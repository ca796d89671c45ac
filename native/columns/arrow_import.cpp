#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.hpp"
#include "base/utf8.hpp"
#include "columns/arrow_c.hpp"
#include "columns/arrow_columns.hpp"

namespace pystream {

namespace {

DataType column_type(const ArrowSchema& schema, const std::string& column,
                     const DataType* null_type);

// Throws kNotSupported for a list of what lists cannot hold here.
DataType list_type(const ArrowSchema& schema, const std::string& column,
                   const DataType* null_type) {
  if (schema.n_children != 1) detail::throw_malformed(column, "a list without a type of elements");
  const ArrowSchema& element = *schema.children[0];
  const ArrowSchema& values = element.dictionary != nullptr ? *element.dictionary : element;
  if (detail::list_format(values.format)) {
    throw Error(ErrorCode::kNotSupported,
                "column '" + column +
                    "' is a list of lists; lists hold any type but lists. Flatten it first.",
                {{"column", column}, {"format", std::string(schema.format)}});
  }
  const bool is_known = null_type != nullptr && null_type->is_list();
  if (std::string_view(element.format) == "n" && !is_known) {
    throw Error(ErrorCode::kNotSupported,
                "column '" + column +
                    "' is a list of Arrow's type null, of which there is no column. Cast it to a "
                    "list of the type that its elements would have.",
                {{"column", column}, {"format", std::string(schema.format)}});
  }
  return DataType::list_of(
      column_type(element, column, is_known ? null_type->element.get() : nullptr));
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
  if (detail::list_format(values.format)) {
    if (!is_dictionary) return list_type(schema, column, null_type);
    throw Error(ErrorCode::kNotSupported,
                "column '" + column + "' is a dictionary whose values are lists. Decode it first.",
                {{"column", column}});
  }
  detail::ArrowFormat format = detail::parse_format(values.format, column);
  if (format.layout == detail::ArrowLayout::kNull) {
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

// A struct array may be null as a whole in some rows; a batch has no such thing.
void check_no_null_rows(const ArrowArray& rows) {
  const bool has_validity =
      rows.null_count != 0 && rows.n_buffers > 0 && rows.buffers[0] != nullptr && rows.length > 0;
  if (!has_validity) return;
  MutableBuffer bits(bitmap_bytes(rows.length));
  copy_bits(static_cast<const uint8_t*>(rows.buffers[0]), rows.offset, rows.length, bits.data());
  const int64_t row = find_clear_bit(bits.data(), rows.length);
  if (row < 0) return;
  throw Error(ErrorCode::kSchema,
              "row " + std::to_string(row) +
                  " is null as a whole; a record has columns. Drop such rows first.",
              {{"row", row}});
}

// The name of a column, of which the time zone is UTF-8, too: both are stored.
std::string column_name(const ArrowSchema& schema, int64_t index) {
  const std::string name = schema.name == nullptr ? "" : schema.name;
  const bool is_name = is_utf8(name);
  if (!is_name || !is_utf8(schema.format)) {
    throw Error(ErrorCode::kSchema,
                std::string(is_name ? "the type" : "the name") + " of column " +
                    std::to_string(index) + " is not UTF-8. Rename it.",
                {{"index", index}});
  }
  return name;
}

}  // namespace

SchemaPtr import_schema(const ArrowSchema& schema, const Schema* target) {
  check_is_table(schema);
  auto out = std::make_shared<Schema>();
  for (int64_t i = 0; i < schema.n_children; ++i) {
    const ArrowSchema& child = *schema.children[i];
    const std::string name = column_name(child, i);
    constexpr int64_t kFlagNullable = 2;
    out->fields.push_back({name, column_type(child, name, target_type(target, name)),
                           (child.flags & kFlagNullable) != 0});
  }
  return out;
}

RecordBatch import_array(const ArrowSchema& schema, ArrowArray* array, const Schema* target) {
  auto moved = std::make_unique<ArrowArray>(*array);
  array->release = nullptr;
  const detail::ArrowOwner owner(moved.release(), [](const ArrowArray* held) {
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
  check_no_null_rows(*owner);
  for (int64_t i = 0; i < schema.n_children; ++i) {
    const ArrowSchema& child_schema = *schema.children[i];
    const ArrowArray& child = *owner->children[i];
    const Field& field = batch.schema->fields[static_cast<size_t>(i)];
    if (child.length < owner->offset + owner->length) {
      detail::throw_malformed(field.name, "it has fewer rows than its batch");
    }
    const detail::ArrowSource source{child_schema,  child, child.offset + owner->offset,
                                     owner->length, owner, field.name};
    batch.columns.push_back(detail::import_column(source, field.type));
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
