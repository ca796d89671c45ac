// Case and coalesce: a row takes one of several values. A part is evaluated only over the rows that
// ask for it, as in SQL, so that it cannot fail in others.

#include <numeric>

#include "expressions/detail/bitmap_words.hpp"
#include "expressions/detail/families.hpp"
#include "expressions/detail/literal.hpp"

namespace pystream::expressions::detail {
namespace {

using Rows = std::vector<int32_t>;

// `part` over some rows of `batch`, ascending; one value per row of these.
Array evaluate_at(const Part& part, const Input& batch, const Rows& rows) {
  const auto count = static_cast<int64_t>(rows.size());
  if (count == batch.num_rows) return part.node->evaluate(batch);
  RecordBatch some{batch.schema, count, std::vector<Array>(batch.columns.size())};
  for (const int column : part.columns) {
    const auto i = static_cast<size_t>(column);
    some.columns[i] = take(batch.columns[i], rows);
  }
  try {
    return part.node->evaluate(some);
  } catch (const RowError& error) {
    throw error.at_row(rows[static_cast<size_t>(error.row())]);
  }
}

// Moves the rows where `condition`, which has a value for each of `rows`, is true to `taken`.
void split(const Array& condition, Rows* rows, Rows* taken) {
  select_true(condition, taken);
  size_t next = 0;
  size_t left = 0;
  for (size_t i = 0; i < rows->size(); ++i) {
    const int32_t row = (*rows)[i];
    if (next < taken->size() && static_cast<size_t>((*taken)[next]) == i) {
      (*taken)[next++] = row;
    } else {
      (*rows)[left++] = row;
    }
  }
  rows->resize(left);
}

// Puts a column together from values for some of its rows at a time.
class Assembly {
 public:
  Assembly(DataType type, int64_t rows)
      : type_(std::move(type)), index_(static_cast<size_t>(rows)) {}

  // One value for each of `rows`.
  void add(Array values, const Rows& rows) {
    for (size_t i = 0; i < rows.size(); ++i) index_[at(rows[i])] = size_ + static_cast<int32_t>(i);
    append(std::move(values));
    only_constants_ = false;
  }

  void add(const Constant& value, const Rows& rows) {
    for (const int32_t row : rows) index_[at(row)] = size_;
    append(repeat_constant(value, type_, 1));
  }

  Array finish() {
    if (index_.empty()) return make_nulls(type_, 0);
    const Array pool = concat(pool_);
    if (!only_constants_ && pool_.size() == 1) return pool;  // all rows, in order
    return only_constants_ && type_.is_var_binary() ? encoded(pool) : take(pool, index_);
  }

 private:
  static size_t at(int32_t row) { return static_cast<size_t>(row); }

  void append(Array values) {
    // string and dictionary<string> may meet.
    values.type = type_;
    size_ += static_cast<int32_t>(values.length);
    pool_.push_back(std::move(values));
  }

  // The constants are the dictionary; a null among them is an entry that only null rows have.
  Array encoded(const Array& pool) const {
    const auto rows = static_cast<int64_t>(index_.size());
    Array entries = decode_dictionary(pool);
    Validity validity;
    if (entries.null_count > 0) {
      validity = make_validity(rows, [&](int64_t word) {
        uint64_t bits = 0;
        const int64_t begin = word * 64;
        const int64_t end = std::min(begin + 64, rows);
        for (int64_t i = begin; i < end; ++i) {
          bits |= static_cast<uint64_t>(entries.is_valid(index_[static_cast<size_t>(i)]))
                  << (i - begin);
        }
        return bits;
      });
    }
    entries.type.is_dictionary = false;
    entries.validity = {};
    entries.null_count = 0;
    MutableBuffer codes;
    codes.append(index_.data(), rows * static_cast<int64_t>(sizeof(int32_t)));
    Array result = fixed_array(type_, rows, codes.freeze(), std::move(validity));
    result.dictionary = std::make_shared<Array>(std::move(entries));
    return result;
  }

