#include "expressions/detail/input.hpp"

#include <utility>

#include "columns/array.hpp"

namespace pystream::expressions::detail {

const Array& Input::column(size_t index) const {
  const Array& whole = batch_.columns[index];
  if (of_ == nullptr) return whole;
  const auto known = columns_.find(index);
  if (known != columns_.end()) return known->second;
  return columns_.emplace(index, take(whole, rows_)).first->second;
}

const Array* Input::find(const Node* node) const {
  for (const Input* at = this; at != nullptr; at = at->of_) {
    const auto known = at->shared_.find(node);
    if (known == at->shared_.end()) continue;
    if (at == this) return &known->second;
    return &keep(node, take(known->second, places_in(*at)));
  }
  return nullptr;
}

const Array& Input::keep(const Node* node, Array values) const {
  return shared_.emplace(node, std::move(values)).first->second;
}

Input::Rows Input::rows_of_batch(const Rows& rows) const {
  if (of_ == nullptr) return rows;
  Rows result;
  result.reserve(rows.size());
  for (const int32_t row : rows) result.push_back(rows_[static_cast<size_t>(row)]);
  return result;
}

Input::Rows Input::places_in(const Input& of) const {
  if (of.of_ == nullptr) return rows_;
  Rows places;
  places.reserve(rows_.size());
  size_t place = 0;
  for (const int32_t row : rows_) {
    while (of.rows_[place] != row) ++place;
    places.push_back(static_cast<int32_t>(place));
  }
  return places;
}

}  // namespace pystream::expressions::detail
