// Upper and lower case, as Python's str has them: Unicode's full mapping, in which a letter may
// become several, and a Greek sigma at the end of a word another one.

#include <algorithm>

#include "expressions/detail/case_table.hpp"
#include "expressions/detail/families.hpp"
#include "expressions/detail/map_texts.hpp"
#include "expressions/detail/utf8.hpp"
#include "expressions/detail/vectorize.hpp"

namespace pystream::expressions::detail {
namespace {

constexpr uint32_t kSigma = 0x3a3;
constexpr std::string_view kFinalSigma = "\u03c2";

const CodeRange* find_range(std::span<const CodeRange> ranges, uint32_t code) {
  const auto after =
      std::upper_bound(ranges.begin(), ranges.end(), code,
                       [](uint32_t value, const CodeRange& range) { return value < range.first; });
  if (after == ranges.begin()) return nullptr;
  const CodeRange& range = *(after - 1);
  return code <= range.last ? &range : nullptr;
}

// Appends what `code` becomes, or `bytes`, which are its own.
void append_mapped(const CaseTable& table, uint32_t code, std::string_view bytes,
                   std::string* out) {
  const auto after =
      std::upper_bound(table.runs.begin(), table.runs.end(), code,
                       [](uint32_t value, const CaseRun& run) { return value < run.first; });
  if (after != table.runs.begin()) {
    const CaseRun& run = *(after - 1);
    if (code <= run.last && (code - run.first) % run.step == 0) {
      return append_utf8(code + static_cast<uint32_t>(run.delta), out);
    }
  }
  const auto special =
      std::lower_bound(table.special.begin(), table.special.end(), code,
                       [](const SpecialCase& entry, uint32_t value) { return entry.code < value; });
  const bool is_special = special != table.special.end() && special->code == code;
  out->append(is_special ? special->text : bytes);
}

// Whether the sigma between `before` and `after` ends a word: a letter is before it and none
// behind it, looking through marks and the like.
bool ends_word(std::string_view before, std::string_view after) {
  const auto take_last = [](std::string_view* text) {
    const size_t size = bytes_of_last(*text, 1);
    const uint32_t code = decode_utf8(text->substr(text->size() - size));
    text->remove_suffix(size);
    return code;
  };
  const auto take_first = [](std::string_view* text) {
    const size_t size = bytes_of_first(*text, 1);
    const uint32_t code = decode_utf8(text->substr(0, size));
    text->remove_prefix(size);
    return code;
  };
  const auto meets_letter = [](std::string_view text, const auto& take) {
    while (!text.empty()) {
      const uint32_t code = take(&text);
      if (find_range(kIgnorableRanges, code) == nullptr) {
        return find_range(kCasedRanges, code) != nullptr;
      }
    }
    return false;
  };
  return meets_letter(before, take_last) && !meets_letter(after, take_first);
}

// 'A' to 'Z' or 'a' to 'z': the letters that differ in one bit from the other case.
template <char first>
void flip_loop(const uint8_t* in, int64_t size, uint8_t* out) {
  for (int64_t i = 0; i < size; ++i) {
    const auto from_first = static_cast<uint8_t>(in[i] - first);
    out[i] = static_cast<uint8_t>(in[i] ^ (from_first < 26 ? 0x20 : 0));
  }
}

uint8_t union_loop(const uint8_t* in, int64_t size) {
  uint8_t bits = 0;
  for (int64_t i = 0; i < size; ++i) bits |= in[i];
  return bits;
}

class CaseNode final : public Node {
 public:
  CaseNode(bool to_lower, NodePtr child, std::string text)
      : Node(string_type(), child->nullable(), std::move(text)),
        to_lower_(to_lower),
        child_(std::move(child)) {}

  Array compute(const Input& batch) const override {
    const Array in = child_->evaluate(batch);
    if (!in.is_encoded() && in.length > 0) {
      const int32_t* offsets = in.offsets.as<int32_t>();
      const uint8_t* bytes = in.values.data + offsets[0];
      const int64_t size = offsets[in.length] - offsets[0];
      if (size > 0 && vectorized<&union_loop>(bytes, size) < 0x80) return ascii(in, bytes, size);
    }
    std::string converted;
    return map_texts(in, [&](std::string_view text) -> std::string_view {
      converted.clear();
      convert(text, &converted);
      return converted;
    });
  }

 private:
  // All rows at once: no byte moves, so the offsets stay.
  Array ascii(const Array& in, const uint8_t* bytes, int64_t size) const {
    const int64_t begin = in.offsets.as<int32_t>()[0];
    MutableBuffer out(begin + size);
    std::memset(out.data(), 0, static_cast<size_t>(begin));
    if (to_lower_) {
      vectorized<&flip_loop<'A'>>(bytes, size, out.data() + begin);
    } else {
      vectorized<&flip_loop<'a'>>(bytes, size, out.data() + begin);
    }
    Array result = in;
    result.type = type();
    result.values = out.freeze();
    return result;
  }

  void convert(std::string_view text, std::string* out) const {
    const CaseTable& table = to_lower_ ? kLowerTable : kUpperTable;
    const char first = to_lower_ ? 'A' : 'a';
    for (size_t i = 0; i < text.size();) {
      const char c = text[i];
      if (static_cast<uint8_t>(c) < 0x80) {
        const bool flips = static_cast<uint8_t>(c - first) < 26;
        out->push_back(static_cast<char>(c ^ (flips ? 0x20 : 0)));
        ++i;
        continue;
      }
      const size_t size = bytes_of_first(text.substr(i), 1);
      const std::string_view bytes = text.substr(i, size);
      const uint32_t code = decode_utf8(bytes);
      if (to_lower_ && code == kSigma && ends_word(text.substr(0, i), text.substr(i + size))) {
        out->append(kFinalSigma);
      } else {
        append_mapped(table, code, bytes, out);
      }
      i += size;
    }
  }

  bool to_lower_;
  NodePtr child_;
};

}  // namespace

NodePtr make_case_change(Function function, NodePtr child, std::string text) {
  return std::make_shared<CaseNode>(function == Function::kLower, std::move(child),
                                    std::move(text));
}

}  // namespace pystream::expressions::detail
