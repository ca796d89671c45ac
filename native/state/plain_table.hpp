#pragma once
// Tables of a snapshot that belong to no key: a row is a struct, a column one of its members. The
// struct names its columns once, for those that write and those that read:
//
//   template <typename Table, typename Rows>
//   static void columns(Table& table, Rows& rows) {
//     table.column("position", rows, &Row::position);
//   }
//
// Members are int64_t, std::optional<int64_t>, bool or std::string.

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "state/snapshot.hpp"

namespace pystream::state {

namespace detail {

Array column_of(const std::vector<int64_t>& values);
Array column_of(const std::vector<std::optional<int64_t>>& values);
Array column_of(const std::vector<bool>& values);
Array column_of(const std::vector<std::string>& values);
void read_value(const Array& column, int64_t row, int64_t* out);
void read_value(const Array& column, int64_t row, std::optional<int64_t>* out);
void read_value(const Array& column, int64_t row, bool* out);
void read_value(const Array& column, int64_t row, std::string* out);
template <typename T>
Field field_of(const std::string& name);

}  // namespace detail

class PlainTableWriter {
 public:
  template <typename Row, typename T>
  void column(const std::string& name, const std::vector<Row>& rows, T Row::* member) {
    std::vector<T> values;
    for (const Row& row : rows) values.push_back(row.*member);
    add(detail::field_of<T>(name), detail::column_of(values));
  }
  // Call once, at the end.
  RecordBatch finish();

 private:
  void add(Field field, Array column);

  RecordBatch rows_;
  std::vector<Field> fields_;
};

// Throws kCheckpoint, naming table and column, where a column is missing, of another type or null.
class PlainTableReader {
 public:
  // The table of the first snapshot: others of the same moment have the same one.
  PlainTableReader(const StateReader& reader, std::string table)
      : name_(std::move(table)), table_(reader.plain_table(name_)) {}

  template <typename Row, typename T>
  void column(const std::string& name, std::vector<Row>& rows, T Row::* member) {
    size_t at = 0;
    for (const RecordBatch& batch : table_.batches) {
      rows.resize(std::max(rows.size(), at + static_cast<size_t>(batch.num_rows)));
      const Array& column = find(batch, detail::field_of<T>(name));
      for (int64_t row = 0; row < batch.num_rows; ++row) {
        detail::read_value(column, row, &(rows[at++].*member));
      }
    }
  }

 private:
  const Array& find(const RecordBatch& batch, const Field& field) const;

  std::string name_;
  const StateTable& table_;
};

template <typename Row>
void write_rows(std::string table, const std::vector<Row>& rows, StateWriter* writer) {
  PlainTableWriter columns;
  Row::columns(columns, rows);
  writer->add_plain(std::move(table), columns.finish());
}

template <typename Row>
std::vector<Row> read_rows(const StateReader& reader, std::string table) {
  std::vector<Row> rows;
  PlainTableReader columns(reader, std::move(table));
  Row::columns(columns, rows);
  return rows;
}

}  // namespace pystream::state
