// Times to strings of a format, and back.

#include <limits>

#include "expressions/detail/cast_kernels.hpp"
#include "expressions/detail/map_texts.hpp"
#include "expressions/detail/numbers.hpp"
#include "expressions/detail/time_format.hpp"

namespace pystream::expressions::detail {
namespace {

class FormatNode final : public Node {
 public:
  FormatNode(NodePtr child, TimeFormat format, std::string text)
      : Node(string_type(), child->nullable(), std::move(text)),
        child_(std::move(child)),
        format_(std::move(format)) {}

  Array compute(const Input& batch) const override {
    const Array in = child_->evaluate(batch);
    return in.type.id == TypeId::kDate32 ? rows<int32_t>(in) : rows<int64_t>(in);
  }

 private:
  template <typename T>
  Array rows(const Array& in) const {
    const int64_t tick = nanos_per_tick(in.type);
    const int64_t seconds_per_tick = std::max<int64_t>(tick / kNanosPerSecond, 1);
    const int64_t ticks_per_second = std::max<int64_t>(kNanosPerSecond / tick, 1);
    VarBinaryBuilder out(string_type());
    std::string formatted;
    for (int64_t i = 0; i < in.length; ++i) {
      if (!in.is_valid(i)) {
        out.append_null();
        continue;
      }
      const int64_t value = in.data<T>()[i];
      const int64_t seconds = floor_divide(value, ticks_per_second);
      int64_t rest = value % ticks_per_second;
      if (rest < 0) rest += ticks_per_second;
      formatted.clear();
      format_.format({seconds * seconds_per_tick, rest * (tick % kNanosPerSecond)}, &formatted);
      out.append(formatted);
    }
    return out.finish();
  }

  NodePtr child_;
  TimeFormat format_;
};

const std::string& format_of(const Expression& literal, const std::string& text) {
  if (const auto* value = std::get_if<std::string>(&literal.literal)) return *value;
  throw_type_error(text, literal.to_string() + " is not a format",
                   "Write it as a Python string, for example \"%Y-%m-%d\"");
}

}  // namespace

NodePtr bind_format(NodePtr child, const Expression& format, std::string text) {
  const DataType& type = child->type();
  if (type.id != TypeId::kTimestamp && type.id != TypeId::kDate32) {
    throw_type_error(
        text, "format takes timestamps and dates, but " + child->text() + " is " + type.to_string(),
        "Cast it to a timestamp first");
  }
  TimeFormat parsed(format_of(format, text), TimeFormat::Use::kFormat, text);
  return std::make_shared<FormatNode>(std::move(child), std::move(parsed), std::move(text));
}

NodePtr bind_parse(NodePtr child, std::span<const ExpressionPtr> arguments, OnFailure on_failure,
                   std::string text) {
  check_string(on_failure == OnFailure::kError ? Function::kParse : Function::kTryParse, *child,
               text);
  const DataType type = DataType::parse(format_of(*arguments[1], text));
  if (type.id != TypeId::kTimestamp && type.id != TypeId::kDate32) {
    throw_type_error(text, "parse gives timestamps and dates, not " + type.to_string(),
                     "Pass a type such as \"timestamp[us]\" or \"date32\"");
  }
  TimeFormat format(format_of(*arguments[0], text), TimeFormat::Use::kParse, text);
  CastKernel kernel = parse_times_kernel(
      type, [format = std::move(format)](std::string_view value) { return format.parse(value); });
  return make_cast(std::move(child), type, std::move(kernel), on_failure, std::move(text));
}

}  // namespace pystream::expressions::detail
