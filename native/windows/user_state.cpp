#include "windows/user_state.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "windows/state_columns.hpp"

namespace pystream::windows {

namespace {

// A column without its nulls' bitmap, for rows of which none is null.
Array without_validity(const Array& column) {
  Array valid = column;  // shares buffers
  valid.null_count = 0;
  valid.validity = {};
  return valid;
}

template <typename Copy>
void with_width(int64_t width, Copy copy) {
  switch (width) {
    case 1:
      return copy(uint8_t{});
    case 2:
      return copy(uint16_t{});
    case 4:
      return copy(uint32_t{});
    default:
      return copy(uint64_t{});
  }
}

}  // namespace

UserState::UserState(std::shared_ptr<const UserAggregate> function, std::vector<int> others)
    : function_(std::move(function)), others_(std::move(others)) {
  states_.columns.resize(function_->columns().size());
  waiting_.arguments.resize(1 + others_.size());
}

void UserState::resize(int64_t slots) {
  const auto size = static_cast<size_t>(slots);
  for (size_t i = 0; i < states_.columns.size(); ++i) {
    const std::vector<uint8_t>& initial = function_->columns()[i].initial;
    std::vector<uint8_t>& column = states_.columns[i];
    size_t at = column.size();
    column.resize(size * initial.size());
    for (; at < column.size(); at += initial.size()) {
      std::memcpy(column.data() + at, initial.data(), initial.size());
    }
  }
  if (states_.columns.empty()) states_.objects.resize(size);
  states_.count = slots;
  has_rows_.resize(size);
  numbers_.resize(size);
}

void UserState::add(const SideRows& rows) {
  std::vector<int32_t> chosen;
  std::vector<uint32_t> slots(rows.slots, rows.slots + rows.count);
  const bool some_null = std::any_of(others_.begin(), others_.end(), [&](int column) {
    return rows.columns[static_cast<size_t>(column)].null_count > 0;
  });
  if (some_null) {
    slots.clear();
    for (int64_t i = 0; i < rows.count; ++i) {
      const int64_t row = rows.row(i);
      const bool is_valid = std::all_of(others_.begin(), others_.end(), [&](int column) {
        return rows.columns[static_cast<size_t>(column)].is_valid(row);
      });
      if (!is_valid) continue;
      chosen.push_back(static_cast<int32_t>(row));
      slots.push_back(rows.slots[i]);
    }
  }
  if (slots.empty()) return;
  const auto rows_of = [&](const Array& column) {
    const Array valid = without_validity(column);
    if (some_null) return take(valid, chosen);
    if (rows.indices == nullptr) return slice(valid, rows.begin, rows.count);
    return take(valid, {rows.indices, static_cast<size_t>(rows.count)});
  };
  waiting_.arguments[0].push_back(rows_of(rows.column));
  for (size_t i = 0; i < others_.size(); ++i) {
    waiting_.arguments[i + 1].push_back(rows_of(rows.columns[static_cast<size_t>(others_[i])]));
  }
  for (const uint32_t slot : slots) has_rows_[slot] = 1;
  waiting_.slots.insert(waiting_.slots.end(), slots.begin(), slots.end());
}

void UserState::settle() const {
  if (waiting_.slots.empty()) return;
  Waiting rows;
  rows.arguments.resize(waiting_.arguments.size());
  std::swap(rows, waiting_);
  std::vector<Array> arguments;
  for (const std::vector<Array>& pieces : rows.arguments) {
    arguments.push_back(pieces.size() == 1 ? pieces.front() : concat(pieces));
  }
  std::vector<uint32_t> groups;
  const std::vector<uint32_t> slots = distinct(rows.slots, &groups);
  UserStates states = gather(states_, slots);
  drop_objects(slots, &states_);
  function_->add(&states, groups, arguments);
  scatter(states, slots, &states_);
}

void UserState::merge(const SideState& other, const uint32_t* slots, const uint32_t* other_slots,
                      int64_t count) {
  const auto& from = static_cast<const UserState&>(other);
  settle();
  from.settle();
  std::vector<uint32_t> targets;
  std::vector<uint32_t> sources;
  for (int64_t i = 0; i < count; ++i) {
    if (from.has_rows_[other_slots[i]] == 0) continue;
    if (has_rows_[slots[i]] == 0) {
      copy_slot(from, other_slots[i], slots[i]);
      continue;
    }
    targets.push_back(slots[i]);
    sources.push_back(other_slots[i]);
  }
  if (!targets.empty()) merge_many(from, targets, sources);
}

// Each target may come several times: neighbours are merged first, and then what they give, so that
// there are few calls however many there are.
void UserState::merge_many(const UserState& from, Slots targets, Slots sources) {
  std::vector<uint32_t> groups;
  const std::vector<uint32_t> slots = distinct(targets, &groups);
  if (slots.size() == targets.size()) return merge_into(from, targets, sources);
  // Sources in the order of groups.
  std::vector<uint32_t> begins(slots.size() + 1);
  for (const uint32_t group : groups) ++begins[group + 1];
  for (size_t i = 1; i < begins.size(); ++i) begins[i] += begins[i - 1];
  std::vector<uint32_t> ordered(sources.size());
  std::vector<uint32_t> next(begins.begin(), begins.end() - 1);
  for (size_t i = 0; i < sources.size(); ++i) ordered[next[groups[i]]++] = sources[i];

  UserState work(function_, others_);
  work.resize(static_cast<int64_t>(ordered.size()));
  work.states_ = gather(from.states_, ordered);
  std::vector<uint32_t> left;
  std::vector<uint32_t> right;
  for (uint32_t step = 1;; step *= 2) {
    left.clear();
    right.clear();
    for (size_t group = 0; group < slots.size(); ++group) {
      for (uint32_t at = begins[group]; at + step < begins[group + 1]; at += 2 * step) {
        left.push_back(at);
        right.push_back(at + step);
      }
    }
    if (left.empty()) break;
    work.merge_into(work, left, right);
  }
  merge_into(work, slots, {begins.data(), slots.size()});
}

// The targets are all different, and no sources.
void UserState::merge_into(const UserState& from, Slots targets, Slots sources) {
  UserStates states = gather(states_, targets);
  drop_objects(targets, &states_);
  function_->merge(&states, gather(from.states_, sources));
  scatter(states, targets, &states_);
}

bool UserState::show(const SideState& other, const uint32_t* slots, const uint32_t* other_slots,
                     int64_t count) {
  if (!function_->columns().empty()) {  // they are cheap to copy, and one call shows many
    merge(other, slots, other_slots, count);
    return true;
  }
  const auto& from = static_cast<const UserState&>(other);
  from.settle();
  try {
    const Slots places{other_slots, static_cast<size_t>(count)};
    shown_.push_back(function_->results(gather(from.states_, places)));
  } catch (const UserAggregateError& error) {
    const int64_t at = error.at() < 0 ? -1 : error.at() + slots[0];
    failure_.emplace(error.code(), error.what(), at);
  }
  return !failure_;
}

// The slots of this state are new. Rows that wait go on waiting, here.
void UserState::take_over(const SideState& other, const uint32_t* slots,
                          const uint32_t* other_slots, int64_t count) {
  const auto& from = static_cast<const UserState&>(other);
  for (int64_t i = 0; i < count; ++i) copy_slot(from, other_slots[i], slots[i]);
  if (from.waiting_.slots.empty()) return;
  std::vector<uint32_t> moved(from.has_rows_.size());
  for (int64_t i = 0; i < count; ++i) moved[other_slots[i]] = slots[i];
  for (size_t i = 0; i < waiting_.arguments.size(); ++i) {
    const std::vector<Array>& pieces = from.waiting_.arguments[i];
    waiting_.arguments[i].insert(waiting_.arguments[i].end(), pieces.begin(), pieces.end());
  }
  for (const uint32_t slot : from.waiting_.slots) waiting_.slots.push_back(moved[slot]);
}

void UserState::clear(uint32_t slot) {
  settle();
  for (size_t i = 0; i < states_.columns.size(); ++i) {
    const std::vector<uint8_t>& initial = function_->columns()[i].initial;
    std::memcpy(states_.columns[i].data() + slot * initial.size(), initial.data(), initial.size());
  }
  if (states_.columns.empty()) states_.objects[slot] = nullptr;
  has_rows_[slot] = 0;
}

Array UserState::emit(const ResultLayout&, std::span<const uint32_t> slots) const {
  if (failure_) throw *failure_;
  if (!shown_.empty()) {
    const std::vector<int32_t> places(slots.begin(), slots.end());
    return take(concat(shown_), places);
  }
  settle();
  return function_->results(gather(states_, slots));
}

// Objects count with what refers to them: how much they hold is not known.
int64_t UserState::bytes() const {
  int64_t total = static_cast<int64_t>(has_rows_.capacity() + numbers_.capacity() * 4 +
                                       states_.objects.capacity() * sizeof(states_.objects[0]) +
                                       waiting_.slots.capacity() * sizeof(uint32_t));
  for (const auto& column : states_.columns) total += static_cast<int64_t>(column.capacity());
  return total;
}

UserStates UserState::gather(const UserStates& from, Slots places) const {
  UserStates states;
  states.count = static_cast<int64_t>(places.size());
  states.columns.resize(from.columns.size());
  for (size_t i = 0; i < from.columns.size(); ++i) {
    const int64_t width = function_->columns()[i].width();
    std::vector<uint8_t>& column = states.columns[i];
    column.resize(places.size() * static_cast<size_t>(width));
    with_width(width, [&](auto zero) {
      const auto* values = reinterpret_cast<const decltype(zero)*>(from.columns[i].data());
      auto* out = reinterpret_cast<decltype(zero)*>(column.data());
      for (size_t k = 0; k < places.size(); ++k) out[k] = values[places[k]];
    });
  }
  if (!from.columns.empty()) return states;
  states.objects.reserve(places.size());
  for (const uint32_t place : places) states.objects.push_back(from.objects[place]);
  return states;
}

void UserState::scatter(const UserStates& from, Slots places, UserStates* to) const {
  for (size_t i = 0; i < from.columns.size(); ++i) {
    with_width(function_->columns()[i].width(), [&](auto zero) {
      const auto* values = reinterpret_cast<const decltype(zero)*>(from.columns[i].data());
      auto* out = reinterpret_cast<decltype(zero)*>(to->columns[i].data());
      for (size_t k = 0; k < places.size(); ++k) out[places[k]] = values[k];
    });
  }
  if (!from.columns.empty()) return;
  for (size_t k = 0; k < places.size(); ++k) to->objects[places[k]] = from.objects[k];
}

// Gathered to be changed: then nothing here refers to them any more, unless another slot does.
void UserState::drop_objects(Slots places, UserStates* from) const {
  if (!from->columns.empty()) return;
  for (const uint32_t place : places) from->objects[place] = nullptr;
}

void UserState::copy_slot(const UserState& from, uint32_t from_slot, uint32_t slot) {
  for (size_t i = 0; i < states_.columns.size(); ++i) {
    const auto width = static_cast<size_t>(function_->columns()[i].width());
    std::memcpy(states_.columns[i].data() + slot * width,
                from.states_.columns[i].data() + from_slot * width, width);
  }
  if (states_.columns.empty()) states_.objects[slot] = from.states_.objects[from_slot];
  has_rows_[slot] = from.has_rows_[from_slot];
}

std::vector<uint32_t> UserState::distinct(Slots slots, std::vector<uint32_t>* groups) const {
  std::vector<uint32_t> found;
  groups->resize(slots.size());
  for (size_t i = 0; i < slots.size(); ++i) {
    uint32_t& number = numbers_[slots[i]];
    if (number == 0) {
      found.push_back(slots[i]);
      number = static_cast<uint32_t>(found.size());
    }
    (*groups)[i] = number - 1;
  }
  for (const uint32_t slot : found) numbers_[slot] = 0;
  return found;
}

Array UserAggregate::write_objects(const UserStates&) const {
  throw UserAggregateError(ErrorCode::kNotSupported,
                           "the accumulators of this aggregate function cannot be written", -1);
}

UserStates UserAggregate::read_objects(const Array&) const {
  throw UserAggregateError(ErrorCode::kNotSupported,
                           "the accumulators of this aggregate function cannot be read", -1);
}

std::vector<Field> UserState::state_fields() const {
  std::vector<Field> fields = {state_field("has_rows", TypeId::kBool)};
  for (const UserColumn& column : function_->columns()) {
    fields.push_back({column.name, column.type, true});
  }
  if (function_->columns().empty()) fields.push_back(state_field("object", TypeId::kBinary));
  return fields;
}

std::vector<Array> UserState::snapshot(std::span<const uint32_t> slots) const {
  settle();
  std::vector<Word> words;
  for (const uint32_t slot : slots) words.push_back(has_rows_[slot]);
  std::vector<Array> columns = {elements_of(DataType::of(TypeId::kBool), words)};
  const UserStates states = gather(states_, slots);
  for (size_t i = 0; i < states.columns.size(); ++i) {
    const UserColumn& column = function_->columns()[i];
    words.assign(slots.size(), 0);
    for (size_t at = 0; at < slots.size(); ++at) {
      std::memcpy(&words[at], states.columns[i].data() + at * column.initial.size(),
                  column.initial.size());
    }
    columns.push_back(elements_of(column.type, words));
  }
  if (states.columns.empty()) columns.push_back(function_->write_objects(states));
  return columns;
}

void UserState::restore(std::span<const Array> columns) {
  const int64_t rows = columns[0].length;
  for (int64_t row = 0; row < rows; ++row) {
    has_rows_[static_cast<size_t>(row)] = get_bit(columns[0].values.data, row) ? 1 : 0;
  }
  for (size_t i = 0; i < states_.columns.size(); ++i) {
    const size_t width = function_->columns()[i].initial.size();
    const SideRows read{columns[i + 1], nullptr, 0, rows, nullptr};
    visit_words(read, [&](int64_t row, Word word) {
      std::memcpy(states_.columns[i].data() + static_cast<size_t>(row) * width, &word, width);
    });
  }
  if (!states_.columns.empty()) return;
  states_.objects = function_->read_objects(columns[1]).objects;
  states_.objects.resize(static_cast<size_t>(rows));
}

}  // namespace pystream::windows
