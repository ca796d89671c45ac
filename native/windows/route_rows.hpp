#pragma once
// Decides for each row of a batch where it is accumulated: the late split.

#include <compare>
#include <cstdint>
#include <map>
#include <vector>

#include "windows/slicing.hpp"

namespace pystream::windows {

inline constexpr int64_t kAllWindows = INT64_MIN;

// A slice, and the first of its windows that still takes the row: kAllWindows when the row is on
// time for all of them, as almost all rows are.
struct Route {
  int64_t slice = 0;
  int64_t from_window = kAllWindows;

  auto operator<=>(const Route&) const = default;
};

// The watermark in force when row i arrived: per_row[i], or `all`.
struct WatermarkView {
  int64_t all = kMinWatermark;
  const int64_t* per_row = nullptr;

  int64_t operator[](int64_t i) const { return per_row == nullptr ? all : per_row[i]; }
};

struct TimeRange {
  int64_t lowest = 0;
  int64_t highest = 0;
};

// Owned by one thread of the operator; route() replaces the result of the call before.
class RowRouter {
 public:
  // Rows of the batch that share a route, in their order: rows [begin, begin + count), or those
  // that order()[begin, begin + count) lists.
  struct Group {
    Route route;
    int64_t begin = 0;
    int64_t count = 0;
  };

  RowRouter(const Slicing* slicing, int64_t lateness) : slicing_(slicing), lateness_(lateness) {}

  // Times are in `range`, which is within the slicing's range. Rows that enter no window are
  // appended to `late`; with lateness, those that are behind a window and enter one to `behind`.
  // Neither is in a group.
  void route(const int64_t* times, int64_t rows, TimeRange range, const WatermarkView& watermarks,
             std::vector<int32_t>* late, std::vector<int32_t>* behind);

  const std::vector<Group>& groups() const { return groups_; }
  const int32_t* order() const { return is_ordered_ ? order_.data() : nullptr; }

 private:
  // What all rows of one slice share while they are on time.
  struct OnTime {
    int64_t begin = 0;
    uint64_t length = 0;
    int64_t watermark_limit = kMinWatermark;  // on time for all windows below it
    uint32_t route = 0;
  };

  bool route_as_one(int64_t rows, TimeRange range, const WatermarkView& watermarks);
  uint32_t find_route(int64_t time, int64_t watermark);
  uint32_t number_of(const Route& route);
  void group_runs(int64_t rows);
  void group_sorted(int64_t rows);

  const Slicing* slicing_;
  int64_t lateness_;
  OnTime current_;  // of the row before
  OnTime other_;    // of the slice before that: rows around an edge alternate
  std::vector<Route> routes_;
  std::map<Route, uint32_t> numbers_;
  std::vector<uint32_t> row_routes_;
  std::vector<int64_t> run_begins_;
  std::vector<Group> groups_;
  bool is_ordered_ = false;
  std::vector<int32_t> order_;
  std::vector<int64_t> ends_;
};

}  // namespace pystream::windows
