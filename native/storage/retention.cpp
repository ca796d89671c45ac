// Partition::delete_records and what retention asks of a partition.
//
//   lock · sector of the log start offset, synced · the page says it · unlock · [sync what is
//   below] · remove index, then segment, from the oldest on · count the change
//
// Crash: before the sector is on the disk nothing has happened; behind it the records are gone,
// whether or not their files are: what lies below the log start offset is read by nobody, and
// removed by whoever raises it next. Recovery takes the larger one of page and sector; where there
// is none, on the same boot, whoever opens the partition for writing or deletes next lets the page
// say it, and whoever opens it read-only counts from it.

#include <algorithm>
#include <cerrno>

#include "base/error.hpp"
#include "storage/partition_state.hpp"
#include "storage/time_lookup.hpp"

namespace pystream::storage {
namespace {

[[noreturn]] void throw_beyond_end(const PartitionPlace& place, int64_t offset, int64_t log_start,
                                   int64_t log_end) {
  throw Error(ErrorCode::kOffsetOutOfRange,
              "records of " + place.name() + " cannot be deleted up to offset " +
                  std::to_string(offset) + ": log start offset is " + std::to_string(log_start) +
                  ", log end offset is " + std::to_string(log_end) +
                  ". Nothing was deleted; pass an offset up to the log end offset.",
              {{"topic", place.topic},
               {"partition", int64_t{place.partition}},
               {"offset", offset},
               {"log_start_offset", log_start},
               {"log_end_offset", log_end}});
}

void require_writable(const Partition::State& state, const char* act) {
  state.log->require_usable();
  if (state.is_writable()) return;
  throw Error(ErrorCode::kLog, std::string("cannot ") + act + " " + state.place->name() +
                                   ": the log was opened read-only. Open it for writing.");
}

void raise_log_start(Partition::State& state, int64_t offset) {
  const AppendLock held(state);
  state.log->require_usable();
  const PublishedState published = state.read_published();
  state.finish_deletion();
  const int64_t log_start = state.control.log_start();
  if (offset > published.log_end_offset || offset < 0) {
    throw_beyond_end(*state.place, offset, log_start, published.log_end_offset);
  }
  if (offset <= log_start) return;
  const File file = File::open(state.place->files, control_path(*state.place), O_RDWR);
  state.control.write_log_start(file, offset);
  state.control.set_log_start(offset);
}

// 0 when the file was gone already, as when another process does the same.
int64_t remove_file(const PartitionPlace& place, const std::string& path) {
  const File file = File::open_if_exists(place.files, path, O_RDONLY);
  if (!file.is_open()) return 0;
  const int64_t bytes = file.size();
  const int result = place.files->unlink(path);
  if (result != -ENOENT) checked(result, "cannot remove", path);
  return bytes;
}

}  // namespace

std::optional<int64_t> Partition::State::unfinished_log_start() const {
  const auto stored = control.stored_log_start();
  const bool is_ahead =
      stored && *stored > control.log_start() && *stored <= control.read().log_end_offset;
  return is_ahead ? stored : std::nullopt;
}

void Partition::State::finish_deletion() {
  if (const auto start = unfinished_log_start()) control.set_log_start(*start);
}

RemovalResult Partition::State::remove_below_start() {
  RemovalResult result;
  result.log_start_offset = control.log_start();
  const int64_t active = read_published().segment_base_offset;
  const std::vector<int64_t> bases = segments->list();
  for (size_t i = 0; i + 1 < bases.size(); ++i) {
    const int64_t next = bases[i + 1];
    if (next > result.log_start_offset || next > active) break;
    // A sync that is under way, anyone's, may need the file; none does once this is durable.
    if (result.segments == 0) require_durable(std::min(result.log_start_offset, active));
    const std::string index = TimeIndex::path_of(*place, bases[i]);
    const int index_removed = place->files->unlink(index);
    if (index_removed != -ENOENT) checked(index_removed, "cannot remove", index);
    result.bytes += remove_file(*place, place->segment_path(bases[i]));
    ++result.segments;
  }
  if (result.segments > 0) {
    control.words().segment_changes.fetch_add(1, std::memory_order_seq_cst);
    read_published();  // lets go of them here
  }
  return result;
}

RemovalResult Partition::delete_records(int64_t offset) {
  require_writable(*state_, "delete records of");
  raise_log_start(*state_, offset);
  return state_->remove_below_start();
}

std::vector<SegmentFacts> Partition::segment_facts() {
  state_->log->require_usable();
  return state_->times->segment_facts();
}

bool Partition::end_segment() {
  require_writable(*state_, "begin a new segment of");
  const AppendLock held(*state_);
  PublishedState published = state_->read_published();
  state_->require_sound();
  const bool is_empty =
      published.segment_base_offset == kNoSegment || published.last_batch_position == 0;
  if (is_empty || published.must_roll) return false;
  // A writer that died on the way is cleared up by the next append, which finds its mark.
  if (state_->control.words().in_flight.load(std::memory_order_relaxed) != kNotInFlight) {
    return false;
  }
  published.must_roll = true;
  state_->control.publish(published);
  return true;
}

void Partition::set_segment_bytes(int64_t bytes) {
  std::lock_guard guard(state_->options_mutex);
  state_->options.segment_bytes = bytes;
}

int64_t Partition::pinned_bytes() {
  state_->log->require_usable();
  state_->read_published();
  return state_->segments->pinned_bytes();
}

}  // namespace pystream::storage
