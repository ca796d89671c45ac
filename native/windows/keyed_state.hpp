#pragma once
// Rows of keyed state between an operator and its snapshots: the key, where in the key's state the
// row belongs (the namespace: bounds of a window, the number of a slice, counters), and, where the
// table has them, accumulators.
//
// Used for the length of one snapshot or restore.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "state/key_dictionary.hpp"
#include "state/snapshot.hpp"
#include "windows/accumulator_table.hpp"

namespace pystream::windows {

// The key columns of keyed tables.
struct StateKey {
  std::vector<Field> fields;  // "key.NAME" for each key column

  static StateKey of(std::span<const int> key_columns, const Schema& input);
};

class KeyedStateTable {
 public:
  // `space`: the columns of the namespace, in a snapshot of the type given, here as int64 (a null
  // and a bool are 0). `layout`: of the accumulators, if it has any. `others`: columns behind them,
  // that are left as they are.
  KeyedStateTable(std::string name, const StateKey& key, std::vector<Field> space,
                  const AccumulatorLayout* layout, std::vector<Field> others = {});

  // Rows that are to be written: of each the id of its key, its namespace by column, and its slot.
  struct Rows {
    std::vector<uint32_t> keys;
    std::vector<std::vector<int64_t>> space;
    std::vector<uint32_t> slots;

    void add(uint32_t key, std::initializer_list<int64_t> place, uint32_t slot = 0);
    bool empty() const { return keys.empty(); }
  };
  // Of some slots.
  using OtherColumns = std::function<std::vector<Array>(std::span<const uint32_t>)>;
  void begin(state::StateWriter* writer) const { writer->begin_keyed(name_, fields_); }
  // To the table begun last. `table` and `others` where the table has them.
  void write(state::StateWriter* writer, const state::KeyDictionary& keys, const Rows& rows,
             const AccumulatorTable* table, const OtherColumns& others = {}) const;

  // Rows that were read. Accumulators are in the slot of the row's number.
  struct Batch {
    std::vector<Array> keys;
    std::vector<std::vector<int64_t>> space;
    AccumulatorTable table;
    int64_t rows;
    std::vector<Array> others;

    // Their ids in a dictionary, which gets those that it does not know.
    std::vector<uint32_t> ids(state::KeyDictionary* keys) const;
  };
  void read(const state::StateReader& reader, size_t part, state::KeyGroupRange range,
            const std::function<void(const Batch&)>& visit) const;

 private:
  void write_rows(state::StateWriter* writer, const state::KeyDictionary& keys, const Rows& rows,
                  const AccumulatorTable* table, const OtherColumns& others, size_t begin,
                  size_t end) const;

  std::string name_;
  size_t key_count_;
  std::vector<Field> space_;
  const AccumulatorLayout* layout_;
  size_t other_count_;
  std::vector<Field> fields_;
};

// All keys in one table "keys", those without rows too (of a single column, null in any case): so
// the keys of a restored operator are in the order that they had. Reading adds them to a
// dictionary, one part behind the other.
void write_keys(state::StateWriter* writer, const StateKey& key, const state::KeyDictionary& keys);
void read_keys(const state::StateReader& reader, const StateKey& key, state::KeyGroupRange range,
               state::KeyDictionary* keys);

// Merges the rows of a batch, `count` from `begin` on, into the slots of `ids` in a table whose ids
// are < universe.
void merge_batch(const KeyedStateTable::Batch& batch, int64_t begin, int64_t count,
                 const uint32_t* ids, uint32_t universe, AccumulatorTable* table);

// Calls visit(begin, count) for each run of rows whose places agree.
void for_each_run(const KeyedStateTable::Batch& batch,
                  const std::function<void(int64_t, int64_t)>& visit);

}  // namespace pystream::windows
