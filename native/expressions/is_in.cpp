// Membership in a list of literals, with SQL's nulls: x IN (a, b) is x = a OR x = b.

#include <algorithm>
#include <vector>

#include "expressions/detail/bitmap_words.hpp"
#include "expressions/detail/comparison_ops.hpp"
#include "expressions/detail/families.hpp"
#include "expressions/detail/literal.hpp"
#include "expressions/detail/numbers.hpp"
#include "expressions/detail/vectorize.hpp"

namespace pystream::expressions::detail {
namespace {

// Up to so many members are compared one after the other, which vectorizes; more are searched.
constexpr size_t kMaxLinearMembers = 12;

template <typename T>
void linear_loop(const T* values, const T* members, int64_t member_count, int64_t rows,
                 uint64_t* __restrict out) {
  for (int64_t i = 0; i < rows; i += 64) {
    uint8_t truth[64] = {};
    const int64_t block = std::min<int64_t>(64, rows - i);
    for (int64_t m = 0; m < member_count; ++m) {
      const T member = members[m];
      for (int64_t j = 0; j < block; ++j) truth[j] |= values[i + j] == member;
    }
    out[i / 64] = pack_bytes(truth);
  }
}

template <typename T>
Buffer find_members(const Array& array, const std::vector<T>& members) {
  const T* values = array.data<T>();
  MutableBuffer out(bitmap_bytes(array.length));
  if (members.size() <= kMaxLinearMembers) {
    vectorized<&linear_loop<T>>(values, members.data(), static_cast<int64_t>(members.size()),
                                array.length, out.as<uint64_t>());
    return out.freeze();
  }
  return make_bitmap(array.length, [&](int64_t word) {
    uint64_t bits = 0;
    const int64_t begin = word * 64;
    const int64_t end = std::min(begin + 64, array.length);
    for (int64_t i = begin; i < end; ++i) {
      const bool found = std::binary_search(members.begin(), members.end(), values[i]);
      bits |= static_cast<uint64_t>(found) << (i - begin);
    }
    return bits;
  });
}

Buffer find_decimals(const Array& array, const std::vector<Constant>& members) {
  return make_bitmap(array.length, [&](int64_t word) {
    uint64_t bits = 0;
    const int64_t begin = word * 64;
    const int64_t end = std::min(begin + 64, array.length);
    for (int64_t i = begin; i < end; ++i) {
      __int128 value;
      std::memcpy(&value, array.values.data + i * 16, 16);
      const bool found = std::any_of(members.begin(), members.end(), [&](const Constant& member) {
        return member.number<__int128>() == value;
      });
      bits |= static_cast<uint64_t>(found) << (i - begin);
    }
    return bits;
  });
}

Buffer find_bools(const Array& array, const std::vector<Constant>& members) {
  uint64_t when_true = 0;
  uint64_t when_false = 0;
  for (const Constant& member : members) {
    (member.truth() ? when_true : when_false) = ~uint64_t{0};
  }
  const BitmapReader bits(array.values.data, array.length);
  return make_bitmap(array.length, [&](int64_t i) {
    return (bits.word(i) & when_true) | (~bits.word(i) & when_false);
  });
}

Finder make_finder(const DataType& type, std::vector<Constant> members) {
  if (type.is_bool()) {
    return
        [members = std::move(members)](const Array& array) { return find_bools(array, members); };
  }
  if (type.is_var_binary()) {
    std::vector<std::string> words;
    for (const Constant& member : members) words.push_back(member.text());
    return find_strings(std::move(words));
  }
  if (type.id == TypeId::kDecimal128) {
    return [members = std::move(members)](const Array& array) {
      return find_decimals(array, members);
    };
  }
  return visit_fixed(type, [&](auto zero) -> Finder {
    using T = decltype(zero);
    std::vector<T> values;
    for (const Constant& member : members) values.push_back(member.number<T>());
    std::sort(values.begin(), values.end());
    return [values](const Array& array) { return find_members<T>(array, values); };
  });
}

class IsInNode final : public Node {
 public:
  IsInNode(NodePtr child, std::vector<Constant> members, bool has_null, std::string text)
      : Node(DataType::of(TypeId::kBool), child->nullable() || has_null, std::move(text)),
        child_(std::move(child)),
        finder_(make_finder(child_->type(), std::move(members))),
        has_null_(has_null) {}

  Array compute(const Input& batch) const override {
    const Array child = child_->evaluate(batch);
    Buffer bits = finder_(child);
    Validity validity = validity_of(child);
    if (has_null_) {
      // Not found beside a null in the list: it could be that null, so unknown.
      const BitmapReader found(bits.data, child.length);
      const BitmapReader valid = validity_reader(child);
      validity =
          make_validity(child.length, [&](int64_t i) { return found.word(i) & valid.word(i); });
    }
    return bool_array(child.length, std::move(bits), std::move(validity));
  }

 private:
  NodePtr child_;
  Finder finder_;
  bool has_null_;
};

}  // namespace

NodePtr bind_is_in(NodePtr child, std::span<const ExpressionPtr> members, std::string text) {
  if (members.empty()) {
    // Nothing is in an empty list, not even an unknown value.
    return make_constant(DataType::of(TypeId::kBool), Constant{false}, std::move(text));
  }
  std::vector<Constant> constants;
  bool has_null = false;
  for (const ExpressionPtr& member : members) {
    if (member->kind != Expression::Kind::kLiteral) {
      throw_type_error(text, member->to_string() + " is not a literal",
                       "List values in isin, or compare columns with == and |");
    }
    if (is_null_literal(*member)) {
      has_null = true;
      continue;
    }
    const Bracket found = bracket(*member, child->type(), text);
    if (found.exact) constants.push_back(*found.below);
  }
  return std::make_shared<IsInNode>(std::move(child), std::move(constants), has_null,
                                    std::move(text));
}

}  // namespace pystream::expressions::detail
