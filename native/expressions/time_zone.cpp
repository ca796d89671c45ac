// Instants on the clocks of a time zone, and back.

#include "expressions/detail/bitmap_words.hpp"
#include "expressions/detail/families.hpp"
#include "expressions/detail/numbers.hpp"
#include "expressions/detail/zone.hpp"

namespace pystream::expressions::detail {
namespace {

using Choice = LocalTimeRules::Choice;

// A time as whole seconds, floor, and the ticks above.
struct Split {
  int64_t seconds;
  int64_t rest;
};

Split split(int64_t value, int64_t ticks) {
  const int64_t seconds = floor_divide(value, ticks);
  return {seconds,
          static_cast<int64_t>(static_cast<uint64_t>(value) -
                               static_cast<uint64_t>(seconds) * static_cast<uint64_t>(ticks))};
}

bool join(int64_t seconds, int64_t rest, int64_t ticks, int64_t* value) {
  int64_t whole;
  if (__builtin_mul_overflow(seconds, ticks, &whole)) {
    // The first second of the range begins before it.
    const __int128 exact = static_cast<__int128>(seconds) * ticks + rest;
    *value = static_cast<int64_t>(exact);
    return exact == *value;
  }
  return !__builtin_add_overflow(whole, rest, value);
}

[[noreturn]] void throw_overflow(const Node& node, int64_t row, int64_t value) {
  throw_row_error(node.text(), row,
                  "integer overflow: the time of " + number_text(value) +
                      " in this zone does not fit " + node.type().to_string(),
                  "Cast to a coarser unit first");
}

class AtZoneNode final : public Node {
 public:
  AtZoneNode(NodePtr child, Zone zone, std::string text)
      : Node(DataType::timestamp(child->type().unit), child->nullable(), std::move(text)),
        child_(std::move(child)),
        zone_(std::move(zone)) {}

  Array compute(const Input& batch) const override {
    const Array in = child_->evaluate(batch);
    const int64_t ticks = ticks_per_second(type().unit);
    MutableBuffer out(in.length * static_cast<int64_t>(sizeof(int64_t)));
    Zone::Span span;  // that of the row before, which is mostly that of the next
    for (int64_t i = 0; i < in.length; ++i) {
      const int64_t value = in.data<int64_t>()[i];
      const int64_t seconds = floor_divide(value, ticks);
      if (!span.holds(seconds)) span = zone_.span_at(seconds);
      const bool fits = !__builtin_add_overflow(value, span.offset * ticks, out.as<int64_t>() + i);
      if (!fits && in.is_valid(i)) throw_overflow(*this, i, value);
    }
    return fixed_array(type(), in.length, out.freeze(), validity_of(in));
  }

 private:
  NodePtr child_;
  Zone zone_;
};

class FromZoneNode final : public Node {
 public:
  FromZoneNode(NodePtr child, const std::string& name, Zone zone, LocalTimeRules rules,
               std::string text)
      : Node(DataType::timestamp(child->type().unit, name),
             child->nullable() || rules.ambiguous == Choice::kNull ||
                 rules.nonexistent == Choice::kNull,
             std::move(text)),
        child_(std::move(child)),
        zone_(std::move(zone)),
        rules_(rules) {}

  Array compute(const Input& batch) const override {
    const Array in = child_->evaluate(batch);
    MutableBuffer out(in.length * static_cast<int64_t>(sizeof(int64_t)));
    Validity validity = make_validity(in.length, [&](int64_t word) {
      uint64_t bits = 0;
      const int64_t begin = word * 64;
      const int64_t end = std::min(begin + 64, in.length);
      for (int64_t i = begin; i < end; ++i) {
        out.as<int64_t>()[i] = 0;
        if (!in.is_valid(i)) continue;
        const bool known = convert(in.data<int64_t>()[i], i, out.as<int64_t>() + i);
        bits |= static_cast<uint64_t>(known) << (i - begin);
      }
      return bits;
    });
    return fixed_array(type(), in.length, out.freeze(), std::move(validity));
  }

 private:
  // False: the row is null.
  bool convert(int64_t value, int64_t row, int64_t* out) const {
    const int64_t ticks = ticks_per_second(type().unit);
    const auto [seconds, rest] = split(value, ticks);
    const Zone::Instants instants = zone_.instants_of(seconds);
    int64_t instant = instants.count == 0 ? instants.shifted : instants.earliest;
    if (instants.count != 1) {
      const Choice choice = instants.count == 0 ? rules_.nonexistent : rules_.ambiguous;
      if (choice == Choice::kNull) return false;
      if (choice == Choice::kError) throw_choice(instants.count, row, value);
      if (choice == Choice::kLatest) instant = instants.latest;
    }
    if (!join(instant, rest, ticks, out)) throw_overflow(*this, row, value);
    return true;
  }

