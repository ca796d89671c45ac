// Tests for null and NaN, filling nulls and making them.

#include <cmath>

#include "columns/builder.hpp"
#include "expressions/detail/bitmap_words.hpp"
#include "expressions/detail/families.hpp"
#include "expressions/detail/literal.hpp"
#include "expressions/detail/string_reader.hpp"
#include "expressions/detail/vectorize.hpp"

namespace pystream::expressions::detail {
namespace {

class NullTestNode final : public Node {
 public:
  NullTestNode(bool is_null, NodePtr child, std::string text)
      : Node(DataType::of(TypeId::kBool), false, std::move(text)),
        is_null_(is_null),
        child_(std::move(child)) {}

  Array compute(const Input& batch) const override {
    const Array child = child_->evaluate(batch);
    const BitmapReader valid = validity_reader(child);
    const uint64_t flip = is_null_ ? ~uint64_t{0} : 0;
    return bool_array(child.length,
                      make_bitmap(child.length, [&](int64_t i) { return valid.word(i) ^ flip; }),
                      {});
  }

 private:
  bool is_null_;
  NodePtr child_;
};

template <typename T>
void nan_loop(const T* values, int64_t rows, uint64_t* __restrict out) {
  for (int64_t i = 0; i < rows; i += 64) {
    uint8_t truth[64] = {};
    const int64_t block = std::min<int64_t>(64, rows - i);
    for (int64_t j = 0; j < block; ++j) truth[j] = values[i + j] != values[i + j];
    out[i / 64] = pack_bytes(truth);
  }
}

template <typename T>
class IsNaNNode final : public Node {
 public:
  IsNaNNode(NodePtr child, std::string text)
      : Node(DataType::of(TypeId::kBool), child->nullable(), std::move(text)),
        child_(std::move(child)) {}

  Array compute(const Input& batch) const override {
    const Array child = child_->evaluate(batch);
    MutableBuffer out(bitmap_bytes(child.length));
    vectorized<&nan_loop<T>>(child.data<T>(), child.length, out.as<uint64_t>());
    return bool_array(child.length, out.freeze(), validity_of(child));
  }

