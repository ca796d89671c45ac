// Zeros ahead of durable commits.
//
// Reserved blocks are marked as unwritten. The first sync behind a write to them has to store that
// they are written now, one or two more writes to the disk that it waits for, or a commit of the
// filesystem's journal. Where zeros were written and synced before, a sync stores the batch only.
//
// So after a durable commit the thread of background syncs writes zeros behind the end of the
// active segment, under the append lock, a piece at a time, and syncs them when nobody else syncs.
// Never more of them than the segment holds in batches, nor than LogOptions::prewrite_bytes: a
// partition that is written rarely costs little.
//
// Crash: bytes behind the published end mean nothing, so zeros may be there or not.

#include <algorithm>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "storage/partition_state.hpp"

namespace pystream::storage {
namespace {

constexpr int64_t kPageBytes = 4096;
constexpr int64_t kPieceBytes = int64_t{128} << 10;      // while the append lock is held
constexpr int64_t kLeastAheadBytes = int64_t{64} << 10;  // in a segment that holds next to nothing
// Of larger batches, the zeros would take longer to write than they save.
constexpr int64_t kFewestBatchesAhead = 8;
constexpr int64_t kPatienceUs = 10'000;  // for the append lock

int64_t round_up_to_page(int64_t position) {
  return (position + kPageBytes - 1) / kPageBytes * kPageBytes;
}

// How many zeros should be behind the end.
int64_t zeros_wanted(const PublishedState& published, int64_t most_bytes) {
  return std::min(most_bytes, std::max(published.end_position, kLeastAheadBytes));
}

}  // namespace

int64_t Partition::State::prewritten_end(const PublishedState& published) const {
  const ControlPage::Words& words = control.words();
  const int64_t segment = words.prewritten_segment.load(std::memory_order_acquire);
  if (segment != published.segment_base_offset) return 0;
  return words.prewritten_end.load(std::memory_order_acquire);
}

void Partition::State::request_prewrite() {
  const int64_t most_bytes = log->options.prewrite_bytes;
  if (most_bytes <= 0) return;
  const auto published = control.try_read();
  if (!published || published->segment_base_offset == kNoSegment || published->must_roll) return;
  const int64_t batch_bytes = published->end_position - published->last_batch_position;
  if (batch_bytes > most_bytes / kFewestBatchesAhead) return;
  const int64_t left = prewritten_end(*published) - published->end_position;
  if (left >= zeros_wanted(*published, most_bytes) / 2) return;
  if (is_prewrite_requested.exchange(true)) return;
  log->sync_thread.request(weak_from_this(), monotonic_us());
}

void Partition::State::prewrite_in_background() noexcept {
  if (!is_prewrite_requested.exchange(false)) return;
  try {
    prewrite(log->options.prewrite_bytes);
  } catch (const Error&) {
    // Nothing is lost but time; a failed sync is remembered in sync_failed.
  }
}

void Partition::State::prewrite(int64_t most_bytes) {
  std::shared_ptr<Segment> written;
  while (prewrite_piece(most_bytes, &written)) {
  }
  if (written) try_sync_segment(*written);
}

// False when there are enough zeros, or others should go first.
bool Partition::State::prewrite_piece(int64_t most_bytes, std::shared_ptr<Segment>* written) {
  const AppendLock held(*this, kPatienceUs);
  if (!held.is_held()) return false;
  log->require_usable();
  require_in_place();
  require_sound();
  ControlPage::Words& words = control.words();
  const PublishedState published = read_published();
  const bool is_dead_append = words.in_flight.load(std::memory_order_relaxed) != kNotInFlight;
  if (published.segment_base_offset == kNoSegment || published.must_roll || is_dead_append) {
    return false;
  }
  const int64_t done = prewritten_end(published);
  const int64_t begin = std::max(done, round_up_to_page(published.end_position + kTerminatorBytes));
  const std::shared_ptr<Segment> segment = segments->get(published.segment_base_offset);
  const int64_t limit = segment->header().max_bytes;
  const int64_t wanted = std::min(
      limit, round_up_to_page(published.end_position + zeros_wanted(published, most_bytes)));
  if (begin >= wanted) return false;
  const int64_t end = std::min(wanted, begin + kPieceBytes);
  if (!segment->write_zeros(begin, end)) return false;
  // The end of the segment before is none of this one.
  words.prewritten_end.store(0, std::memory_order_release);
  words.prewritten_segment.store(published.segment_base_offset, std::memory_order_release);
  words.prewritten_end.store(end == limit ? INT64_MAX : end, std::memory_order_release);
  *written = segment;
  return end < wanted;
}

}  // namespace pystream::storage
