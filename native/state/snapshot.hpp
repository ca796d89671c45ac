#pragma once
// The one interface through which an operator's state leaves it and comes back: named tables of
// plain Arrow columns, which any Arrow tool can open. Columns and names: docs/formats/state.md.
//
// Keyed tables begin with the key group of each row, and can be split by it. What belongs to no key
// (the watermark, counters) stands in one row of the table "operator", beside what the state is of:
// the kind of operator and the layout of its state, in words; or in plain tables, which are never
// split. A snapshot is of one moment at which the operator rests, between two rounds.
//
// An operator writes one Snapshot; it is restored from one, or from several that were taken at the
// same moment by instances that had different key groups, and takes the rows of its own key groups.

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "columns/record_batch.hpp"
#include "state/key_groups.hpp"

namespace pystream::state {

inline constexpr int32_t kStateFormatVersion = 1;
inline constexpr const char* kOperatorTable = "operator";

struct StateTable {
  std::string name;
  SchemaPtr schema;
  std::vector<RecordBatch> batches;
};

// The state of one operator, or of its instance. Plain data.
struct Snapshot {
  std::vector<StateTable> tables;

  // Throws kCheckpoint when there is none of that name.
  const StateTable& table(const std::string& name) const;
};

// The rows of some key groups; tables without key groups stay whole.
Snapshot select(const Snapshot& snapshot, KeyGroupRange range);

// Written by one operator; one thread.
class StateWriter {
 public:
  // Throws kConfig unless 1 <= max_parallelism <= kMostParallelism.
  explicit StateWriter(int max_parallelism = kDefaultMaxParallelism);

  int max_parallelism() const { return max_parallelism_; }

  // What the state is of: equal words mean that it can be restored.
  void set_operator(std::string kind, std::string layout);
  void set_fact(std::string name, int64_t value) { facts_.emplace_back(std::move(name), value); }

  // Tables appear also when nothing is appended to them. `fields` are those behind the key group,
  // keys first.
  void begin_keyed(std::string table, const std::vector<Field>& fields);
  // To the table begun last: a column for each field, of which the first `keys` are the key.
  void append_keyed(std::vector<Array> columns, size_t keys, int64_t rows);

  // A table that belongs to no key: see plain_table.hpp.
  void add_plain(std::string table, RecordBatch rows);

  // Call once, at the end.
  Snapshot finish();

 private:
  int max_parallelism_;
  std::string kind_;
  std::string layout_;
  std::vector<std::pair<std::string, int64_t>> facts_;
  std::vector<StateTable> tables_;
};

// Reads snapshots of instances of one operator, of one moment; holds references to their buffers.
class StateReader {
 public:
  // Throws kCheckpoint when they do not fit together, or are of a newer format; kConfig when there
  // is none.
  explicit StateReader(std::vector<Snapshot> parts);

  size_t parts() const { return parts_.size(); }
  int max_parallelism() const { return max_parallelism_; }

  // Throws kCheckpoint, naming both, when the state is of another kind of operator or layout.
  void check_operator(const std::string& kind, const std::string& layout) const;

  // Of all parts alike: throws kCheckpoint, with both values, when they are of different moments.
  int64_t fact(const std::string& name) const;
  // Of one part, and the highest of all.
  int64_t fact(size_t part, const std::string& name) const;
  int64_t highest_fact(const std::string& name) const;

  // Of the first part, for all have the same.
  const StateTable& plain_table(const std::string& name) const { return parts_[0].table(name); }

  // Calls visit(batch) with the rows of a keyed table that are in the range; without the key group.
  // Throws kCheckpoint unless the table has those fields.
  void for_each(size_t part, const std::string& table, const std::vector<Field>& fields,
                KeyGroupRange range, const std::function<void(RecordBatch&&)>& visit) const;

 private:
  std::string text(size_t part, const std::string& name) const;

  std::vector<Snapshot> parts_;
  int max_parallelism_ = 0;
};

}  // namespace pystream::state