  [[noreturn]] void throw_choice(int64_t count, int64_t row, int64_t value) const {
    throw_row_error(text(), row,
                    "a clock of " + type().timezone + " shows the time " + number_text(value) +
                        (count == 0 ? " never" : " twice"),
                    count == 0 ? "Pass nonexistent=\"shift\" or \"null\""
                               : "Pass ambiguous=\"earliest\", \"latest\" or \"null\"");
  }

  NodePtr child_;
  Zone zone_;
  LocalTimeRules rules_;
};

// Rounded down on the clock. Where that shows the result twice it is the one with the offset of the
// time itself, if there is one; where never, it is the end of the gap.
class ZonedTruncateNode final : public Node {
 public:
  // `local` truncates the time of `child` on the clock.
  ZonedTruncateNode(NodePtr child, NodePtr local, Zone zone, std::string text)
      : Node(child->type(), child->nullable(), std::move(text)),
        child_(std::move(child)),
        local_(std::move(local)),
        zone_(std::move(zone)) {}

  Array compute(const Input& batch) const override {
    const Array in = child_->evaluate(batch);
    const Array local = local_->evaluate(batch);
    const int64_t ticks = ticks_per_second(type().unit);
    MutableBuffer out(in.length * static_cast<int64_t>(sizeof(int64_t)));
    Zone::Span span;
    for (int64_t i = 0; i < in.length; ++i) {
      out.as<int64_t>()[i] = 0;
      if (!in.is_valid(i)) continue;
      const int64_t seconds = floor_divide(in.data<int64_t>()[i], ticks);
      if (!span.holds(seconds)) span = zone_.span_at(seconds);
      const auto [at, rest] = split(local.data<int64_t>()[i], ticks);
      int64_t instant = at - span.offset;
      if (!span.holds(instant) && zone_.offset_at(instant) != span.offset) {
        const Zone::Instants instants = zone_.instants_of(at);
        instant = instants.count == 0 ? instants.shifted : instants.earliest;
      }
      if (!join(instant, rest, ticks, out.as<int64_t>() + i)) {
        throw_truncate_error(*this, i, in.data<int64_t>()[i]);
      }
    }
    return fixed_array(type(), in.length, out.freeze(), validity_of(in));
  }

 private:
  NodePtr child_;
  NodePtr local_;
  Zone zone_;
};

Zone zone_of(const Expression& literal, const std::string& text) {
  if (auto zone = Zone::parse(literal.zone_table)) return *std::move(zone);
  throw_type_error(text, literal.to_string() + " is not a time zone",
                   "Pass a name such as \"Europe/Berlin\"");
}

void check_timestamp(Function function, const Node& node, const std::string& text) {
  if (node.type().id == TypeId::kTimestamp) return;
  const bool is_date = node.type().id == TypeId::kDate32;
  throw_type_error(
      text,
      std::string(name_of(function)) + " takes timestamps, but " + node.text() + " is " +
          node.type().to_string(),
      is_date ? "Cast it to a timestamp if its midnight is meant" : "Cast it to a timestamp first");
}

Choice choice_of(const Expression& literal, const std::string& text) {
  const auto* name = std::get_if<std::string>(&literal.literal);
  if (name != nullptr) {
    if (*name == "earliest" || *name == "shift") return Choice::kEarliest;
    if (*name == "latest") return Choice::kLatest;
    if (*name == "null") return Choice::kNull;
    if (*name == "error") return Choice::kError;
  }
  throw_type_error(text, literal.to_string() + " is no choice",
                   "Use \"earliest\", \"latest\", \"shift\", \"null\" or \"error\"");
}

}  // namespace

NodePtr bind_at_zone(NodePtr child, const Expression& zone, std::string text) {
  check_timestamp(Function::kAtZone, *child, text);
  return std::make_shared<AtZoneNode>(std::move(child), zone_of(zone, text), std::move(text));
}

NodePtr bind_from_zone(NodePtr child, std::span<const ExpressionPtr> arguments, std::string text) {
  check_timestamp(Function::kFromZone, *child, text);
  if (!child->type().timezone.empty()) {
    throw_type_error(text,
                     "from_zone takes what a clock shows, but " + child->text() + " is " +
                         child->type().to_string() + ", which is an instant",
                     "Use it as it is, or at_zone() for what a clock shows");
  }
  const auto* name = std::get_if<std::string>(&arguments[0]->literal);
  Zone zone = zone_of(*arguments[0], text);
  const LocalTimeRules rules{choice_of(*arguments[1], text), choice_of(*arguments[2], text)};
  return std::make_shared<FromZoneNode>(std::move(child), *name, std::move(zone), rules,
                                        std::move(text));
}

NodePtr bind_zoned_truncate(NodePtr child, const Expression& step, const Expression& zone,
                            std::string text) {
  check_timestamp(Function::kTruncate, *child, text);
  Zone table = zone_of(zone, text);
  NodePtr local = bind_truncate(std::make_shared<AtZoneNode>(child, table, text), step, text);
  return std::make_shared<ZonedTruncateNode>(std::move(child), std::move(local), std::move(table),
                                             std::move(text));
}

}  // namespace pystream::expressions::detail
