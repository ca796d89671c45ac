#include "runtime/job_snapshot.hpp"

#include <utility>

#include "base/error.hpp"
#include "runtime/plan.hpp"
#include "state/plain_table.hpp"

namespace pystream::runtime {

namespace {

constexpr const char* kKind = "job";

struct GroupRow {
  std::optional<int64_t> turn;  // a source of the group
  int64_t turn_rows_left = 0;

  template <typename Table, typename Rows>
  static void columns(Table& table, Rows& rows) {
    table.column("turn", rows, &GroupRow::turn);
    table.column("turn_rows_left", rows, &GroupRow::turn_rows_left);
  }
};

struct ScopeRow {
  int64_t group = 0;
  int64_t watermark = 0;
  bool are_all_idle = false;
  // Of the last batch; none before the first one, and where nobody asks for it.
  bool has_last = false;
  int64_t before = 0;
  int64_t others = 0;
  bool is_gradual = false;
  int64_t after = 0;

  template <typename Table, typename Rows>
  static void columns(Table& table, Rows& rows) {
    table.column("group", rows, &ScopeRow::group);
    table.column("watermark", rows, &ScopeRow::watermark);
    table.column("are_all_idle", rows, &ScopeRow::are_all_idle);
    table.column("has_last", rows, &ScopeRow::has_last);
    table.column("before", rows, &ScopeRow::before);
    table.column("others", rows, &ScopeRow::others);
    table.column("is_gradual", rows, &ScopeRow::is_gradual);
    table.column("after", rows, &ScopeRow::after);
  }
};

// Which sources are read in one order, and how.
std::string layout_of(const Plan& plan, const JobProgress& progress) {
  std::string text;
  bool takes_turns = false;
  for (const PlannedGroup& group : plan.groups) {
    takes_turns |= group.sources.size() > 1;
    text += text.empty() ? "sources (" : ", (";
    for (size_t i = 0; i < group.sources.size(); ++i) {
      if (i > 0) text += ", ";
      text += plan.sources[group.sources[i]].root->name();
    }
    text += ")";
  }
  if (takes_turns) text += " in turns of " + std::to_string(progress.turn_rows) + " rows";
  return text;
}

std::vector<GroupRow> groups_of(const Plan& plan) {
  std::vector<GroupRow> rows;
  for (const PlannedGroup& group : plan.groups) {
    const SourceGroup::Turn turn = group.reader->turn();
    rows.push_back({turn.source, turn.rows_left});
  }
  return rows;
}

std::vector<ScopeRow> scopes_of(const Plan& plan) {
  std::vector<ScopeRow> rows;
  for (size_t g = 0; g < plan.groups.size(); ++g) {
    const PlannedGroup& group = plan.groups[g];
    const std::vector<WatermarkScope>& scopes = group.reader->scopes();
    for (size_t i = 0; i < scopes.size(); ++i) {
      ScopeRow& row = rows.emplace_back();
      row.group = static_cast<int64_t>(g);
      row.watermark = scopes[i].state().watermark;
      row.are_all_idle = scopes[i].state().are_all_idle;
      if (!group.timeline || group.timeline->last().empty()) continue;
      const Timeline::Last& last = group.timeline->last()[i];
      row.has_last = true;
      row.before = last.marks.before;
      row.others = last.marks.others;
      row.is_gradual = last.marks.is_gradual;
      row.after = last.after;
    }
  }
  return rows;
}

[[noreturn]] void fail_count(const char* table, size_t has, size_t expected) {
  throw Error(ErrorCode::kCheckpoint, "the table '" + std::string(table) +
                                          "' of a job's snapshot has " + std::to_string(has) +
                                          " rows, where the job has " + std::to_string(expected) +
                                          ". Restore the job that it was taken of.");
}

void restore_groups(const state::StateReader& reader, Plan* plan) {
  const auto rows = state::read_rows<GroupRow>(reader, "groups");
  if (rows.size() != plan->groups.size()) fail_count("groups", rows.size(), plan->groups.size());
  for (size_t g = 0; g < rows.size(); ++g) {
    const auto sources = static_cast<int64_t>(plan->groups[g].sources.size());
    if (rows[g].turn && (*rows[g].turn < 0 || *rows[g].turn >= sources)) {
      throw Error(ErrorCode::kCheckpoint, "a job's snapshot says that it is the turn of source " +
                                              std::to_string(*rows[g].turn) + " of " +
                                              std::to_string(sources) + ". It is damaged.");
    }
    plan->groups[g].reader->restore({rows[g].turn, rows[g].turn_rows_left});
  }
}

void restore_scopes(const state::StateReader& reader, Plan* plan) {
  const auto rows = state::read_rows<ScopeRow>(reader, "scopes");
  size_t at = 0;
  size_t expected = 0;
  for (const PlannedGroup& group : plan->groups) expected += group.reader->scopes().size();
  if (rows.size() != expected) fail_count("scopes", rows.size(), expected);
  for (PlannedGroup& group : plan->groups) {
    std::vector<Timeline::Last> last;
    for (WatermarkScope& scope : group.reader->scopes()) {
      const ScopeRow& row = rows[at++];
      scope.restore({row.watermark, row.are_all_idle});
      if (row.has_last) last.push_back({{row.before, row.others, row.is_gradual}, row.after});
    }
    if (group.timeline) group.timeline->restore(std::move(last));
  }
}

std::string names_in(const JobSnapshot& snapshot) {
  std::string names;
  for (const auto& entry : snapshot.operators) names += (names.empty() ? "" : ", ") + entry.name;
  return names;
}

// Operators are told from one another by their names, which say where in the plan they stand.
void check_names(const JobSnapshot& snapshot, const Plan& plan) {
  bool fits = snapshot.operators.size() == plan.operators.size();
  for (size_t i = 0; fits && i < plan.operators.size(); ++i) {
    fits = snapshot.operators[i].name == plan.operators[i]->name();
  }
  if (fits) return;
  std::string names;
  for (const auto& op : plan.operators) names += (names.empty() ? "" : ", ") + op->name();
  throw Error(ErrorCode::kCheckpoint, "a snapshot of the operators " + names_in(snapshot) +
                                          " cannot be restored into a job of " + names +
                                          ". Restore the job that it was taken of.");
}

}  // namespace

JobSnapshot select(const JobSnapshot& snapshot, state::KeyGroupRange range) {
  JobSnapshot selected{state::select(snapshot.job, range), {}};
  for (const JobSnapshot::Entry& entry : snapshot.operators) {
    selected.operators.push_back({entry.name, state::select(entry.state, range)});
  }
  return selected;
}

JobSnapshot write_job(const Plan& plan, const JobProgress& progress) {
  state::StateWriter writer;
  writer.set_operator(kKind, layout_of(plan, progress));
  writer.set_fact("arrivals", progress.arrivals);
  writer.set_fact("clock", progress.clock_ms);
  state::write_rows("groups", groups_of(plan), &writer);
  state::write_rows("scopes", scopes_of(plan), &writer);
  JobSnapshot snapshot{writer.finish(), {}};
  for (const auto& op : plan.operators) {
    state::StateWriter own;
    op->write_state(&own);
    snapshot.operators.push_back({op->name(), own.finish()});
  }
  return snapshot;
}

void read_job(const std::vector<JobSnapshot>& parts, Plan* plan, JobProgress* progress) {
  std::vector<state::Snapshot> jobs;
  for (const JobSnapshot& part : parts) {
    check_names(part, *plan);
    jobs.push_back(part.job);
  }
  const state::StateReader reader(std::move(jobs));
  reader.check_operator(kKind, layout_of(*plan, *progress));
  progress->arrivals = reader.fact("arrivals");
  progress->clock_ms = reader.fact("clock");
  restore_groups(reader, plan);
  restore_scopes(reader, plan);
  for (size_t i = 0; i < plan->operators.size(); ++i) {
    std::vector<state::Snapshot> states;
    for (const JobSnapshot& part : parts) states.push_back(part.operators[i].state);
    plan->operators[i]->read_state(state::StateReader(std::move(states)), {});
  }
}

}  // namespace pystream::runtime
