// A stable hash of one value: XXH64 over bytes in which equal values are equal, whatever the width
// of a number, the unit of a time, the scale of a decimal or the encoding of a string.

#include <cmath>
#include <limits>
#include <vector>

#include "base/xxhash64.hpp"
#include "expressions/detail/bitmap_words.hpp"
#include "expressions/detail/families.hpp"
#include "expressions/detail/numbers.hpp"
#include "expressions/detail/string_reader.hpp"

namespace pystream::expressions::detail {
namespace {

template <typename T>
uint64_t hash_of(T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  return xxhash64({bytes, sizeof(T)});
}

// -0.0 equals 0.0, and one NaN is as good as another.
uint64_t hash_float(double value) {
  if (std::isnan(value)) value = std::numeric_limits<double>::quiet_NaN();
  return hash_of(value == 0 ? 0.0 : value);
}

uint64_t hash_decimal(__int128 unscaled, int scale) {
  for (; scale > 0 && unscaled % 10 == 0; --scale) unscaled /= 10;
  char bytes[17];
  std::memcpy(bytes, &unscaled, 16);
  bytes[16] = static_cast<char>(scale);
  return xxhash64({bytes, sizeof bytes});
}

// Writes the hash of every row, whatever stands below the nulls.
void hash_rows(const Array& in, uint64_t* out) {
  if (in.type.is_bool()) {
    const uint64_t truths[2] = {hash_of(int64_t{0}), hash_of(int64_t{1})};
    for (int64_t i = 0; i < in.length; ++i) out[i] = truths[get_bit(in.values.data, i)];
    return;
  }
  if (in.type.id == TypeId::kDecimal128) {
    for (int64_t i = 0; i < in.length; ++i) {
      __int128 value;
      std::memcpy(&value, in.values.data + i * 16, 16);
      out[i] = hash_decimal(value, in.type.scale);
    }
    return;
  }
  visit_fixed(in.type, [&](auto zero) {
    using T = decltype(zero);
    const T* values = in.data<T>();
    if (in.type.is_temporal()) {
      const __int128 tick = nanos_per_tick(in.type);
      for (int64_t i = 0; i < in.length; ++i) {
        out[i] = hash_of(static_cast<__int128>(values[i]) * tick);
      }
    } else if constexpr (std::is_floating_point_v<T>) {
      for (int64_t i = 0; i < in.length; ++i) out[i] = hash_float(double{values[i]});
    } else if constexpr (std::is_same_v<T, uint64_t>) {
      for (int64_t i = 0; i < in.length; ++i) out[i] = hash_of(values[i]);
    } else {
      for (int64_t i = 0; i < in.length; ++i) out[i] = hash_of(int64_t{values[i]});
    }
  });
}

void hash_texts(const Array& in, uint64_t* out) {
  if (pays_per_entry(in)) {
    std::vector<uint64_t> entries;
    for (int64_t i = 0; i < in.dictionary->length; ++i) {
      entries.push_back(xxhash64(in.dictionary->view(i)));
    }
    for (int64_t i = 0; i < in.length; ++i) out[i] = entries[static_cast<size_t>(in.codes()[i])];
    return;
  }
  const StringReader read(in);
  for (int64_t i = 0; i < in.length; ++i) out[i] = xxhash64(read[i]);
}

class HashNode final : public Node {
 public:
  HashNode(NodePtr child, std::string text)
      : Node(DataType::of(TypeId::kUInt64), child->nullable(), std::move(text)),
        child_(std::move(child)) {}

  Array compute(const Input& batch) const override {
    const Array in = child_->evaluate(batch);
    MutableBuffer out(in.length * static_cast<int64_t>(sizeof(uint64_t)));
    if (in.type.is_var_binary()) {
      hash_texts(in, out.as<uint64_t>());
    } else {
      hash_rows(in, out.as<uint64_t>());
    }
    return fixed_array(type(), in.length, out.freeze(), validity_of(in));
  }

 private:
  NodePtr child_;
};

}  // namespace

NodePtr bind_hash(NodePtr child, std::string text) {
  return std::make_shared<HashNode>(std::move(child), std::move(text));
}

}  // namespace pystream::expressions::detail
