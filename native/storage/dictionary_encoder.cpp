#include "storage/dictionary_encoder.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <limits>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/hash.hpp"
#include "storage/statistics.hpp"

namespace pystream::storage {

namespace {

__extension__ using Wide = unsigned __int128;

constexpr int64_t kSampleClusters = 64;
constexpr int64_t kSampleClusterRows = 16;
constexpr int64_t kSampleRows = kSampleClusters * kSampleClusterRows;
constexpr int64_t kMaxDistinctShare = 4;  // at most one row in so many may be distinct

uint64_t hash_value(uint32_t value) { return hash_u64(value); }
uint64_t hash_value(uint64_t value) { return hash_u64(value); }
uint64_t hash_value(Wide value) {
  return hash_combine(hash_u64(static_cast<uint64_t>(value >> 64)),
                      hash_u64(static_cast<uint64_t>(value)));
}
uint64_t hash_value(std::string_view value) { return hash_bytes(value); }

// memcmp's call costs more than comparing a typical key inline.
bool equal_bytes(const char* left, const char* right, size_t length) {
  if (length < 8) {
    for (size_t i = 0; i < length; ++i) {
      if (left[i] != right[i]) return false;
    }
    return true;
  }
  const auto differ = [&](size_t at) {
    uint64_t a;
    uint64_t b;
    std::memcpy(&a, left + at, 8);
    std::memcpy(&b, right + at, 8);
    return a != b;
  };
  for (size_t at = 0; at + 8 < length; at += 8) {
    if (differ(at)) return false;
  }
  return !differ(length - 8);
}

// Entries of a dictionary under construction. Two kinds with one shape: value(i) of the input,
// matches(code, value), append(value).
template <typename T>
class FixedEntries {
 public:
  using Value = T;

  explicit FixedEntries(const Array& input) : input_(input.values.data) {}
  // Foreign buffers are aligned to 8 bytes, which is not enough for a 16-byte load.
  T value(int64_t row) const {
    T value;
    std::memcpy(&value, input_ + row * static_cast<int64_t>(sizeof(T)), sizeof(T));
    return value;
  }
  bool matches(int32_t code, T value) const { return entries_.as<T>()[code] == value; }
  void append(T value) { entries_.append(&value, sizeof(T)); }
  int64_t byte_count() const { return entries_.size(); }
  void finish(Array* dictionary) { dictionary->values = entries_.freeze(); }

 private:
  const uint8_t* input_;
  MutableBuffer entries_;
};

class VarBinaryEntries {
 public:
  using Value = std::string_view;

  explicit VarBinaryEntries(const Array& input) : input_(input) {
    const int32_t zero = 0;
    offsets_.append(&zero, sizeof(zero));
  }
  std::string_view value(int64_t row) const { return input_.view(row); }
  bool matches(int32_t code, std::string_view value) const {
    const int32_t* at = offsets_.as<int32_t>() + code;
    return static_cast<size_t>(at[1] - at[0]) == value.size() &&
           equal_bytes(bytes_.as<char>() + at[0], value.data(), value.size());
  }
  void append(std::string_view value) {
    bytes_.append(value.data(), static_cast<int64_t>(value.size()));
    const auto end = static_cast<int32_t>(bytes_.size());  // at most the input's, which fits
    offsets_.append(&end, sizeof(end));
  }
  int64_t byte_count() const { return bytes_.size() + offsets_.size(); }
  void finish(Array* dictionary) {
    dictionary->offsets = offsets_.freeze();
    dictionary->values = bytes_.freeze();
  }

 private:
  const Array& input_;
  MutableBuffer offsets_;
  MutableBuffer bytes_;
};

// Open addressing with linear probing. A slot holds the upper half of the hash and the code plus
// one; 0 is empty. At most half full.
class CodeTable {
 public:
  CodeTable() : slots_(1024, 0) {}

  int32_t size() const { return static_cast<int32_t>(hashes_.size()); }

  // The code of a value with this hash, or the next new one after calling append().
  template <typename Matches, typename Append>
  int32_t find_or_add(uint64_t hash, const Matches& matches, const Append& append) {
    const uint64_t tag = hash & kTagMask;
    for (size_t at = hash & mask();; at = (at + 1) & mask()) {
      const uint64_t slot = slots_[at];
      if (slot == 0) {
        append();
        return add(at, tag, hash);
      }
      const auto code = static_cast<int32_t>((slot & ~kTagMask) - 1);
      if ((slot & kTagMask) == tag && matches(code)) return code;
    }
  }

 private:
  static constexpr uint64_t kTagMask = uint64_t{0xffffffff} << 32;

  size_t mask() const { return slots_.size() - 1; }

  int32_t add(size_t at, uint64_t tag, uint64_t hash) {
    hashes_.push_back(hash);
    slots_[at] = tag | hashes_.size();
    const int32_t code = size() - 1;
    if (2 * hashes_.size() > slots_.size()) grow();
    return code;
  }

  void grow() {
    slots_.assign(slots_.size() * 4, 0);
    for (size_t code = 0; code < hashes_.size(); ++code) {
      size_t at = hashes_[code] & mask();
      while (slots_[at] != 0) at = (at + 1) & mask();
      slots_[at] = (hashes_[code] & kTagMask) | (code + 1);
    }
  }

