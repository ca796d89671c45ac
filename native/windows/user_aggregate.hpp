#pragma once
// An aggregate function of the user's, as the core sees it: it calls for rows to be added to
// accumulators, for accumulators to be merged, and for results. What answers is outside of the
// core.
//
// Accumulators are columns of a fixed width, or objects that the core keeps without knowing them.
// They always travel as a group of their own: what an answer holds on to, or changes afterwards, is
// no memory of the core's state.
//
// Shared by the operators of a graph; calls come from one thread at a time.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "columns/array.hpp"

namespace pystream::windows {

// A column of accumulators.
struct UserColumn {
  std::string name;
  DataType type;                 // of a fixed width; bool is a byte
  std::vector<uint8_t> initial;  // of an accumulator without rows: one value

  int64_t width() const { return static_cast<int64_t>(initial.size()); }
};

// Accumulators: either one value per column each, or one object each, null for one without rows.
struct UserStates {
  int64_t count = 0;
  std::vector<std::vector<uint8_t>> columns;
  std::vector<std::shared_ptr<const void>> objects;
};

// What went wrong in the user's function, and with which accumulator, where that is known.
class UserAggregateError : public Error {
 public:
  UserAggregateError(ErrorCode code, const std::string& message, int64_t at)
      : Error(code, message), at_(at) {}

  // Index of UserStates, in words of the caller: of results, of groups; -1 where it is not known.
  int64_t at() const { return at_; }

 private:
  int64_t at_;
};

class UserAggregate {
 public:
  UserAggregate(std::vector<UserColumn> columns, DataType result_type)
      : columns_(std::move(columns)), result_type_(std::move(result_type)) {}
  virtual ~UserAggregate() = default;
  UserAggregate(const UserAggregate&) = delete;
  UserAggregate& operator=(const UserAggregate&) = delete;

  // None: accumulators are objects.
  const std::vector<UserColumn>& columns() const { return columns_; }
  const DataType& result_type() const { return result_type_; }

  // Adds row i of the arguments, none of which is null, to accumulator groups[i], in the order of
  // rows. Every accumulator gets a row. An object is changed in place only where nothing else
  // refers to it. Throws UserAggregateError, as the others do.
  virtual void add(UserStates* states, std::span<const uint32_t> groups,
                   std::span<const Array> arguments) const = 0;

  // Accumulator i takes accumulator i of `others`, which comes after it and stays as it is.
  virtual void merge(UserStates* states, const UserStates& others) const = 0;

  // A value of result_type() for each.
  virtual Array results(const UserStates& states) const = 0;

  // Objects as a column of binary, null for null, and back. Throws UserAggregateError, which names
  // the function, where an object cannot be written.
  virtual Array write_objects(const UserStates& states) const;
  virtual UserStates read_objects(const Array& column) const;

 private:
  std::vector<UserColumn> columns_;
  DataType result_type_;
};

}  // namespace pystream::windows
