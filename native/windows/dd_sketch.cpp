#include "windows/dd_sketch.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/error.hpp"
#include "columns/builder.hpp"
#include "windows/list_elements.hpp"
#include "windows/load_values.hpp"
#include "windows/state_columns.hpp"

namespace pystream::windows {

namespace {

using Limits = std::numeric_limits<double>;

[[noreturn]] void throw_damaged() {
  throw Error(ErrorCode::kCheckpoint,
              "the buckets of an approximate quantile in a snapshot are none. It is damaged.");
}

}  // namespace

// Buckets by number, with m = most_:
//
//   0: -infinity | 1 ... 2m + 1: negative | 2m + 2: zero | 2m + 3 ... 4m + 3: positive |
//   4m + 4: infinity | 4m + 5: NaN
QuantileBuckets::QuantileBuckets(double relative_error)
    : log_gamma_(std::log1p(relative_error) - std::log1p(-relative_error)),
      per_log_gamma_(1 / log_gamma_),
      log_middle_(std::log1p(-relative_error)),
      most_(static_cast<uint32_t>(std::ceil(std::log(Limits::max()) / log_gamma_)) + 1) {}

uint32_t QuantileBuckets::bucket_of(double value) const {
  const double size = std::fabs(value);
  const uint32_t zero = 2 * most_ + 2;
  if (size < Limits::min()) return zero;
  if (size > Limits::max()) return value < 0 ? 0 : 4 * most_ + 4;
  if (size != size) return nan_bucket();
  // Rounded up, without the call that std::ceil is on older processors.
  const double exact = std::log(size) * per_log_gamma_;
  const auto cut = static_cast<int32_t>(exact);
  const int32_t index = cut + (static_cast<double>(cut) < exact ? 1 : 0);
  const auto beyond = static_cast<uint32_t>(index + static_cast<int32_t>(most_)) + 1;
  return value < 0 ? zero - beyond : zero + beyond;
}

double QuantileBuckets::value_of(uint32_t bucket) const {
  const uint32_t zero = 2 * most_ + 2;
  if (bucket == zero) return 0;
  if (bucket == nan_bucket()) return Limits::quiet_NaN();
  if (bucket == 0 || bucket == 4 * most_ + 4) {
    return bucket == 0 ? -Limits::infinity() : Limits::infinity();
  }
  const uint32_t beyond = bucket < zero ? zero - bucket : bucket - zero;
  const double index = static_cast<double>(beyond) - 1 - static_cast<double>(most_);
  // The middle of the last bucket may lie beyond what float64 holds; its values do not.
  const double size = std::min(std::exp(index * log_gamma_ + log_middle_), Limits::max());
  return bucket < zero ? -size : size;
}

void DDSketch::add(const SideRows& rows) {
  if (type_.id == TypeId::kDecimal128) {
    add_values<__int128>(rows, std::pow(10.0, type_.scale));
  } else if (type_.is_floating()) {
    add_values<double>(rows, 1);
  } else if (type_.is_signed_integer()) {
    add_values<int64_t>(rows, 1);
  } else {
    add_values<uint64_t>(rows, 1);
  }
}

template <typename V>
void DDSketch::add_values(const SideRows& rows, double unit) {
  const auto count = static_cast<size_t>(rows.count);
  std::vector<V> scratch(count);
  const V* values =
      load_values<V>(rows.column, rows.indices, rows.begin, rows.count, scratch.data());
  std::vector<uint32_t> buckets(count);
  for (size_t i = 0; i < count; ++i) {
    buckets[i] = buckets_.bucket_of(static_cast<double>(values[i]) / unit);
  }
  for (size_t i = 0; i < count; ++i) {
    ++counts_.find_or_insert(rows.slots[i], buckets[i])->count;
  }
}

void DDSketch::merge(const SideState& other, const uint32_t* slots, const uint32_t* other_slots,
                     int64_t count) {
  const auto& from = static_cast<const DDSketch&>(other);
  for (int64_t i = 0; i < count; ++i) {
    from.counts_.for_each(other_slots[i], [&](const Bucket& theirs) {
      counts_.find_or_insert(slots[i], theirs.number)->count += theirs.count;
    });
  }
}

void DDSketch::sort_buckets(uint32_t slot, std::vector<Bucket>* out) const {
  std::vector<Bucket>& sorted = *out;
  sorted.clear();
  counts_.for_each(slot, [&](const Bucket& bucket) { sorted.push_back(bucket); });
  std::sort(sorted.begin(), sorted.end(),
            [](const Bucket& a, const Bucket& b) { return a.number < b.number; });
  // NaN is the last of them, and the result only where there is no other.
  if (sorted.size() > 1 && sorted.back().number == buckets_.nan_bucket()) sorted.pop_back();
}

double DDSketch::quantile_of(const std::vector<Bucket>& sorted, double quantile) const {
  int64_t total = 0;
  for (const Bucket& bucket : sorted) total += bucket.count;
  auto before = static_cast<int64_t>(quantile * static_cast<double>(total - 1));
  size_t at = 0;
  while (before >= sorted[at].count) before -= sorted[at++].count;
  return buckets_.value_of(sorted[at].number);
}

Array DDSketch::emit(const ResultLayout& result, std::span<const uint32_t> slots) const {
  if (result.kind == AggregateKind::kApproxQuantiles) return emit_lists(result, slots);
  FixedBuilder<double> builder(result.field.type);
  std::vector<Bucket> sorted;
  for (const uint32_t slot : slots) {
    sort_buckets(slot, &sorted);
    if (sorted.empty()) {
      builder.append_null();
    } else {
      builder.append(quantile_of(sorted, result.quantile));
    }
  }
  return builder.finish();
}

Array DDSketch::emit_lists(const ResultLayout& result, std::span<const uint32_t> slots) const {
  FixedBuilder<double> elements(*result.field.type.element);
  ListOffsets offsets;
  BitmapBuilder validity;
  std::vector<Bucket> sorted;
  for (const uint32_t slot : slots) {
    sort_buckets(slot, &sorted);
    validity.append(!sorted.empty());
    for (size_t i = 0; i < result.quantiles.size() && !sorted.empty(); ++i) {
      elements.append(quantile_of(sorted, result.quantiles[i]));
    }
    offsets.end_list(static_cast<size_t>(elements.length()));
  }
  Array lists = offsets.finish(elements.finish());
  lists.null_count = validity.length() - validity.ones();
  if (lists.null_count > 0) lists.validity = validity.finish();
  return lists;
}

std::vector<Field> DDSketch::state_fields() const {
  return {state_list("buckets", DataType::of(TypeId::kUInt32)),
          state_list("counts", DataType::of(TypeId::kInt64))};
}

std::vector<Array> DDSketch::snapshot(std::span<const uint32_t> slots) const {
  ListOffsets bucket_offsets, count_offsets;
  FixedBuilder<uint32_t> buckets(DataType::of(TypeId::kUInt32));
  FixedBuilder<int64_t> counts(DataType::of(TypeId::kInt64));
  std::vector<Bucket> sorted;
  for (const uint32_t slot : slots) {
    sorted.clear();
    counts_.for_each(slot, [&](const Bucket& bucket) { sorted.push_back(bucket); });
    std::sort(sorted.begin(), sorted.end(),
              [](const Bucket& a, const Bucket& b) { return a.number < b.number; });
    for (const Bucket& bucket : sorted) {
      buckets.append(bucket.number);
      counts.append(bucket.count);
    }
    bucket_offsets.end_list(static_cast<size_t>(buckets.length()));
    count_offsets.end_list(static_cast<size_t>(counts.length()));
  }
  return {bucket_offsets.finish(buckets.finish()), count_offsets.finish(counts.finish())};
}

void DDSketch::restore(std::span<const Array> columns) {
  for (int64_t row = 0; row < columns[0].length; ++row) {
    const ListRange buckets = list_range(columns[0], row);
    const ListRange counts = list_range(columns[1], row);
    if (buckets.end - buckets.begin != counts.end - counts.begin) throw_damaged();
    for (int64_t i = 0; i < buckets.end - buckets.begin; ++i) {
      const uint32_t number = columns[0].elements->data<uint32_t>()[buckets.begin + i];
      const int64_t count = columns[1].elements->data<int64_t>()[counts.begin + i];
      if (number > buckets_.nan_bucket() || count < 1) throw_damaged();
      counts_.find_or_insert(static_cast<uint32_t>(row), number)->count += count;
    }
  }
}

}  // namespace pystream::windows