  DataType type_;
  std::vector<Array> pool_;
  int32_t size_ = 0;            // rows in the pool: one per row of the result, and the constants
  std::vector<int32_t> index_;  // of the value in the pool, per row
  bool only_constants_ = true;
};

Rows all_rows(const Input& batch) {
  Rows rows(static_cast<size_t>(batch.num_rows));
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

// Values for `rows`, each of which takes `part`.
void take_part(const Part& part, const Input& batch, const Rows& rows, Assembly* out) {
  if (rows.empty()) return;
  if (const Constant* constant = part.node->constant()) {
    out->add(*constant, rows);
  } else {
    out->add(evaluate_at(part, batch, rows), rows);
  }
}

class CaseNode final : public Node {
 public:
  // A condition for each value but the last.
  CaseNode(DataType type, bool nullable, std::vector<Part> conditions, std::vector<Part> values,
           std::string text)
      : Node(std::move(type), nullable, std::move(text)),
        conditions_(std::move(conditions)),
        values_(std::move(values)) {}

  Array compute(const Input& batch) const override {
    Assembly out(type(), batch.num_rows);
    Rows rows = all_rows(batch);
    Rows taken;
    for (size_t i = 0; i < conditions_.size() && !rows.empty(); ++i) {
      split(evaluate_at(conditions_[i], batch, rows), &rows, &taken);
      take_part(values_[i], batch, taken, &out);
    }
    take_part(values_.back(), batch, rows, &out);
    return out.finish();
  }

 private:
  std::vector<Part> conditions_;
  std::vector<Part> values_;
};

class CoalesceNode final : public Node {
 public:
  CoalesceNode(DataType type, bool nullable, std::vector<Part> parts, std::string text)
      : Node(std::move(type), nullable, std::move(text)), parts_(std::move(parts)) {}

  Array compute(const Input& batch) const override {
    Assembly out(type(), batch.num_rows);
    Rows rows = all_rows(batch);
    for (size_t i = 0; i + 1 < parts_.size() && !rows.empty(); ++i) {
      add_valid(evaluate_at(parts_[i], batch, rows), &rows, &out);
    }
    take_part(parts_.back(), batch, rows, &out);
    return out.finish();
  }

 private:
  // Leaves the null ones in `rows`.
  static void add_valid(const Array& values, Rows* rows, Assembly* out) {
    if (values.null_count == 0) {
      out->add(values, *rows);
      rows->clear();
      return;
    }
    const Array is_valid = bool_array(values.length, values.validity, {});
    Rows positions;
    select_true(is_valid, &positions);
    Rows taken;
    split(is_valid, rows, &taken);
    if (!taken.empty()) out->add(take(values, positions), taken);
  }

  std::vector<Part> parts_;
};

// The one type of all values: that of the first which has one of its own, else of the first
// literal.
DataType common_type(const std::vector<PartOperand>& values) {
  const Operand* first = &values.front().operand;
  for (const PartOperand& value : values) {
    if (value.operand.node) return value.operand.node->type();
    if (is_null_literal(*first->literal)) first = &value.operand;
  }
  return natural_type(*first->literal);
}

std::vector<Part> bind_values(std::vector<PartOperand> values, const DataType& type,
                              const std::string& text) {
  const Operand* first = nullptr;
  std::vector<Part> parts;
  for (PartOperand& value : values) {
    Operand& operand = value.operand;
    if (operand.literal) {
      operand.node = literal_as(*operand.literal, type, text);
    } else if (first == nullptr) {
      first = &operand;
    }
    if (!is_same_kind(type, operand.node->type())) {
      throw_type_error(text,
                       "its values are of different types: " + first->node->text() + " is " +
                           type.to_string() + " and " + operand.node->text() + " is " +
                           operand.node->type().to_string(),
                       "Cast one side to the type of the other");
    }
    parts.push_back({operand.node, std::move(value.columns)});
  }
  return parts;
}

}  // namespace

std::vector<Part> bind_alike(std::vector<PartOperand> values, const std::string& text,
                             DataType* type) {
  *type = common_type(values);
  return bind_values(std::move(values), *type, text);
}

NodePtr bind_case(std::vector<Part> conditions, std::vector<PartOperand> values, std::string text) {
  for (const Part& condition : conditions) {
    if (condition.node->type().is_bool()) continue;
    throw_type_error(text,
                     "when takes bool, but " + condition.node->text() + " is " +
                         condition.node->type().to_string(),
                     "Compare first, for example when(col(\"n\") > 0)");
  }
  const DataType type = common_type(values);
  std::vector<Part> parts = bind_values(std::move(values), type, text);
  if (parts.size() == conditions.size()) {
    parts.push_back({make_constant(type, {}, "None"), {}});
  }
  const bool nullable = std::any_of(parts.begin(), parts.end(),
                                    [](const Part& part) { return part.node->nullable(); });
  return std::make_shared<CaseNode>(type, nullable, std::move(conditions), std::move(parts),
                                    std::move(text));
}

NodePtr bind_coalesce(std::vector<PartOperand> values, std::string text) {
  const DataType type = common_type(values);
  std::vector<Part> parts = bind_values(std::move(values), type, text);
  const bool nullable = std::all_of(parts.begin(), parts.end(),
                                    [](const Part& part) { return part.node->nullable(); });
  return std::make_shared<CoalesceNode>(type, nullable, std::move(parts), std::move(text));
}

}  // namespace pystream::expressions::detail
