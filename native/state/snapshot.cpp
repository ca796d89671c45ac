#include "state/snapshot.hpp"

#include <algorithm>
#include <memory>

#include "base/error.hpp"
#include "columns/builder.hpp"

namespace pystream::state {

namespace {

constexpr const char* kKeyGroup = "key_group";
constexpr const char* kKind = "kind";
constexpr const char* kLayout = "layout";
constexpr const char* kFormatVersion = "format_version";
constexpr const char* kMaxParallelism = "max_parallelism";

[[noreturn]] void fail(const std::string& message) { throw Error(ErrorCode::kCheckpoint, message); }

bool is_keyed(const Schema& schema) {
  return schema.size() > 0 && schema.fields[0].name == kKeyGroup;
}

// The rows of a keyed batch that are in the range.
RecordBatch rows_in(const RecordBatch& batch, KeyGroupRange range) {
  const auto* groups = batch.columns[0].data<int32_t>();
  std::vector<int32_t> rows;
  for (int64_t i = 0; i < batch.num_rows; ++i) {
    if (range.contains(groups[i])) rows.push_back(static_cast<int32_t>(i));
  }
  return static_cast<int64_t>(rows.size()) == batch.num_rows ? batch : batch.take(rows);
}

template <typename T>
Array one(TypeId id, T value) {
  FixedBuilder<T> builder(DataType::of(id));
  builder.append(value);
  return builder.finish();
}

Array one(const std::string& value) {
  VarBinaryBuilder builder(DataType::of(TypeId::kString));
  builder.append(value);
  return builder.finish();
}

// The one row's value in the table "operator".
const Array& fact_column(const Snapshot& snapshot, const std::string& name, TypeId type) {
  const StateTable& table = snapshot.table(kOperatorTable);
  const int index = table.schema->index_of(name);
  if (index < 0 || table.batches.size() != 1 || table.batches[0].num_rows != 1 ||
      table.batches[0].columns[static_cast<size_t>(index)].type.id != type ||
      table.batches[0].columns[static_cast<size_t>(index)].null_count > 0) {
    fail("a snapshot does not say '" + name +
         "' in one row of its table 'operator'. It is damaged,"
         " or no snapshot of an operator.");
  }
  return table.batches[0].columns[static_cast<size_t>(index)];
}

}  // namespace

const StateTable& Snapshot::table(const std::string& name) const {
  const auto found = std::find_if(tables.begin(), tables.end(), [&](const StateTable& candidate) {
    return candidate.name == name;
  });
  if (found == tables.end()) fail("a snapshot has no table '" + name + "'. It is incomplete.");
  return *found;
}

Snapshot select(const Snapshot& snapshot, KeyGroupRange range) {
  Snapshot selected;
  for (const StateTable& table : snapshot.tables) {
    StateTable& copy = selected.tables.emplace_back(StateTable{table.name, table.schema, {}});
    for (const RecordBatch& batch : table.batches) {
      RecordBatch rows = is_keyed(*table.schema) ? rows_in(batch, range) : batch;
      if (rows.num_rows > 0) copy.batches.push_back(std::move(rows));
    }
  }
  return selected;
}

StateWriter::StateWriter(int max_parallelism) : max_parallelism_(max_parallelism) {
  key_group_range(0, 1, max_parallelism);  // checks it
}

void StateWriter::set_operator(std::string kind, std::string layout) {
  kind_ = std::move(kind);
  layout_ = std::move(layout);
}

void StateWriter::begin_keyed(std::string table, const std::vector<Field>& fields) {
  auto schema = std::make_shared<Schema>();
  schema->fields.push_back({kKeyGroup, DataType::of(TypeId::kInt32), false});
  schema->fields.insert(schema->fields.end(), fields.begin(), fields.end());
  tables_.push_back({std::move(table), std::move(schema), {}});
}

void StateWriter::append_keyed(std::vector<Array> columns, size_t keys, int64_t rows) {
  if (rows == 0) return;
  std::vector<const Array*> key;
  for (size_t i = 0; i < keys; ++i) key.push_back(&columns[i]);
  const std::vector<int32_t> groups = key_groups(key, rows, max_parallelism_);
  FixedBuilder<int32_t> builder(DataType::of(TypeId::kInt32));
  for (const int32_t group : groups) builder.append(group);
  columns.insert(columns.begin(), builder.finish());
  StateTable& table = tables_.back();
  table.batches.push_back({table.schema, rows, std::move(columns)});
}

void StateWriter::add_plain(std::string table, RecordBatch rows) {
  const SchemaPtr schema = rows.schema;
  tables_.push_back({std::move(table), schema, {std::move(rows)}});
}

Snapshot StateWriter::finish() {
  auto schema = std::make_shared<Schema>();
  RecordBatch row;
  const auto add = [&](const std::string& name, Array value) {
    schema->fields.push_back({name, value.type, false});
    row.columns.push_back(std::move(value));
  };
  add(kKind, one(kind_));
  add(kLayout, one(layout_));
  add(kFormatVersion, one(TypeId::kInt32, kStateFormatVersion));
  add(kMaxParallelism, one(TypeId::kInt32, static_cast<int32_t>(max_parallelism_)));
  for (const auto& [name, value] : facts_) add(name, one(TypeId::kInt64, value));
  row.num_rows = 1;
  row.schema = schema;
  Snapshot snapshot;
  snapshot.tables.push_back({kOperatorTable, schema, {std::move(row)}});
  for (StateTable& table : tables_) snapshot.tables.push_back(std::move(table));
  tables_.clear();
  return snapshot;
}

StateReader::StateReader(std::vector<Snapshot> parts) : parts_(std::move(parts)) {
  if (parts_.empty()) {
    throw Error(ErrorCode::kConfig, "state is restored from no snapshot. Pass at least one.");
  }
  const auto number = [](const Snapshot& part, const char* name) {
    return fact_column(part, name, TypeId::kInt32).data<int32_t>()[0];
  };
  max_parallelism_ = number(parts_[0], kMaxParallelism);
  for (size_t i = 0; i < parts_.size(); ++i) {
    const int32_t version = number(parts_[i], kFormatVersion);
    if (version != kStateFormatVersion) {
      fail("a snapshot has the format version " + std::to_string(version) +
           "; this release reads " + std::to_string(kStateFormatVersion) +
           ". Restore it with the release that wrote it.");
    }
    const int groups = number(parts_[i], kMaxParallelism);
    if (groups != max_parallelism_) {
      fail("snapshots of one operator have " + std::to_string(max_parallelism_) + " and " +
           std::to_string(groups) + " key groups. Restore those that were taken together.");
    }
    check_operator(text(i, kKind), text(i, kLayout));  // of each as of all others
  }
}

std::string StateReader::text(size_t part, const std::string& name) const {
  return std::string(fact_column(parts_[part], name, TypeId::kString).view(0));
}

void StateReader::check_operator(const std::string& kind, const std::string& layout) const {
  for (size_t i = 0; i < parts_.size(); ++i) {
    const std::string own_kind = text(i, kKind);
    const std::string own_layout = text(i, kLayout);
    if (own_kind == kind && own_layout == layout) continue;
    fail("state of '" + own_kind + ": " + own_layout + "' cannot be restored as '" + kind + ": " +
         layout + "'. Restore it into the operator that it was taken of, or start without it.");
  }
}

int64_t StateReader::fact(size_t part, const std::string& name) const {
  return fact_column(parts_[part], name, TypeId::kInt64).data<int64_t>()[0];
}

int64_t StateReader::fact(const std::string& name) const {
  const int64_t first = fact(0, name);
  for (size_t i = 1; i < parts_.size(); ++i) {
    if (fact(i, name) == first) continue;
    fail("snapshots of one operator say " + std::to_string(first) + " and " +
         std::to_string(fact(i, name)) + " for '" + name +
         "'. Restore those that were taken together.");
  }
  return first;
}

int64_t StateReader::highest_fact(const std::string& name) const {
  int64_t highest = fact(0, name);
  for (size_t i = 1; i < parts_.size(); ++i) highest = std::max(highest, fact(i, name));
  return highest;
}

void StateReader::for_each(size_t part, const std::string& name, const std::vector<Field>& fields,
                           KeyGroupRange range,
                           const std::function<void(RecordBatch&&)>& visit) const {
  const StateTable& table = parts_[part].table(name);
  const std::vector<Field>& given = table.schema->fields;
  auto schema = std::make_shared<Schema>();
  schema->fields = fields;
  const bool fits = given.size() == fields.size() + 1 && given[0].name == kKeyGroup &&
                    given[0].type.id == TypeId::kInt32 &&
                    std::equal(fields.begin(), fields.end(), given.begin() + 1,
                               [](const Field& a, const Field& b) {
                                 return a.name == b.name && a.type == b.type;
                               });
  if (!fits) {
    fail("the table '" + name + "' of a snapshot has the columns " + table.schema->to_string() +
         "; behind the key group they have to be " + schema->to_string() +
         ". It was changed, or written by another release.");
  }
  for (const RecordBatch& batch : table.batches) {
    RecordBatch rows = rows_in(batch, range);
    if (rows.num_rows == 0) continue;
    rows.columns.erase(rows.columns.begin());
    rows.schema = schema;
    visit(std::move(rows));
  }
}

}  // namespace pystream::state
