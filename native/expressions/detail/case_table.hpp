#pragma once
// Unicode's case mapping and what decides about a final sigma. The tables are written by
// generate_case_table.py; each ascends and none overlaps itself.

#include <cstdint>
#include <span>
#include <string_view>

namespace pystream::expressions::detail {

// Every step-th code point from first to last becomes itself plus delta.
struct CaseRun {
  uint32_t first;
  uint32_t last;
  uint32_t step;
  int32_t delta;
};

// A code point that becomes several.
struct SpecialCase {
  uint32_t code;
  std::string_view text;
};

struct CaseTable {
  std::span<const CaseRun> runs;
  std::span<const SpecialCase> special;
};

struct CodeRange {
  uint32_t first;
  uint32_t last;
};

extern const CaseTable kLowerTable;
extern const CaseTable kUpperTable;
extern const std::span<const CodeRange> kCasedRanges;      // cased and not ignorable
extern const std::span<const CodeRange> kIgnorableRanges;  // case-ignorable

}  // namespace pystream::expressions::detail
