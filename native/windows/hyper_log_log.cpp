#include "windows/hyper_log_log.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/stable_hash.hpp"
#include "state/key_words.hpp"
#include "windows/state_columns.hpp"

namespace pystream::windows {

namespace {

constexpr int kDenseBits = 14;
constexpr int64_t kDenseRegisters = int64_t{1} << kDenseBits;
constexpr int kDenseMax = 64 - kDenseBits + 1;  // the largest value of a register
constexpr int kSparseBits = 25;
constexpr double kSparseRegisters = static_cast<double>(int64_t{1} << kSparseBits);
constexpr int kMoreBits = kSparseBits - kDenseBits;
// A sparse slot takes at most as much memory as a dense one.
constexpr int64_t kMaxSparse = 2048;

// One more than the zeros in front of the first one of `bits` bits.
uint32_t rank(uint64_t value, int bits) {
  return value == 0 ? static_cast<uint32_t>(bits) + 1
                    : static_cast<uint32_t>(bits - static_cast<int>(std::bit_width(value))) + 1;
}

// The register that a sparse register is a part of, and its value there.
struct DenseRegister {
  uint32_t number;
  uint32_t value;
};

DenseRegister to_dense(uint32_t number, uint32_t value) {
  const uint32_t more = number & ((1u << kMoreBits) - 1);
  return {number >> kMoreBits,
          more == 0 ? static_cast<uint32_t>(kMoreBits) + value : rank(more, kMoreBits)};
}

// Ertl's sigma and tau: series for the registers that are zero, and those at the maximum.
double sigma(double x) {
  if (x == 1) return std::numeric_limits<double>::infinity();
  double y = 1;
  double z = x;
  for (double before = -1; z != before;) {
    x *= x;
    before = z;
    z += x * y;
    y += y;
  }
  return z;
}

double tau(double x) {
  if (x == 0 || x == 1) return 0;
  double y = 1;
  double z = 1 - x;
  for (double before = -1; z != before;) {
    x = std::sqrt(x);
    before = z;
    y *= 0.5;
    z -= (1 - x) * (1 - x) * y;
  }
  return z / 3;
}

// The hash of each value of a plain array, for the rows listed.
std::vector<uint64_t> hash_rows(const Array& plain, const std::vector<int32_t>& rows) {
  std::vector<uint64_t> hashes;
  if (plain.type.is_var_binary() || plain.type.id == TypeId::kDecimal128) {
    std::vector<std::string_view> strings;
    state::collect_strings(plain, rows, false, &strings);
    hashes.resize(strings.size());
    std::transform(strings.begin(), strings.end(), hashes.begin(), stable_hash_bytes);
  } else {
    state::collect_words(plain, rows, false, &hashes);
  }
  // Hashes of bytes, too: those of short texts still show what the texts have in common.
  for (uint64_t& hash : hashes) hash = stable_hash_u64(hash);
  return hashes;
}

[[noreturn]] void throw_damaged() {
  throw Error(
      ErrorCode::kCheckpoint,
      "the registers of an approximate distinct count in a snapshot are none. It is damaged.");
}

}  // namespace

void HyperLogLog::resize(int64_t slots) {
  sparse_.resize(slots);
  dense_.resize(slots);
}

void HyperLogLog::add(const SideRows& rows) {
  const bool is_encoded = rows.column.is_encoded();
  std::vector<int32_t> at(static_cast<size_t>(rows.count));
  for (int64_t i = 0; i < rows.count; ++i) {
    const int64_t row = rows.row(i);
    at[static_cast<size_t>(i)] = is_encoded ? rows.column.codes()[row] : static_cast<int32_t>(row);
  }
  const std::vector<uint64_t> hashes =
      hash_rows(is_encoded ? *rows.column.dictionary : rows.column, at);
  for (int64_t i = 0; i < rows.count; ++i) {
    add_hash(rows.slots[i], hashes[static_cast<size_t>(i)]);
  }
}

void HyperLogLog::add_hash(uint32_t slot, uint64_t hash) {
  if (dense_.has(slot)) {
    raise_dense(slot, static_cast<uint32_t>(hash >> (64 - kDenseBits)),
                rank(hash << kDenseBits >> kDenseBits, 64 - kDenseBits));
  } else {
    raise_sparse(slot, static_cast<uint32_t>(hash >> (64 - kSparseBits)),
                 rank(hash << kSparseBits >> kSparseBits, 64 - kSparseBits));
  }
}

void HyperLogLog::raise_sparse(uint32_t slot, uint32_t number, uint32_t value) {
  Register* held = sparse_.find_or_insert(slot, number);
  if (held->value() < value) held->word = number << 6 | value;
  if (sparse_.size(slot) > kMaxSparse) make_dense(slot);
}

void HyperLogLog::raise_dense(uint32_t slot, uint32_t number, uint32_t value) {
  uint8_t* held = dense_.data(slot) + number;
  *held = std::max(*held, static_cast<uint8_t>(value));
}

void HyperLogLog::make_dense(uint32_t slot) {
  dense_.reserve(slot, kDenseRegisters);
  dense_.set_size(slot, kDenseRegisters);
  std::memset(dense_.data(slot), 0, kDenseRegisters);
  sparse_.for_each(slot, [&](const Register& held) {
    const DenseRegister wanted = to_dense(held.key(), held.value());
    raise_dense(slot, wanted.number, wanted.value);
  });
  sparse_.clear(slot);
}

void HyperLogLog::merge(const SideState& other, const uint32_t* slots, const uint32_t* other_slots,
                        int64_t count) {
  const auto& from = static_cast<const HyperLogLog&>(other);
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t slot = slots[i];
    if (from.dense_.has(other_slots[i])) {
      if (!dense_.has(slot)) make_dense(slot);
      const uint8_t* theirs = from.dense_.data(other_slots[i]);
      uint8_t* mine = dense_.data(slot);
      for (int64_t number = 0; number < kDenseRegisters; ++number) {
        mine[number] = std::max(mine[number], theirs[number]);
      }
      continue;
    }
    from.sparse_.for_each(other_slots[i], [&](const Register& theirs) {
      if (dense_.has(slot)) {
        const DenseRegister wanted = to_dense(theirs.key(), theirs.value());
        raise_dense(slot, wanted.number, wanted.value);
      } else {
        raise_sparse(slot, theirs.key(), theirs.value());
      }
    });
  }
}

