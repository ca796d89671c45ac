#include "runtime/union_operator.hpp"

#include <algorithm>
#include <span>

#include "runtime/stateless_operators.hpp"
#include "runtime/timeline.hpp"
#include "runtime/watermark_scope.hpp"

namespace pystream::runtime {

// An input whose rows go on at once.
class UnionOperator::Passing final : public Forgetful<Operator> {
 public:
  Passing(UnionOperator* whole, int input)
      : Forgetful(whole->name(), "union"), whole_(whole), input_(input) {}
  bool reads_watermarks() const override { return whole_->has_readers(); }

 protected:
  void process(Rows&& rows, Lane& lane) override { whole_->pass(input_, std::move(rows), lane); }

 private:
  UnionOperator* whole_;
  int input_;
};

// An input whose rows are held.
class UnionOperator::Merging final : public Forgetful<OrderedOperator> {
 public:
  Merging(UnionOperator* whole, int input)
      : Forgetful(whole->name(), "union"), whole_(whole), input_(input) {}
  bool reads_watermarks() const override { return whole_->has_readers(); }
  void deliver(Rows&& rows, Lane&) override { whole_->hold(input_, std::move(rows)); }

 private:
  UnionOperator* whole_;
  int input_;
};

// Of one held row.
struct UnionOperator::Place {
  int64_t position;
  int32_t held;
  int32_t row;
};

UnionOperator::UnionOperator(std::string name, Plan plan)
    : Operator(std::move(name), "union"), plan_(std::move(plan)) {
  for (int input = 0; input < static_cast<int>(plan_.columns.size()); ++input) {
    if (plan_.timeline == nullptr) {
      inputs_.push_back(std::make_unique<Passing>(this, input));
    } else {
      inputs_.push_back(std::make_unique<Merging>(this, input));
    }
  }
}

Rows UnionOperator::select(int input, Rows&& rows) const {
  rows.batch = select_columns(rows.batch, plan_.columns[static_cast<size_t>(input)], plan_.schema);
  return std::move(rows);
}

void UnionOperator::count(const Rows& rows) {
  OperatorMetrics::add(metrics_.records_in, rows.batch.num_rows);
  OperatorMetrics::add(metrics_.batches_in, 1);
}

void UnionOperator::pass(int input, Rows&& rows, Lane& lane) {
  count(rows);
  Rows out = select(input, std::move(rows));
  const ScopeMarks& marks = lane.scopes[plan_.scope];
  windows::RowWatermarks& watermarks = out.watermarks;
  watermarks.all = marks.of_row(watermarks.all);
  if (watermarks.per_row) {
    MutableBuffer values(out.batch.num_rows * static_cast<int64_t>(sizeof(int64_t)));
    const int64_t* own = watermarks.per_row.as<int64_t>();
    std::transform(own, own + out.batch.num_rows, values.as<int64_t>(),
                   [&](int64_t value) { return marks.of_row(value); });
    watermarks.per_row = values.freeze();
  }
  emit(0, std::move(out), lane);
}

void UnionOperator::hold(int input, Rows&& rows) {
  count(rows);
  if (rows.batch.num_rows > 0) held_.emplace_back(input, select(input, std::move(rows)));
}

void UnionOperator::complete(Lane& lane) {
  if (held_.empty()) return;
  Operator* caller = lane.enter(this);
  std::stable_sort(held_.begin(), held_.end(),
                   [](const auto& left, const auto& right) { return left.first < right.first; });
  std::vector<Place> places;
  for (size_t i = 0; i < held_.size(); ++i) {
    const Rows& rows = held_[i].second;
    const int64_t* positions = rows.positions.as<int64_t>();
    for (int64_t row = 0; row < rows.batch.num_rows; ++row) {
      places.push_back({positions[row], static_cast<int32_t>(i), static_cast<int32_t>(row)});
    }
  }
  // Within an input rows are in order already, and those of the first inputs stand first.
  std::stable_sort(places.begin(), places.end(), [](const Place& left, const Place& right) {
    return left.position < right.position;
  });
  const auto chunk = static_cast<size_t>(plan_.chunk_rows);
  for (size_t begin = 0; begin < places.size(); begin += chunk) {
    emit_merged(places, begin, std::min(begin + chunk, places.size()), lane);
  }
  held_.clear();
  lane.leave(caller);
}

void UnionOperator::emit_merged(const std::vector<Place>& places, size_t begin, size_t end,
                                Lane& lane) {
  const auto bytes = static_cast<int64_t>((end - begin) * sizeof(int64_t));
  MutableBuffer watermarks(bytes);
  MutableBuffer positions(bytes);
  std::vector<RecordBatch> parts;
  for (size_t i = begin, run = begin; i < end; ++i) {
    const Place& place = places[i];
    const windows::RowWatermarks& own = held_[static_cast<size_t>(place.held)].second.watermarks;
    watermarks.as<int64_t>()[i - begin] =
        plan_.timeline->marks(plan_.scope, place.position)
            .of_row(own.per_row ? own.per_row.as<int64_t>()[place.row] : own.all);
    positions.as<int64_t>()[i - begin] = place.position;
    const bool is_last =
        i + 1 == end || places[i + 1].held != place.held || places[i + 1].row != place.row + 1;
    if (!is_last) continue;
    const RecordBatch& from = held_[static_cast<size_t>(place.held)].second.batch;
    parts.push_back(from.slice(places[run].row, static_cast<int64_t>(i + 1 - run)));
    run = i + 1;
  }
  Rows out;
  out.batch = parts.size() == 1 ? std::move(parts[0]) : concat(parts);
  out.watermarks.all = watermarks.as<int64_t>()[0];
  out.watermarks.per_row = watermarks.freeze();
  out.watermarks.first_arrival = arrivals_;
  out.positions = positions.freeze();
  arrivals_ += out.batch.num_rows;
  emit(0, std::move(out), lane);
}

}  // namespace pystream::runtime
