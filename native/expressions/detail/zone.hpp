#pragma once
// A time zone as a table of its offsets. The table comes as bytes from whoever knows the zones
// (see pystream/engines/local/zones.py), so that nothing here reads the machine's files.

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace pystream::expressions::detail {

// What a local time that a clock shows twice, or never, stands for.
struct LocalTimeRules {
  enum class Choice : uint8_t { kEarliest, kLatest, kNull, kError };
  Choice ambiguous = Choice::kEarliest;
  // kEarliest: shifted later by the length of the gap, as a clock that was not turned.
  Choice nonexistent = Choice::kEarliest;
};

class Zone {
 public:
  // int64 little-endian: the second at which a cycle of 400 years begins that repeats for ever, or
  // the greatest int64 (the table goes on for a year after
  // its first cycle); then pairs of a second since 1970 and the offset from UTC from then on,
  // ascending, the first at the least int64. Nothing when the bytes are not so.
  static std::optional<Zone> parse(std::string_view bytes);

  // The seconds to add to UTC at an instant, and from which instant to before which they hold.
  struct Span {
    int64_t begin = 0;
    int64_t end = 0;  // the greatest int64: for ever
    int64_t offset = 0;
    bool holds(int64_t seconds) const { return begin <= seconds && seconds < end; }
  };
  Span span_at(int64_t seconds) const;
  int64_t offset_at(int64_t seconds) const { return span_at(seconds).offset; }

  // The instants at which a clock of the zone shows `local`, seconds: none, one or several.
  struct Instants {
    int64_t count = 0;
    int64_t earliest = 0;
    int64_t latest = 0;
    int64_t shifted = 0;  // without instants: local, by the offset before the gap
  };
  Instants instants_of(int64_t local) const;

 private:
  struct Entry {
    int64_t from;
    int64_t offset;
  };

  // `seconds` moved back by whole cycles into the table; `shift` is what was subtracted.
  int64_t into_table(int64_t seconds, int64_t* shift) const;
  size_t entry_at(int64_t seconds) const;

  int64_t cycle_begin_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace pystream::expressions::detail
