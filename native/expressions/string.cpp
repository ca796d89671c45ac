// Strings and binary compare bytewise, and are searched bytewise: in UTF-8 no code point begins
// within another. Against a constant the work is done once per dictionary
// entry where the column is encoded, and the codes are mapped.

#include <unordered_set>
#include <vector>

#include "expressions/detail/bitmap_words.hpp"
#include "expressions/detail/comparison_kernels.hpp"
#include "expressions/detail/comparison_ops.hpp"
#include "expressions/detail/families.hpp"
#include "expressions/detail/string_reader.hpp"
#include "expressions/detail/vectorize.hpp"

namespace pystream::expressions::detail {
namespace {

// truth[codes[i]] for 64 codes at a time.
void map_codes(const uint8_t* truth, const int32_t* codes, int64_t rows, uint64_t* out) {
  uint8_t bytes[64] = {};
  for (int64_t i = 0; i < rows; i += 64) {
    const int64_t block = std::min<int64_t>(64, rows - i);
    for (int64_t j = 0; j < block; ++j) bytes[j] = truth[codes[i + j]];
    if (block < 64) std::memset(bytes + block, 0, static_cast<size_t>(64 - block));
    out[i / 64] = pack_bytes(bytes);
  }
}

template <typename Predicate>
Buffer test_rows(const Array& array, const Predicate& predicate) {
  const StringReader read(array);
  return make_bitmap(array.length, [&](int64_t word) {
    uint64_t bits = 0;
    const int64_t begin = word * 64;
    const int64_t end = std::min(begin + 64, array.length);
    for (int64_t i = begin; i < end; ++i) {
      bits |= static_cast<uint64_t>(predicate(read[i])) << (i - begin);
    }
    return bits;
  });
}

template <typename Predicate>
Buffer test_entries(const Array& array, const Predicate& predicate) {
  const Array& dictionary = *array.dictionary;
  std::vector<uint8_t> truth(static_cast<size_t>(dictionary.length));
  int64_t matches = 0;
  int32_t last = 0;
  for (int64_t i = 0; i < dictionary.length; ++i) {
    const bool match = predicate(dictionary.view(i));
    truth[static_cast<size_t>(i)] = match;
    matches += match;
    if (match) last = static_cast<int32_t>(i);
  }
  if (matches == 0 || matches == dictionary.length) {
    const uint64_t word = matches == 0 ? 0 : ~uint64_t{0};
    return make_bitmap(array.length, [word](int64_t) { return word; });
  }
  MutableBuffer out(bitmap_bytes(array.length));
  if (matches == 1) {
    vectorized<&compare_loop<Equal, Column<int32_t>, Repeated<int32_t>>>(
        Column<int32_t>{array.codes()}, Repeated<int32_t>{last}, array.length, out.as<uint64_t>());
  } else {
    map_codes(truth.data(), array.codes(), array.length, out.as<uint64_t>());
  }
  return out.freeze();
}

// A bitmap of predicate(value) per row, arbitrary below nulls.
template <typename Predicate>
Buffer test_strings(const Array& array, const Predicate& predicate) {
  return pays_per_entry(array) ? test_entries(array, predicate) : test_rows(array, predicate);
}

bool holds(Function function, std::string_view left, std::string_view right) {
  switch (function) {
    case Function::kEqual:
      return left == right;
    case Function::kNotEqual:
      return left != right;
    case Function::kLess:
      return left < right;
    case Function::kLessEqual:
      return left <= right;
    case Function::kGreater:
      return left > right;
    case Function::kContains:
      return left.find(right) != std::string_view::npos;
    case Function::kStartsWith:
      return left.starts_with(right);
    case Function::kEndsWith:
      return left.ends_with(right);
    default:
      return left >= right;
  }
}

// Lets a set of strings be asked for a string_view.
struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

class StringCompareNode final : public Node {
 public:
  StringCompareNode(Function function, NodePtr left, NodePtr right, std::string text)
      : Node(DataType::of(TypeId::kBool), left->nullable() || right->nullable(), std::move(text)),
        function_(function),
        left_(std::move(left)),
        right_(std::move(right)) {}

  Array compute(const Input& batch) const override {
    const Array left = left_->evaluate(batch);
    if (const Constant* constant = right_->constant()) {
      return bool_array(left.length, with_constant(left, constant->text()), validity_of(left));
    }
    const Array right = right_->evaluate(batch);
    const StringReader a(left);
    const StringReader b(right);
    Buffer bits = make_bitmap(left.length, [&](int64_t word) {
      uint64_t value = 0;
      const int64_t begin = word * 64;
      const int64_t end = std::min(begin + 64, left.length);
      for (int64_t i = begin; i < end; ++i) {
        value |= static_cast<uint64_t>(holds(function_, a[i], b[i])) << (i - begin);
      }
      return value;
    });
    return bool_array(left.length, std::move(bits), both_valid(left, right));
  }

 private:
  Buffer with_constant(const Array& left, std::string_view constant) const {
    switch (function_) {
      case Function::kEqual:
        return test_strings(left, [constant](std::string_view v) { return v == constant; });
      case Function::kNotEqual:
        return test_strings(left, [constant](std::string_view v) { return v != constant; });
      default:
        return test_strings(left, [constant, function = function_](std::string_view v) {
          return holds(function, v, constant);
        });
    }
  }

  Function function_;
  NodePtr left_;
  NodePtr right_;
};

}  // namespace

NodePtr make_string_comparison(Function function, NodePtr left, NodePtr right, std::string text) {
  if (is_null_constant(*left) || is_null_constant(*right)) {
    return make_constant(DataType::of(TypeId::kBool), {}, std::move(text));
  }
  const bool can_swap = function <= Function::kGreaterEqual;
  if (can_swap && left->constant() != nullptr && right->constant() == nullptr) {
    std::swap(left, right);
    function = mirrored(function);
  }
  return std::make_shared<StringCompareNode>(function, std::move(left), std::move(right),
                                             std::move(text));
}

Finder find_where(std::function<bool(std::string_view)> predicate) {
  return [predicate = std::move(predicate)](const Array& array) {
    return test_strings(array, predicate);
  };
}

Finder find_strings(std::vector<std::string> members) {
  auto lookup = std::make_shared<std::unordered_set<std::string, TextHash, std::equal_to<>>>();
  for (std::string& member : members) lookup->insert(std::move(member));
  return [lookup](const Array& array) {
    return test_strings(array, [&](std::string_view v) { return lookup->contains(v); });
  };
}

}  // namespace pystream::expressions::detail
