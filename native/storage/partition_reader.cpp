// PartitionReader: from batch to batch through the segments' shared indexes.

#include <algorithm>
#include <utility>
#include <variant>

#include "base/error.hpp"
#include "storage/partition_state.hpp"
#include "storage/transaction_scan.hpp"

namespace pystream::storage {
namespace {

// Headers walked at a time: enough to share the cost, few enough not to delay the first batch.
constexpr int64_t kWalkAhead = 64;

constexpr int64_t kPrefetchAhead = 4;  // batches

[[noreturn]] void throw_out_of_range(const PartitionPlace& place, int64_t offset,
                                     const PartitionEnds& ends) {
  throw Error(ErrorCode::kOffsetOutOfRange,
              "offset " + std::to_string(offset) + " is out of range for " + place.name() +
                  ": log start offset is " + std::to_string(ends.log_start_offset) +
                  ", log end offset is " + std::to_string(ends.log_end_offset) +
                  ". Pass auto_offset_reset=\"earliest\" or seek within the range.",
              {{"topic", place.topic},
               {"partition", int64_t{place.partition}},
               {"offset", offset},
               {"log_start_offset", ends.log_start_offset},
               {"log_end_offset", ends.log_end_offset}});
}

std::string range_text(const PartitionPlace& place, int64_t offset, int64_t next_offset) {
  return "the records of " + place.name() + " from offset " + std::to_string(offset) + " up to " +
         std::to_string(next_offset);
}

std::string way_out(int64_t next_offset) {
  return " Seek to offset " + std::to_string(next_offset) +
         " to go on without them, or restore the file from a backup.";
}

std::vector<ErrorFact> facts_of(const PartitionPlace& place, int64_t offset, int64_t next_offset,
                                int64_t position, const std::string& path) {
  return {{"topic", place.topic}, {"partition", int64_t{place.partition}},
          {"offset", offset},     {"next_offset", next_offset},
          {"position", position}, {"path", path}};
}

[[noreturn]] void throw_damage(const PartitionPlace& place, Segment& segment,
                               const BatchEntry& entry) {
  ParsedHeader parsed;
  const int64_t end = segment.available(entry.position + entry.length);
  // Where nothing was written the records stood in another file, which is gone.
  const bool is_empty = segment.parse_at(entry.position, end, &parsed) == HeaderStatus::kEnd;
  const std::string what = is_empty
                               ? " are missing: " + segment.path() + " ends before them at byte " +
                                     std::to_string(entry.position) + ", and there is no " +
                                     segment_name(entry.base_offset) + " beside it."
                               : " cannot be read: " + segment.path() + " is damaged at byte " +
                                     std::to_string(entry.position) + ".";
  throw Error(
      ErrorCode::kCorruptRecord,
      range_text(place, entry.base_offset, entry.next_offset) + what + way_out(entry.next_offset),
      facts_of(place, entry.base_offset, entry.next_offset, entry.position, segment.path()));
}

[[noreturn]] void throw_missing(const PartitionPlace& place, int64_t offset, int64_t next_offset) {
  throw Error(ErrorCode::kCorruptRecord,
              range_text(place, offset, next_offset) + " are missing: " + place.directory +
                  " has no segment that holds them." + way_out(next_offset),
              facts_of(place, offset, next_offset, 0, place.directory));
}

[[noreturn]] void throw_undecidable(const PartitionPlace& place, const Segment& segment,
                                    const BatchEntry& entry) {
  throw Error(
      ErrorCode::kCorruptRecord,
      range_text(place, entry.base_offset, entry.next_offset) + " belong to transaction " +
          std::to_string(entry.transaction_id) +
          ", and whether it was committed stood among records behind them that cannot be "
          "read." +
          way_out(entry.next_offset),
      facts_of(place, entry.base_offset, entry.next_offset, entry.position, segment.path()));
}

std::optional<int64_t> number_in(const Error& error, const char* name) {
  for (const ErrorFact& fact : error.facts()) {
    const auto* number = std::get_if<int64_t>(&fact.second);
    if (fact.first == name && number != nullptr) return *number;
  }
  return std::nullopt;
}

std::string text_in(const Error& error, const char* name) {
  for (const ErrorFact& fact : error.facts()) {
    const auto* text = std::get_if<std::string>(&fact.second);
    if (fact.first == name && text != nullptr) return *text;
  }
  return "";
}

}  // namespace

struct PartitionReader::State {
  std::shared_ptr<Partition> partition;
  std::shared_ptr<Partition::State> source;
  int64_t position = 0;              // next offset to be read
  std::shared_ptr<Segment> segment;  // null until the first batch is looked for
  int64_t entry = 0;          // in its index: the first not known to end at or below position
  uint64_t seen_changes = 0;  // of the partition's segments, from before `segment` was opened
  OnCorruption on_corruption = OnCorruption::kRaise;
  std::vector<SkippedRange> skipped;
  Isolation isolation = Isolation::kEverything;
  TransactionScan scan;
  std::optional<Undecided> undecided;  // why read() gave nothing