 private:
  NodePtr child_;
};

// Writes value[i] where valid and fill[i] elsewhere; `step` 0 repeats one fill value.
template <typename T>
void fill_rows(const Array& array, const uint8_t* fill, int64_t step, uint8_t* out) {
  const BitmapReader valid = validity_reader(array);
  for (int64_t begin = 0; begin < array.length; begin += 64) {
    const int64_t end = std::min(begin + 64, array.length);
    const uint64_t word = valid.word(begin / 64);
    for (int64_t i = begin; i < end; ++i) {
      // memcpy, because 16-byte values need not be aligned.
      T a;
      T b;
      std::memcpy(&a, array.values.data + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
      std::memcpy(&b, fill + i * step, sizeof(T));
      const T value = (word >> (i - begin)) & 1 ? a : b;
      std::memcpy(out + i * static_cast<int64_t>(sizeof(T)), &value, sizeof(T));
    }
  }
}

Buffer fill_fixed(const Array& array, int width, const uint8_t* fill, int64_t step) {
  MutableBuffer out(array.length * width);
  switch (width) {
    case 1:
      fill_rows<uint8_t>(array, fill, step, out.data());
      break;
    case 2:
      fill_rows<uint16_t>(array, fill, step, out.data());
      break;
    case 4:
      fill_rows<uint32_t>(array, fill, step, out.data());
      break;
    case 8:
      fill_rows<uint64_t>(array, fill, step, out.data());
      break;
    default:
      fill_rows<__int128>(array, fill, step, out.data());
  }
  return out.freeze();
}

class FillNullNode final : public Node {
 public:
  FillNullNode(NodePtr child, NodePtr fill, std::string text)
      : Node(child->type(), child->nullable() && fill->nullable(), std::move(text)),
        child_(std::move(child)),
        fill_(std::move(fill)) {}

  Array compute(const Input& batch) const override {
    const Array child = child_->evaluate(batch);
    // Also when there is nothing to fill: whether the filling fails in a row must not depend on
    // the other rows of its batch.
    const Constant* constant = fill_->constant();
    Array fill;
    if (constant == nullptr) fill = fill_->evaluate(batch);
    if (child.null_count == 0) return child;
    const int width = type().byte_width();
    if (constant != nullptr && width > 0) {
      uint8_t value[16];
      store_constant(*constant, type(), value);
      return fixed_array(type(), child.length, fill_fixed(child, width, value, 0), {});
    }
    if (constant != nullptr && child.is_encoded()) return fill_codes(child);
    if (constant != nullptr) fill = fill_->evaluate(batch);
    if (type().is_var_binary()) return fill_strings(child, fill);
    if (type().is_bool()) return fill_bools(child, fill);
    return fixed_array(type(), child.length, fill_fixed(child, width, fill.values.data, width),
                       either_valid(child, fill));
  }

 private:
  static Validity either_valid(const Array& child, const Array& fill) {
    if (fill.null_count == 0) return {};
    const BitmapReader a = validity_reader(child);
    const BitmapReader b = validity_reader(fill);
    return make_validity(child.length, [&](int64_t i) { return a.word(i) | b.word(i); });
  }

  static Array fill_bools(const Array& child, const Array& fill) {
    const BitmapReader a(child.values.data, child.length);
    const BitmapReader b(fill.values.data, child.length);
    const BitmapReader valid = validity_reader(child);
    Buffer bits = make_bitmap(child.length, [&](int64_t i) {
      return (a.word(i) & valid.word(i)) | (b.word(i) & ~valid.word(i));
    });
    return bool_array(child.length, std::move(bits), either_valid(child, fill));
  }

  Array fill_strings(const Array& child, const Array& fill) const {
    const StringReader a(child);
    const StringReader b(fill);
    VarBinaryBuilder out(type());
    for (int64_t i = 0; i < child.length; ++i) {
      if (child.is_valid(i)) {
        out.append(a[i]);
      } else if (fill.is_valid(i)) {
        out.append(b[i]);
      } else {
        out.append_null();
      }
    }
    return out.finish();
  }

  // One more dictionary entry, and its code in the null rows.
  Array fill_codes(const Array& child) const {
    Array entry = *repeat_constant(*fill_->constant(), type(), 1).dictionary;
    entry.type = child.dictionary->type;
    const Array parts[] = {*child.dictionary, std::move(entry)};
    const auto code = static_cast<int32_t>(child.dictionary->length);
    Array codes = child;
    codes.dictionary = nullptr;
    Array result = fixed_array(
        type(), child.length,
        fill_fixed(codes, sizeof(int32_t), reinterpret_cast<const uint8_t*>(&code), 0), {});
    result.dictionary = std::make_shared<Array>(concat(parts));
    return result;
  }

  NodePtr child_;
  NodePtr fill_;
};

// A column that another node has computed.
class InputNode final : public Node {
 public:
  InputNode(size_t index, const Node& of)
      : Node(of.type(), of.nullable(), of.text()), index_(index) {}
  Array compute(const Input& batch) const override { return batch.column(index_); }

 private:
  size_t index_;
};

class NullIfNode final : public Node {
 public:
  // `condition` reads the values of `child` and, unless that is null, of `other` as columns 0 and
  // 1, so that neither is computed twice.
  NullIfNode(NodePtr child, NodePtr other, NodePtr condition, std::string text)
      : Node(child->type(), true, std::move(text)),
        child_(std::move(child)),
        other_(std::move(other)),
        condition_(std::move(condition)) {}

  Array compute(const Input& batch) const override {
    RecordBatch inputs{batch.schema, batch.num_rows, {child_->evaluate(batch)}};
    if (other_) inputs.columns.push_back(other_->evaluate(batch));
    const Array is_equal = condition_->evaluate(inputs);
    Array result = std::move(inputs.columns[0]);
    const BitmapReader valid = validity_reader(result);
    const BitmapReader equal(is_equal.values.data, result.length);
    const BitmapReader known = validity_reader(is_equal);
    Validity validity = make_validity(
        result.length, [&](int64_t i) { return valid.word(i) & ~(equal.word(i) & known.word(i)); });
    result.validity = std::move(validity.bits);
    result.null_count = validity.null_count;
    return result;
  }

 private:
  NodePtr child_;
  NodePtr other_;
  NodePtr condition_;
};

}  // namespace

bool is_same_kind(const DataType& type, const DataType& other) {
  return type == other || (type.is_var_binary() && type.id == other.id);
}

NodePtr bind_null_if(NodePtr child, Operand value, std::string text) {
  const Operand left{std::make_shared<InputNode>(0, *child), nullptr};
  Operand right = value;
  const bool right_is_input = value.node != nullptr && value.node->constant() == nullptr;
  if (right_is_input) {
    right.node = std::make_shared<InputNode>(1, *value.node);
  }
  NodePtr condition = bind_comparison(Function::kEqual, left, std::move(right), text);
  NodePtr other = right_is_input ? std::move(value.node) : nullptr;
  return std::make_shared<NullIfNode>(std::move(child), std::move(other), std::move(condition),
                                      std::move(text));
}

NodePtr bind_null_test(bool is_null, NodePtr child, std::string text) {
  return std::make_shared<NullTestNode>(is_null, std::move(child), std::move(text));
}

NodePtr bind_is_nan(NodePtr child, std::string text) {
  if (child->type().id == TypeId::kFloat64) {
    return std::make_shared<IsNaNNode<double>>(std::move(child), std::move(text));
  }
  if (child->type().id == TypeId::kFloat32) {
    return std::make_shared<IsNaNNode<float>>(std::move(child), std::move(text));
  }
  throw_type_error(text,
                   "is_nan takes floats, but " + child->text() + " is " + child->type().to_string(),
                   "Only floats have NaN; is_null() finds missing values of every type");
}

NodePtr bind_fill_null(NodePtr child, Operand fill, std::string text) {
  if (fill.literal) fill.node = literal_as(*fill.literal, child->type(), text);
  if (is_null_constant(*fill.node)) return child;
  const DataType& type = child->type();
  const DataType& other = fill.node->type();
  if (!is_same_kind(type, other)) {
    throw_type_error(text,
                     "cannot fill nulls of " + child->text() + " (" + type.to_string() + ") with " +
                         fill.node->text() + " (" + other.to_string() + ")",
                     "Cast one side to the type of the other");
  }
  return std::make_shared<FillNullNode>(std::move(child), std::move(fill.node), std::move(text));
}

}  // namespace pystream::expressions::detail
