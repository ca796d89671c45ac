// Case and coalesce: a row takes one of several values. A part is evaluated only over the rows that
// ask for it, as in SQL, so that it cannot fail in others.

#include <forward_list>
#include <numeric>

#include "expressions/detail/bitmap_words.hpp"
#include "expressions/detail/families.hpp"
#include "expressions/detail/literal.hpp"

namespace pystream::expressions::detail {
namespace {

using Rows = Input::Rows;

// The rows of a batch that no part has given a value yet, and what has been computed of them.
class Remaining {
 public:
  explicit Remaining(const Input& batch)
      : batch_(batch), at_(&batch), rows_(static_cast<size_t>(batch.num_rows)) {
    std::iota(rows_.begin(), rows_.end(), 0);
  }

  Rows& rows() { return rows_; }

  // `part` over all of them; one value per row of these.
  Array evaluate(const Node& part) {
    if (rows_.size() != static_cast<size_t>(at_->num_rows)) {
      narrowed_.emplace_front(*at_, batch_.rows_of_batch(rows_));
      at_ = &narrowed_.front();
    }
    return evaluate_in(part, *at_, rows_);
  }
  // Over `some` of those for which a part was evaluated last; ascending.
  Array evaluate(const Node& part, const Rows& some) const {
    if (some.size() == static_cast<size_t>(at_->num_rows)) return evaluate_in(part, *at_, some);
    return evaluate_in(part, Input(*at_, batch_.rows_of_batch(some)), some);
  }

 private:
  static Array evaluate_in(const Node& part, const Input& input, const Rows& rows) {
    try {
      return part.evaluate(input);
    } catch (const RowError& error) {
      throw error.at_row(rows[static_cast<size_t>(error.row())]);
    }
  }

  const Input& batch_;
  const Input* at_;
  std::forward_list<Input> narrowed_;
  Rows rows_;  // ascending
};

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

// Values for `rows`, each of which takes `part`.
void take_part(const Node& part, const Remaining& remaining, const Rows& rows, Assembly* out) {
  if (rows.empty()) return;
  if (const Constant* constant = part.constant()) {
    out->add(*constant, rows);
  } else {
    out->add(remaining.evaluate(part, rows), rows);
  }
}

class CaseNode final : public Node {
 public:
  // A condition for each value but the last.
  CaseNode(DataType type, bool nullable, std::vector<NodePtr> conditions,
           std::vector<NodePtr> values, std::string text)
      : Node(std::move(type), nullable, std::move(text)),
        conditions_(std::move(conditions)),
        values_(std::move(values)) {}

  Array compute(const Input& batch) const override {
    Assembly out(type(), batch.num_rows);
    Remaining remaining(batch);
    Rows taken;
    for (size_t i = 0; i < conditions_.size() && !remaining.rows().empty(); ++i) {
      split(remaining.evaluate(*conditions_[i]), &remaining.rows(), &taken);
      take_part(*values_[i], remaining, taken, &out);
    }
    take_part(*values_.back(), remaining, remaining.rows(), &out);
    return out.finish();
  }

 private:
  std::vector<NodePtr> conditions_;
  std::vector<NodePtr> values_;
};

class CoalesceNode final : public Node {
 public:
  CoalesceNode(DataType type, bool nullable, std::vector<NodePtr> parts, std::string text)
      : Node(std::move(type), nullable, std::move(text)), parts_(std::move(parts)) {}

  Array compute(const Input& batch) const override {
    Assembly out(type(), batch.num_rows);
    Remaining remaining(batch);
    for (size_t i = 0; i + 1 < parts_.size() && !remaining.rows().empty(); ++i) {
      add_valid(remaining.evaluate(*parts_[i]), &remaining.rows(), &out);
    }
    take_part(*parts_.back(), remaining, remaining.rows(), &out);
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

  std::vector<NodePtr> parts_;
};

// The one type of all values: that of the first which has one of its own, else of the first
// literal.
DataType common_type(const std::vector<Operand>& values) {
  const Operand* first = &values.front();
  for (const Operand& value : values) {
    if (value.node) return value.node->type();
    if (is_null_literal(*first->literal)) first = &value;
  }
  return natural_type(*first->literal);
}

std::vector<NodePtr> bind_values(std::vector<Operand> values, const DataType& type,
                                 const std::string& text) {
  const Operand* first = nullptr;
  std::vector<NodePtr> parts;
  for (Operand& operand : values) {
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
    parts.push_back(operand.node);
  }
  return parts;
}

}  // namespace

std::vector<NodePtr> bind_alike(std::vector<Operand> values, const std::string& text,
                                DataType* type) {
  *type = common_type(values);
  return bind_values(std::move(values), *type, text);
}

NodePtr bind_case(std::vector<NodePtr> conditions, std::vector<Operand> values, std::string text) {
  for (const NodePtr& condition : conditions) {
    if (condition->type().is_bool()) continue;
    throw_type_error(
        text, "when takes bool, but " + condition->text() + " is " + condition->type().to_string(),
        "Compare first, for example when(col(\"n\") > 0)");
  }
  const DataType type = common_type(values);
  std::vector<NodePtr> parts = bind_values(std::move(values), type, text);
  if (parts.size() == conditions.size()) {
    parts.push_back(make_constant(type, {}, "None"));
  }
  const bool nullable =
      std::any_of(parts.begin(), parts.end(), [](const NodePtr& part) { return part->nullable(); });
  return std::make_shared<CaseNode>(type, nullable, std::move(conditions), std::move(parts),
                                    std::move(text));
}

NodePtr bind_coalesce(std::vector<Operand> values, std::string text) {
  const DataType type = common_type(values);
  std::vector<NodePtr> parts = bind_values(std::move(values), type, text);
  const bool nullable =
      std::all_of(parts.begin(), parts.end(), [](const NodePtr& part) { return part->nullable(); });
  return std::make_shared<CoalesceNode>(type, nullable, std::move(parts), std::move(text));
}

}  // namespace pystream::expressions::detail