  std::vector<uint64_t> slots_;
  std::vector<uint64_t> hashes_;  // by code
};

// Estimates from clusters of rows whether at most a quarter can be distinct. With rows drawn from
// d equally frequent values, a sample of s rows repeats itself about s * s / (2 d) times; half of
// what d = rows / 4 would give is the bar, which chance stays above (16 of 32 for 64k rows).
template <typename Entries>
bool sample_repeats(const Array& array, const Entries& entries) {
  if (array.length <= 2 * kSampleRows) return true;
  std::vector<uint64_t> seen(4 * kSampleRows, 0);
  int64_t sampled = 0;
  int64_t repeated = 0;
  for (int64_t cluster = 0; cluster < kSampleClusters; ++cluster) {
    const int64_t begin = (array.length - kSampleClusterRows) * cluster / (kSampleClusters - 1);
    for (int64_t row = begin; row < begin + kSampleClusterRows; ++row) {
      if (!array.is_valid(row)) continue;
      ++sampled;
      const uint64_t hash = hash_value(entries.value(row)) | 1;
      size_t at = (hash >> 20) & (seen.size() - 1);
      while (seen[at] != 0 && seen[at] != hash) at = (at + 1) & (seen.size() - 1);
      if (seen[at] == hash) ++repeated;
      seen[at] = hash;
    }
  }
  return repeated * array.length >= sampled * sampled;
}

// Encodes until more than `max_distinct` values were met; then nullopt.
template <typename Entries>
std::optional<Array> encode_with(const Array& array, Entries entries, int64_t max_distinct,
                                 int64_t max_bytes) {
  CodeTable table;
  MutableBuffer codes(array.length * 4);
  int32_t* out = codes.as<int32_t>();
  for (int64_t row = 0; row < array.length; ++row) {
    if (!array.is_valid(row)) {
      out[row] = 0;
      continue;
    }
    const typename Entries::Value value = entries.value(row);
    out[row] = table.find_or_add(
        hash_value(value), [&](int32_t code) { return entries.matches(code, value); },
        [&] { entries.append(value); });
    if (table.size() > max_distinct) return std::nullopt;
  }
  if (entries.byte_count() > max_bytes) return std::nullopt;

  Array dictionary;
  dictionary.type = array.type;
  dictionary.type.is_dictionary = false;
  dictionary.length = table.size();
  entries.finish(&dictionary);

  Array encoded;
  encoded.type = array.type;
  encoded.length = array.length;
  encoded.null_count = array.null_count;
  encoded.validity = array.validity;
  encoded.values = codes.freeze();
  encoded.dictionary = std::make_shared<const Array>(std::move(dictionary));
  return encoded;
}

template <typename Body>
std::optional<Array> with_entries(const Array& array, const Body& body) {
  assert(!array.is_encoded() && can_encode_dictionary(array.type.id));
  if (array.type.is_var_binary()) return body(VarBinaryEntries(array));
  switch (array.type.byte_width()) {
    case 4:
      return body(FixedEntries<uint32_t>(array));
    case 8:
      return body(FixedEntries<uint64_t>(array));
    default:
      return body(FixedEntries<Wide>(array));
  }
}

}  // namespace

bool can_encode_dictionary(TypeId id) {
  const DataType type = DataType::of(id);
  return type.is_var_binary() || type.byte_width() >= 4;
}

std::optional<Array> encode_if_it_pays(const Array& array) {
  const int64_t max_distinct = array.length / kMaxDistinctShare;
  if (max_distinct == 0) return std::nullopt;
  int64_t max_bytes = std::numeric_limits<int64_t>::max();
  if (array.type.is_var_binary()) {
    // Codes are as wide as the offsets that they replace.
    const int32_t* offsets = array.offsets.as<int32_t>();
    max_bytes = offsets[array.length] - offsets[0];
  }
  return with_entries(array, [&](auto&& entries) -> std::optional<Array> {
    if (!sample_repeats(array, entries)) return std::nullopt;
    return encode_with(array, std::move(entries), max_distinct, max_bytes);
  });
}

Array encode_always(const Array& array) {
  constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();
  return *with_entries(array, [&](auto&& entries) {
    return encode_with(array, std::move(entries), kUnlimited, kUnlimited);
  });
}

Array compact_dictionary(const Array& array) {
  assert(array.is_encoded());
  const int64_t entries = array.dictionary->length;
  const int32_t* codes = array.codes();
  constexpr int32_t kUnused = -1;
  std::vector<int32_t> new_codes(static_cast<size_t>(entries), kUnused);
  std::vector<int32_t> used;  // old codes in order of first use
  bool is_sound_below_nulls = true;
  for (int64_t row = 0; row < array.length; ++row) {
    const bool in_range = codes[row] >= 0 && codes[row] < entries;
    if (!array.is_valid(row)) {
      is_sound_below_nulls = is_sound_below_nulls && (in_range || codes[row] == 0);
      continue;
    }
    assert(in_range);
    int32_t& new_code = new_codes[static_cast<size_t>(codes[row])];
    if (new_code == kUnused) {
      new_code = static_cast<int32_t>(used.size());
      used.push_back(codes[row]);
    }
  }
  const auto used_entries = static_cast<int64_t>(used.size());
  const bool must_be_exact = has_statistics(array.type.id);  // minimum and maximum are the entries'
  const bool rebuild = must_be_exact ? used_entries < entries : 2 * used_entries < entries;
  if (!rebuild && is_sound_below_nulls) return array;

  MutableBuffer rewritten(array.length * 4);
  int32_t* out = rewritten.as<int32_t>();
  for (int64_t row = 0; row < array.length; ++row) {
    if (!array.is_valid(row)) {
      out[row] = 0;
    } else {
      out[row] = rebuild ? new_codes[static_cast<size_t>(codes[row])] : codes[row];
    }
  }
  Array compacted = array;
  compacted.values = rewritten.freeze();
  if (rebuild) compacted.dictionary = std::make_shared<const Array>(take(*array.dictionary, used));
  return compacted;
}

}  // namespace pystream::storage
