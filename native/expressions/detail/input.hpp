#pragma once
// A batch, or some rows of one, on its way through the nodes of an expression, and what those have
// computed of it that stand in several places.
//
// Choices evaluate their parts for some rows at a time. Columns of these are taken from the batch
// when a node asks for them, and what a shared node has given for more rows is taken from that: a
// part is computed for no row twice, where it is needed for the rows together first.
//
// One thread; lives as long as one evaluation.

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "columns/record_batch.hpp"

namespace pystream::expressions::detail {

class Node;

class Input {
 public:
  using Rows = std::vector<int32_t>;

  explicit Input(const RecordBatch& batch)
      : schema(batch.schema), num_rows(batch.num_rows), batch_(batch) {}
  // Of rows of `of`, which outlives it; ascending, as rows_of_batch() gives them.
  Input(const Input& of, Rows rows)
      : schema(of.schema),
        num_rows(static_cast<int64_t>(rows.size())),
        batch_(of.batch_),
        of_(&of),
        rows_(std::move(rows)) {}
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  const SchemaPtr& schema;
  const int64_t num_rows;

  // The array stays valid as long as the input.
  const Array& column(size_t index) const;
  // What a shared node has given for these rows or for more; nullptr: nothing yet.
  const Array* find(const Node* node) const;
  const Array& keep(const Node* node, Array values) const;

  // The rows of the batch that rows of this are.
  Rows rows_of_batch(const Rows& rows) const;

 private:
  // Where rows of this stand among those of `of`.
  Rows places_in(const Input& of) const;

  const RecordBatch& batch_;
  const Input* of_ = nullptr;
  Rows rows_;  // of the batch; of all of them: empty, and of_ is null
  mutable std::unordered_map<size_t, Array> columns_;
  mutable std::unordered_map<const Node*, Array> shared_;
};

}  // namespace pystream::expressions::detail