  // What batches of segments with the schema `stored` are read under, as of `schema_changes`.
  SchemaPtr stored;
  SchemaPtr reading;
  uint32_t schema_changes = 0;

  // The batch at `position`; nullopt at the end of what is published. Throws kCorruptRecord.
  std::optional<LogBatch> read();
  // Throws kOffsetOutOfRange behind the log start: records there are gone, or will be.
  void require_kept();
  // Lets go of a segment that may have been replaced since it was opened, so that the position is
  // looked up anew; false when it is what it was. A marker may be gone from the segments behind it
  // once the records are gone from the one that took its place.
  bool leave_if_replaced();
  // Moves behind what `error` says is damaged; throws it again when it does not say.
  void step_over(const Error& error);

 private:
  // From here on, segments are opened as they are now, or later.
  void note_changes();
  // The entry that holds `position`, or the first behind it; null at the end of what is published.
  const BatchEntry* find();
  std::shared_ptr<Segment> open(int64_t base_offset, const PublishedState& published);
  void enter_first_segment(const PublishedState& published);
  // Makes sure that `entry` exists; false when the segment has no more.
  bool fill_entry(const PublishedState& published);
  void enter_next_segment(const PublishedState& published);
  // Of a control batch or one of a transaction, by the isolation level.
  enum class Visibility : uint8_t { kShown, kLeftOut, kUndecided };
  Visibility visibility_of(const BatchEntry& found);
  LogBatch batch(const BatchEntry& found);
};

LogBatch PartitionReader::State::batch(const BatchEntry& found) {
  const uint32_t changes = source->schema_changes.load(std::memory_order_acquire);
  if (segment->schema() != stored || changes != schema_changes) {
    stored = segment->schema();
    schema_changes = changes;
    reading = source->reading_schema(segment->header().schema_id, stored);
  }
  // Headers lie far apart: each would be waited for.
  if (entry + kPrefetchAhead < segment->index().count()) {
    segment->prefetch(segment->index().at(entry + kPrefetchAhead));
  }
  LogBatch batch = segment->batch(found);
  if (reading != stored) batch.widen(reading);
  return batch;
}

// A segment that cannot be opened is an error that names the offsets that are lost with it.
std::shared_ptr<Segment> PartitionReader::State::open(int64_t base_offset,
                                                      const PublishedState& published) {
  try {
    return source->segments->get(base_offset);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kCorruptRecord) throw;
    const PartitionPlace& place = *source->place;
    const auto next = source->segments->after(base_offset, published.segment_base_offset);
    const int64_t end = next.value_or(published.data_end_offset);
    throw Error(
        ErrorCode::kCorruptRecord,
        std::string(error.what()) + " It holds " + range_text(place, base_offset, end) + ".",
        facts_of(place, base_offset, end, 0, place.segment_path(base_offset)));
  }
}

void PartitionReader::State::note_changes() {
  seen_changes = source->control.words().segment_changes.load(std::memory_order_seq_cst);
  // One that was replaced since the control page was looked at may be open still: it would be taken
  // for a new one, and a marker that is gone from those behind it be waited for in vain.
  source->segments->follow(seen_changes);
}

void PartitionReader::State::enter_first_segment(const PublishedState& published) {
  const int64_t active = published.segment_base_offset;
  note_changes();
  if (const auto base = source->segments->at_or_below(position, active)) {
    segment = open(*base, published);
  } else {
    // Only a log that begins later may have nothing here.
    const int64_t log_start = source->control.log_start();
    const auto next = source->segments->after(position, active);
    if (!next) throw_missing(*source->place, log_start, published.data_end_offset);
    const auto following = source->segments->try_get(*next);
    const int64_t lost_end = following ? following->header().previous_end_offset : *next;
    if (lost_end > position) throw_missing(*source->place, log_start, lost_end);
    segment = open(*next, published);
  }
  entry = segment->index().find(position);
}

bool PartitionReader::State::fill_entry(const PublishedState& published) {
  const BatchIndex& index = segment->index();
  if (entry < index.count()) return true;
  return segment->extend_index(source->walk_limit(*segment, published), kWalkAhead) ||
         entry < index.count();
}

void PartitionReader::State::enter_next_segment(const PublishedState& published) {
  const int64_t active = published.segment_base_offset;
  const auto next = source->segments->after(segment->base_offset(), active);
  if (!next) throw_missing(*source->place, active, published.data_end_offset);
  note_changes();
  std::shared_ptr<Segment> following = open(*next, published);
  segment->release_file();
  segment = std::move(following);
  entry = 0;
}

const BatchEntry* PartitionReader::State::find() {
  // Without a look at the control page as long as the index is ahead.
  if (segment) {
    for (; entry < segment->index().count(); ++entry) {
      const BatchEntry& found = segment->index().at(entry);
      if (found.next_offset > position) return &found;
    }
  }
  const PublishedState published = source->read_published();
  if (position >= published.data_end_offset || published.segment_base_offset == kNoSegment) {
    // Behind the data there are only offsets that were skipped for ever.
    position = std::max(position, published.log_end_offset);
    return nullptr;
  }
  if (!segment) enter_first_segment(published);
  for (;;) {
    while (fill_entry(published)) {
      const BatchEntry& found = segment->index().at(entry);
      if (found.next_offset > position) return &found;
      ++entry;
    }
    if (segment->base_offset() >= published.segment_base_offset) return nullptr;
    enter_next_segment(published);
  }
}