void HyperLogLog::clear(uint32_t slot) {
  sparse_.clear(slot);
  dense_.clear(slot);
}

int64_t HyperLogLog::estimate(uint32_t slot) const {
  if (!dense_.has(slot)) {
    // Linear counting.
    const auto used = static_cast<double>(sparse_.size(slot));
    return std::llround(-kSparseRegisters * std::log1p(-used / kSparseRegisters));
  }
  std::array<int64_t, kDenseMax + 1> counts{};
  const uint8_t* registers = dense_.data(slot);
  for (int64_t i = 0; i < kDenseRegisters; ++i) ++counts[registers[i]];
  constexpr auto kCount = static_cast<double>(kDenseRegisters);
  double z = kCount * tau(1 - static_cast<double>(counts[kDenseMax]) / kCount);
  for (size_t value = kDenseMax - 1; value >= 1; --value) {
    z = 0.5 * (z + static_cast<double>(counts[value]));
  }
  z += kCount * sigma(static_cast<double>(counts[0]) / kCount);
  return std::llround(kCount * kCount / (2 * std::numbers::ln2 * z));
}

Array HyperLogLog::emit(const ResultLayout& result, std::span<const uint32_t> slots) const {
  Array array;
  array.type = result.field.type;
  array.length = static_cast<int64_t>(slots.size());
  MutableBuffer values(array.length * static_cast<int64_t>(sizeof(int64_t)));
  for (size_t i = 0; i < slots.size(); ++i) values.as<int64_t>()[i] = estimate(slots[i]);
  array.values = values.freeze();
  return array;
}

std::vector<Field> HyperLogLog::state_fields() const {
  return {state_list("sparse", DataType::of(TypeId::kUInt32)),
          state_field("dense", TypeId::kBinary)};
}

std::vector<Array> HyperLogLog::snapshot(std::span<const uint32_t> slots) const {
  std::vector<uint32_t> words;
  Array sparse = list_column<uint32_t>(
      DataType::of(TypeId::kUInt32), slots, [&](uint32_t slot, FixedBuilder<uint32_t>* out) {
        words.clear();
        sparse_.for_each(slot, [&](const Register& held) { words.push_back(held.word); });
        std::sort(words.begin(), words.end());
        for (const uint32_t word : words) out->append(word);
      });
  VarBinaryBuilder dense(DataType::of(TypeId::kBinary));
  for (const uint32_t slot : slots) {
    if (dense_.has(slot)) {
      dense.append(
          {reinterpret_cast<const char*>(dense_.data(slot)), static_cast<size_t>(kDenseRegisters)});
    } else {
      dense.append_null();
    }
  }
  return {std::move(sparse), dense.finish()};
}

void HyperLogLog::restore(std::span<const Array> columns) {
  for (int64_t row = 0; row < columns[0].length; ++row) {
    const auto slot = static_cast<uint32_t>(row);
    if (columns[1].is_valid(row)) {
      const std::string_view registers = columns[1].view(row);
      if (static_cast<int64_t>(registers.size()) != kDenseRegisters) throw_damaged();
      dense_.assign(slot, reinterpret_cast<const uint8_t*>(registers.data()), kDenseRegisters);
      // The estimate counts them by value.
      const uint8_t* held = dense_.data(slot);
      if (*std::max_element(held, held + kDenseRegisters) > kDenseMax) throw_damaged();
    }
    const ListRange range = list_range(columns[0], row);
    for (int64_t at = range.begin; at < range.end; ++at) {
      const Register held{columns[0].elements->data<uint32_t>()[at]};
      if (held.key() == kNoKey || held.key() >= 1u << kSparseBits) throw_damaged();
      raise_sparse(slot, held.key(), held.value());
    }
  }
}

}  // namespace pystream::windows
