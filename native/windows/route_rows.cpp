#include "windows/route_rows.hpp"

#include <algorithm>
#include <utility>

namespace pystream::windows {

namespace {

constexpr uint32_t kLate = UINT32_MAX;
constexpr uint32_t kBehind = kLate - 1;
constexpr uint32_t kNowhere = kBehind - 1;  // between windows; from here on, no route
// Runs shorter than this on average are not worth a kernel call each: rows are sorted by route.
constexpr int64_t kRunRows = 64;
// Up to so many routes a scan finds one faster than a tree.
constexpr size_t kScanRoutes = 8;

}  // namespace

void RowRouter::route(const int64_t* times, int64_t rows, TimeRange range,
                      const WatermarkView& watermarks, std::vector<int32_t>* late,
                      std::vector<int32_t>* behind) {
  if (route_as_one(rows, range, watermarks)) return;
  current_ = OnTime{};
  other_ = OnTime{};
  routes_.clear();
  numbers_.clear();
  run_begins_.clear();
  row_routes_.resize(static_cast<size_t>(rows));
  uint32_t* row_routes = row_routes_.data();
  const auto max_runs = static_cast<size_t>(rows / kRunRows + 4);
  uint32_t before = kLate;
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t time = times[i];
    const int64_t watermark = watermarks[i];
    uint32_t route = current_.route;
    // Unsigned: a time before the slice wraps around to far behind its end.
    const bool is_same =
        static_cast<uint64_t>(time) - static_cast<uint64_t>(current_.begin) < current_.length &&
        watermark < current_.watermark_limit;
    if (!is_same) route = find_route(time, watermark);
    row_routes[i] = route;
    if (route >= kNowhere) {
      if (route == kLate) late->push_back(static_cast<int32_t>(i));
      if (route == kBehind) behind->push_back(static_cast<int32_t>(i));
    }
    if ((route != before || i == 0) && run_begins_.size() <= max_runs) run_begins_.push_back(i);
    before = route;
  }
  if (run_begins_.size() <= max_runs) {
    group_runs(rows);
  } else {
    group_sorted(rows);
  }
}

// The usual batch lies in one slice and is on time.
bool RowRouter::route_as_one(int64_t rows, TimeRange range, const WatermarkView& watermarks) {
  const int64_t slice = slicing_->slice_of(range.lowest);
  if (slicing_->slice_of(range.highest) != slice || slicing_->is_gap(slice)) return false;
  int64_t latest = watermarks[0];
  if (watermarks.per_row != nullptr) {
    for (int64_t i = 1; i < rows; ++i) latest = std::max(latest, watermarks.per_row[i]);
  }
  if (latest >= slicing_->window_end(slicing_->first_window(slice)) - 1) return false;
  is_ordered_ = false;
  groups_.assign(1, {{slice, kAllWindows}, 0, rows});
  return true;
}

uint32_t RowRouter::find_route(int64_t time, int64_t watermark) {
  std::swap(current_, other_);
  if (static_cast<uint64_t>(time) - static_cast<uint64_t>(current_.begin) < current_.length &&
      watermark < current_.watermark_limit) {
    return current_.route;
  }
  current_ = OnTime{};
  const int64_t slice = slicing_->slice_of(time);
  if (slicing_->is_gap(slice)) {
    return Slicing::is_late_in_gap(time, watermark, lateness_) ? kLate : kNowhere;
  }
  const int64_t last_open_watermark = slicing_->window_end(slicing_->first_window(slice)) - 1;
  if (watermark < last_open_watermark) {
    const SliceBounds bounds = slicing_->bounds(slice);
    current_ = {bounds.begin, static_cast<uint64_t>(bounds.length), last_open_watermark,
                number_of({slice, kAllWindows})};
    return current_.route;
  }
  // Dropped from each window that the watermark has closed for good; late when that is all of them.
  const int64_t closed = slicing_->last_cleaned_window(watermark, lateness_);
  if (closed >= slicing_->last_window(slice)) return kLate;
  if (lateness_ > 0) return kBehind;
  return number_of({slice, closed + 1});
}

uint32_t RowRouter::number_of(const Route& route) {
  if (routes_.size() <= kScanRoutes) {
    const auto found = std::find(routes_.begin(), routes_.end(), route);
    if (found != routes_.end()) return static_cast<uint32_t>(found - routes_.begin());
  } else if (numbers_.empty()) {
    for (uint32_t number = 0; number < routes_.size(); ++number) {
      numbers_.emplace(routes_[number], number);
    }
  }
  const auto number = static_cast<uint32_t>(routes_.size());
  if (numbers_.empty()) {
    routes_.push_back(route);
    return number;
  }
  const auto [entry, is_new] = numbers_.emplace(route, number);
  if (is_new) routes_.push_back(route);
  return entry->second;
}

void RowRouter::group_runs(int64_t rows) {
  is_ordered_ = false;
  groups_.clear();
  for (size_t run = 0; run < run_begins_.size(); ++run) {
    const int64_t begin = run_begins_[run];
    const int64_t end = run + 1 < run_begins_.size() ? run_begins_[run + 1] : rows;
    const uint32_t route = row_routes_[static_cast<size_t>(begin)];
    if (route < kNowhere) groups_.push_back({routes_[route], begin, end - begin});
  }
}

// A counting sort, which keeps the order of rows within a route: sums of floats depend on it.
void RowRouter::group_sorted(int64_t rows) {
  is_ordered_ = true;
  ends_.assign(routes_.size() + 1, 0);
  for (const uint32_t route : row_routes_) ++ends_[route >= kNowhere ? routes_.size() : route];
  groups_.clear();
  int64_t begin = 0;
  for (size_t route = 0; route < routes_.size(); ++route) {
    groups_.push_back({routes_[route], begin, ends_[route]});
    begin += std::exchange(ends_[route], begin);
  }
  order_.resize(static_cast<size_t>(begin));
  for (int64_t i = 0; i < rows; ++i) {
    const uint32_t route = row_routes_[static_cast<size_t>(i)];
    if (route < kNowhere) order_[static_cast<size_t>(ends_[route]++)] = static_cast<int32_t>(i);
  }
}

}  // namespace pystream::windows
