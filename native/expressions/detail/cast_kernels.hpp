#pragma once
// One cast as a function of a column.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "expressions/detail/families.hpp"
#include "expressions/detail/time_text.hpp"

namespace pystream::expressions::detail {

// The rows whose value the target does not hold.
class CastFailures {
 public:
  // `text` is the cast as the user would write it.
  CastFailures(const std::string& text, OnFailure on_failure)
      : text_(text), on_failure_(on_failure) {}

  // Notes a row, ascending, which becomes null; false when it is an error, for the caller to throw.
  bool become_null(int64_t row) {
    if (on_failure_ == OnFailure::kError) return false;
    rows_.push_back(row);
    return true;
  }
  const std::string& text() const { return text_; }
  const std::vector<int64_t>& rows() const { return rows_; }

 private:
  const std::string& text_;
  OnFailure on_failure_;
  std::vector<int64_t> rows_;
};

// Converts a column. What it gives for the rows that failed, which are no nulls yet, is arbitrary;
// throws kOperator on the first of them where they are errors.
using CastKernel = std::function<Array(const Array& in, CastFailures& failures)>;

// Between numbers (no decimals as target), bool and times; empty when there is no such cast.
CastKernel find_number_cast(const DataType& from, const DataType& to);
CastKernel find_time_cast(const DataType& from, const DataType& to);
// To decimals; empty when there is no such cast.
CastKernel find_decimal_cast(const DataType& from, const DataType& to);
// From or to string and binary; empty when there is no such cast.
CastKernel find_text_cast(const DataType& from, const DataType& to);

// From string to a timestamp or date, by whatever reads one text.
using TimeParser = std::function<std::optional<TimePoint>(std::string_view)>;
CastKernel parse_times_kernel(const DataType& to, TimeParser parse);

// The node of a cast; a constant is converted here and now, and throws kSchema.
NodePtr make_cast(NodePtr child, const DataType& target, CastKernel kernel, OnFailure on_failure,
                  std::string text);

[[noreturn]] void throw_cast_error(const std::string& text, int64_t row, const std::string& value,
                                   const DataType& target);

}  // namespace pystream::expressions::detail
