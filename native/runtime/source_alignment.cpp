#include "runtime/source_alignment.hpp"

#include <algorithm>
#include <optional>

#include "windows/event_times.hpp"

namespace pystream::runtime {

namespace {

const std::optional<WatermarkSpec>& watermark_of(const Node& node) {
  if (const auto* topic = std::get_if<TopicSourceSpec>(&node.spec)) return topic->watermark;
  return std::get<BatchSourceSpec>(node.spec).watermark;
}

}  // namespace

SourceAlignment::SourceAlignment(const Graph& graph, const Plan& plan)
    : plan_(plan), is_active_(plan.groups.size(), true), is_held_(plan.groups.size(), false) {
  for (size_t group = 0; group < plan.groups.size(); ++group) {
    for (const size_t source : plan.groups[group].sources) {
      const Node& node = graph.nodes()[static_cast<size_t>(plan.sources[source].node)];
      const auto& watermark = watermark_of(node);
      if (!watermark || !watermark->alignment) continue;
      members_[watermark->alignment->name].push_back({source, group,
                                                      windows::tick_ns(*node.watermark_type),
                                                      watermark->alignment->max_drift_ns});
    }
  }
}

bool SourceAlignment::has(size_t group) const {
  return std::any_of(members_.begin(), members_.end(), [&](const auto& alignment) {
    return std::any_of(alignment.second.begin(), alignment.second.end(),
                       [&](const Member& member) { return member.group == group; });
  });
}

SourceAlignment::Nanoseconds SourceAlignment::watermark(const Member& member) const {
  return Nanoseconds{plan_.sources[member.source].reader->watermark()} * member.tick_ns;
}

bool SourceAlignment::is_ahead(size_t group, const std::vector<Member>& of,
                               const std::vector<bool>& done) const {
  std::optional<Nanoseconds> own;
  std::optional<Nanoseconds> others;
  int64_t drift = INT64_MAX;
  for (const Member& member : of) {
    if (done[member.source]) continue;
    if (member.group != group && (!is_active_[member.group] || is_held_[member.group])) continue;
    std::optional<Nanoseconds>& least = member.group == group ? own : others;
    if (!least || watermark(member) < *least) least = watermark(member);
    if (member.group == group) drift = std::min(drift, member.max_drift_ns);
  }
  return own && others && *own - *others > drift;
}

bool SourceAlignment::holds(size_t group, const std::vector<bool>& is_source_done) {
  const bool was_held = is_held_[group];
  bool is_held = false;
  for (const auto& [name, members] : members_) {
    if (!is_ahead(group, members, is_source_done)) continue;
    is_held = true;
    for (const Member& member : members) {
      if (was_held || member.group != group) continue;
      OperatorMetrics::add(plan_.sources[member.source].root->metrics().alignment_pauses, 1);
    }
  }
  is_held_[group] = is_held;
  return is_held;
}

void SourceAlignment::note_drift(const std::vector<bool>& is_source_done) {
  for (const auto& [name, members] : members_) {
    std::optional<Nanoseconds> least;
    bool is_known = true;
    for (const Member& member : members) {
      if (is_source_done[member.source]) continue;
      is_known &= plan_.sources[member.source].reader->watermark() != windows::kMinWatermark;
      if (!least || watermark(member) < *least) least = watermark(member);
    }
    for (const Member& member : members) {
      std::optional<Nanoseconds> drift;
      if (least && is_known && !is_source_done[member.source]) drift = watermark(member) - *least;
      const int64_t reading =
          drift ? static_cast<int64_t>(std::min(*drift, Nanoseconds{INT64_MAX})) : kNoDrift;
      OperatorMetrics::set(plan_.sources[member.source].root->metrics().alignment_drift_ns,
                           reading);
    }
  }
}

}  // namespace pystream::runtime