void PartitionReader::State::require_kept() {
  const int64_t log_start = source->control.log_start();
  if (position < log_start) throw_out_of_range(*source->place, position, source->ends());
}

std::optional<LogBatch> PartitionReader::State::read() {
  require_kept();
  undecided.reset();
  for (;;) {
    const BatchEntry* found = find();
    if (found == nullptr) return std::nullopt;
    if (found->is_corrupt) throw_damage(*source->place, *segment, *found);
    constexpr uint16_t kOfTransactions = kFlagTransactional | kFlagControl;
    if ((found->flags & kOfTransactions) != 0 && isolation != Isolation::kEverything) {
      const Visibility visibility = visibility_of(*found);
      if (visibility == Visibility::kUndecided && leave_if_replaced()) continue;
      if (visibility == Visibility::kUndecided) return std::nullopt;
      if (visibility == Visibility::kLeftOut) {
        position = std::max(position, found->next_offset);
        ++entry;
        continue;
      }
    }
    return batch(*found);
  }
}

bool PartitionReader::State::leave_if_replaced() {
  const uint64_t changes = source->control.words().segment_changes.load(std::memory_order_seq_cst);
  if (!segment || changes == seen_changes) return false;
  segment = nullptr;
  entry = 0;
  undecided.reset();
  return true;
}

PartitionReader::State::Visibility PartitionReader::State::visibility_of(const BatchEntry& found) {
  if ((found.flags & kFlagControl) != 0) {
    scan.forget(found.transaction_id);
    return Visibility::kLeftOut;
  }
  if (isolation == Isolation::kReadUncommitted) return Visibility::kShown;
  if (const auto is_committed = scan.find(*source, found)) {
    return *is_committed ? Visibility::kShown : Visibility::kLeftOut;
  }
  if (scan.has_damage_behind(found)) throw_undecidable(*source->place, *segment, found);
  undecided = Undecided{found.transaction_id, found.base_offset,
                        segment->parsed(found).header.append_sequence, scan.end_offset()};
  return Visibility::kUndecided;
}

void PartitionReader::State::step_over(const Error& error) {
  const auto offset = number_in(error, "offset");
  const auto next_offset = number_in(error, "next_offset");
  if (!offset || !next_offset || *next_offset <= position) throw error;
  skipped.push_back({std::max(*offset, position), *next_offset,
                     number_in(error, "position").value_or(0), text_in(error, "path")});
  position = *next_offset;
  segment = nullptr;
  entry = 0;
  scan = {};
}

PartitionReader::PartitionReader(std::unique_ptr<State> state) : state_(std::move(state)) {}

PartitionReader::~PartitionReader() = default;

std::optional<LogBatch> PartitionReader::peek() {
  state_->source->log->require_usable();
  for (;;) {
    try {
      std::optional<LogBatch> batch = state_->read();
      if (batch && state_->on_corruption == OnCorruption::kSkip) batch->verify();
      return batch;
    } catch (const Error& error) {
      state_->source->read_published();  // a segment may be gone because of an open anew
      state_->require_kept();            // or because it was removed on purpose
      if (state_->leave_if_replaced()) continue;
      const bool is_damage = error.code() == ErrorCode::kCorruptRecord;
      if (!is_damage || state_->on_corruption == OnCorruption::kRaise) throw;
      state_->step_over(error);
    }
  }
}

std::optional<LogBatch> PartitionReader::next() {
  std::optional<LogBatch> batch = peek();
  if (batch) {
    state_->position = batch->next_offset();
    ++state_->entry;
  }
  return batch;
}

void PartitionReader::set_on_corruption(OnCorruption policy) { state_->on_corruption = policy; }

void PartitionReader::set_isolation(Isolation isolation) { state_->isolation = isolation; }

std::optional<Undecided> PartitionReader::undecided() const { return state_->undecided; }

std::vector<SkippedRange> PartitionReader::take_skipped() {
  return std::exchange(state_->skipped, {});
}

int64_t PartitionReader::position() const { return state_->position; }

void PartitionReader::seek(int64_t offset) {
  state_->source->log->require_usable();
  const PartitionEnds ends = state_->source->ends();
  if (offset < ends.log_start_offset || offset > ends.log_end_offset) {
    throw_out_of_range(*state_->source->place, offset, ends);
  }
  state_->position = offset;
  state_->segment = nullptr;
  state_->entry = 0;
  state_->scan = {};
  state_->undecided.reset();
}

Partition& PartitionReader::partition() const { return *state_->partition; }

std::unique_ptr<PartitionReader> Partition::reader(int64_t offset) {
  auto state = std::make_unique<PartitionReader::State>();
  state->partition = shared_from_this();
  state->source = state_;
  std::unique_ptr<PartitionReader> result(new PartitionReader(std::move(state)));
  result->seek(offset);
  return result;
}

}  // namespace pystream::storage
