#include "windows/keyed_state.hpp"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <utility>

#include "base/error.hpp"
#include "windows/state_columns.hpp"

namespace pystream::windows {

namespace {

// Of one batch in a snapshot; less where its columns would be too long.
constexpr size_t kBatchRows = 8192;

std::vector<Field> joined(const StateKey& key, const std::vector<Field>& space,
                          const AccumulatorLayout* layout, const std::vector<Field>& others) {
  std::vector<Field> fields = key.fields;
  fields.insert(fields.end(), space.begin(), space.end());
  if (layout != nullptr) {
    const std::vector<Field> content = AccumulatorTable(layout).state_fields();
    fields.insert(fields.end(), content.begin(), content.end());
  }
  fields.insert(fields.end(), others.begin(), others.end());
  return fields;
}

}  // namespace

StateKey StateKey::of(std::span<const int> key_columns, const Schema& input) {
  StateKey key;
  for (const int column : key_columns) {
    Field field = input.fields[static_cast<size_t>(column)];
    field.name = "key." + field.name;
    field.nullable = true;
    key.fields.push_back(std::move(field));
  }
  return key;
}

KeyedStateTable::KeyedStateTable(std::string name, const StateKey& key, std::vector<Field> space,
                                 const AccumulatorLayout* layout, std::vector<Field> others)
    : name_(std::move(name)),
      key_count_(key.fields.size()),
      space_(std::move(space)),
      layout_(layout),
      other_count_(others.size()),
      fields_(joined(key, space_, layout, others)) {}

void KeyedStateTable::Rows::add(uint32_t key, std::initializer_list<int64_t> place, uint32_t slot) {
  keys.push_back(key);
  slots.push_back(slot);
  space.resize(place.size());
  size_t column = 0;
  for (const int64_t value : place) space[column++].push_back(value);
}

void KeyedStateTable::write(state::StateWriter* writer, const state::KeyDictionary& keys,
                            const Rows& rows, const AccumulatorTable* table,
                            const OtherColumns& others) const {
  for (size_t begin = 0; begin < rows.keys.size(); begin += kBatchRows) {
    const size_t end = std::min(begin + kBatchRows, rows.keys.size());
    write_rows(writer, keys, rows, table, others, begin, end);
  }
}

// In halves, as long as lists or texts of the rows are more than a column can hold.
void KeyedStateTable::write_rows(state::StateWriter* writer, const state::KeyDictionary& keys,
                                 const Rows& rows, const AccumulatorTable* table,
                                 const OtherColumns& others, size_t begin, size_t end) const {
  const size_t count = end - begin;
  const std::span<const uint32_t> slots(rows.slots.data() + begin, count);
  std::vector<Array> columns;
  try {
    columns = keys.gather({rows.keys.data() + begin, count});
    for (size_t i = 0; i < space_.size(); ++i) {
      const auto first = rows.space[i].begin() + static_cast<std::ptrdiff_t>(begin);
      columns.push_back(narrowed(
          space_[i].type, std::vector<int64_t>(first, first + static_cast<std::ptrdiff_t>(count))));
    }
    const auto append = [&](std::vector<Array>&& more) {
      std::move(more.begin(), more.end(), std::back_inserter(columns));
    };
    if (layout_ != nullptr) append(table->snapshot(slots));
    if (other_count_ > 0) append(others(slots));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kRecordTooLarge || count == 1) throw;
    const size_t middle = begin + count / 2;
    write_rows(writer, keys, rows, table, others, begin, middle);
    write_rows(writer, keys, rows, table, others, middle, end);
    return;
  }
  writer->append_keyed(std::move(columns), key_count_, static_cast<int64_t>(count));
}

void KeyedStateTable::read(const state::StateReader& reader, size_t part,
                           state::KeyGroupRange range,
                           const std::function<void(const Batch&)>& visit) const {
  // Of a table without accumulators, that of none.
  const AccumulatorLayout none = make_layout({}, Schema{}, true);
  reader.for_each(part, name_, fields_, range, [&](RecordBatch&& rows) {
    Batch batch{{}, {}, AccumulatorTable(layout_ == nullptr ? &none : layout_), rows.num_rows, {}};
    const auto space = rows.columns.begin() + static_cast<std::ptrdiff_t>(key_count_);
    batch.keys.assign(rows.columns.begin(), space);
    const auto content = space + static_cast<std::ptrdiff_t>(space_.size());
    for (auto column = space; column != content; ++column) {
      batch.space.push_back(widened<int64_t>(*column));
    }
    const auto others = rows.columns.end() - static_cast<std::ptrdiff_t>(other_count_);
    if (layout_ != nullptr) batch.table.restore(std::vector<Array>(content, others), rows.num_rows);
    batch.others.assign(others, rows.columns.end());
    visit(batch);
  });
}

std::vector<uint32_t> KeyedStateTable::Batch::ids(state::KeyDictionary* dictionary) const {
  std::vector<const Array*> columns;
  for (const Array& key : keys) columns.push_back(&key);
  std::vector<uint32_t> found(static_cast<size_t>(rows));
  dictionary->find_or_insert(columns, rows, found.data());
  return found;
}

void write_keys(state::StateWriter* writer, const StateKey& key, const state::KeyDictionary& keys) {
  const uint32_t first = key.fields.size() > 1 ? 1 : 0;  // see KeyDictionary
  KeyedStateTable::Rows rows;
  rows.keys.resize(keys.size() - first);
  std::iota(rows.keys.begin(), rows.keys.end(), first);
  rows.slots.resize(rows.keys.size());
  const KeyedStateTable table("keys", key, {}, nullptr);
  table.begin(writer);
  table.write(writer, keys, rows, nullptr);
}

void read_keys(const state::StateReader& reader, const StateKey& key, state::KeyGroupRange range,
               state::KeyDictionary* keys) {
  const KeyedStateTable table("keys", key, {}, nullptr);
  for (size_t part = 0; part < reader.parts(); ++part) {
    table.read(reader, part, range, [&](const KeyedStateTable::Batch& batch) { batch.ids(keys); });
  }
}

void merge_batch(const KeyedStateTable::Batch& batch, int64_t begin, int64_t count,
                 const uint32_t* ids, uint32_t universe, AccumulatorTable* table) {
  table->prepare(universe, AccumulatorTable::is_worth_dense(count, universe));
  std::vector<uint32_t> sources(static_cast<size_t>(count));
  std::iota(sources.begin(), sources.end(), static_cast<uint32_t>(begin));
  std::vector<uint32_t> scratch(static_cast<size_t>(count));
  const uint32_t* slots = table->slots(ids + begin, count, scratch.data());
  table->merge_slots(batch.table, slots, sources.data(), count);
}

void for_each_run(const KeyedStateTable::Batch& batch,
                  const std::function<void(int64_t, int64_t)>& visit) {
  const auto agree = [&](int64_t a, int64_t b) {
    return std::all_of(batch.space.begin(), batch.space.end(), [&](const auto& column) {
      return column[static_cast<size_t>(a)] == column[static_cast<size_t>(b)];
    });
  };
  for (int64_t begin = 0; begin < batch.rows;) {
    int64_t end = begin + 1;
    while (end < batch.rows && agree(begin, end)) ++end;
    visit(begin, end - begin);
    begin = end;
  }
}

}  // namespace pystream::windows
