#include "expressions/detail/zone.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

namespace pystream::expressions::detail {
namespace {

constexpr int64_t kCycle = 146'097 * int64_t{86'400};  // 400 Gregorian years, whole weeks
constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
constexpr int64_t kAlways = std::numeric_limits<int64_t>::min();
// Clocks differ from UTC by less; two transitions within it are looked at both.
constexpr int64_t kMaxOffset = 26 * 3600;
constexpr int64_t kMargin = 3 * int64_t{86'400};

int64_t add(int64_t a, int64_t b) {
  int64_t sum;
  if (__builtin_add_overflow(a, b, &sum)) return b < 0 ? kAlways : kNever;
  return sum;
}

}  // namespace

std::optional<Zone> Zone::parse(std::string_view bytes) {
  if (bytes.size() % 16 != 8 || bytes.size() < 24) return std::nullopt;
  const auto word = [&](size_t i) {
    int64_t value;
    std::memcpy(&value, bytes.data() + i * 8, 8);
    return value;
  };
  Zone zone;
  zone.cycle_begin_ = word(0);
  for (size_t i = 1; i < bytes.size() / 8; i += 2) {
    const Entry entry{word(i), word(i + 1)};
    const bool ascends =
        zone.entries_.empty() ? entry.from == kAlways : entry.from > zone.entries_.back().from;
    if (!ascends || entry.offset <= -kMaxOffset || entry.offset >= kMaxOffset) return std::nullopt;
    zone.entries_.push_back(entry);
  }
  return zone;
}

int64_t Zone::into_table(int64_t seconds, int64_t* shift) const {
  *shift = 0;
  if (cycle_begin_ == kNever || seconds < cycle_begin_) return seconds;
  // Both are far from the ends of int64: a cycle begins in this century.
  *shift = (seconds / kCycle - cycle_begin_ / kCycle) * kCycle;
  if (seconds - *shift < cycle_begin_) *shift -= kCycle;
  return seconds - *shift;
}

size_t Zone::entry_at(int64_t seconds) const {
  const auto after =
      std::upper_bound(entries_.begin(), entries_.end(), seconds,
                       [](int64_t value, const Entry& entry) { return value < entry.from; });
  return static_cast<size_t>(after - entries_.begin()) - 1;
}

Zone::Span Zone::span_at(int64_t seconds) const {
  int64_t shift;
  const size_t i = entry_at(into_table(seconds, &shift));
  const bool is_last = i + 1 == entries_.size();
  return {add(entries_[i].from, shift), is_last ? kNever : add(entries_[i + 1].from, shift),
          entries_[i].offset};
}

Zone::Instants Zone::instants_of(int64_t local) const {
  // Days after the cycle begins, so that what lies before is in the table too.
  int64_t shift = 0;
  if (cycle_begin_ != kNever && local >= cycle_begin_ + kMargin) {
    into_table(local - kMargin, &shift);
  }
  const int64_t inside = local - shift;
  const size_t last = entry_at(add(inside, kMaxOffset));
  Instants found;
  for (size_t i = entry_at(add(inside, -kMaxOffset)); i <= last; ++i) {
    const int64_t instant = add(inside, -entries_[i].offset);
    const bool begun = instant >= entries_[i].from;
    const bool over = i + 1 < entries_.size() && instant >= entries_[i + 1].from;
    if (begun && !over) {
      if (found.count == 0) found.earliest = add(instant, shift);
      found.latest = add(instant, shift);
      ++found.count;
    }
    if (over) found.shifted = add(instant, shift);
  }
  return found;
}

}  // namespace pystream::expressions::detail
