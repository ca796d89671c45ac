#include "storage/control_page.hpp"

#include <algorithm>
#include <climits>
#include <cstddef>
#include <cstring>

#include "base/crc32c.hpp"
#include "base/error.hpp"
#include "base/futex.hpp"
#include "storage/segment_header.hpp"

namespace pystream::storage {
namespace {

constexpr size_t kWordsOffset = 1024;
constexpr uint64_t kMustRoll = uint64_t{1} << 32;
constexpr int kIncarnationShift = 33;
constexpr int kCheckWord = 7;

static_assert(std::atomic<uint64_t>::is_always_lock_free);
static_assert(std::atomic<uint32_t>::is_always_lock_free);
static_assert(offsetof(ControlPage::Words, slots) == 64);
static_assert(offsetof(ControlPage::Words, durable_offset) == 192);
static_assert(offsetof(ControlPage::Words, log_start_offset) == 256);
static_assert(offsetof(ControlPage::Words, in_flight) == 320);
static_assert(offsetof(ControlPage::Words, wake) == 384);
static_assert(offsetof(ControlPage::Words, sync_failed) == 448);
static_assert(offsetof(ControlPage::Words, sync_word) == 512);
static_assert(offsetof(ControlPage::Words, last_sync_us) == 528);
static_assert(offsetof(ControlPage::Words, syncing_end) == 536);
static_assert(offsetof(ControlPage::Words, prewritten_segment) == 576);
static_assert(offsetof(ControlPage::Words, stable_offset) == 640);

// Tells a slot from zeros and stray bytes; the version makes a slot of another time differ.
uint64_t check_word(const uint64_t* words, uint64_t version) {
  uint64_t check = version * 0x9E3779B97F4A7C15u + 1;
  for (int i = 0; i < kCheckWord; ++i) {
    check = (check ^ words[i]) * 0xFF51AFD7ED558CCDu;
    check ^= check >> 32;
  }
  return check;
}

void encode(const PublishedState& state, uint64_t* words) {
  words[0] = static_cast<uint64_t>(state.segment_base_offset);
  words[1] = static_cast<uint64_t>(state.end_position);
  words[2] = static_cast<uint64_t>(state.log_end_offset);
  words[3] = static_cast<uint64_t>(state.data_end_offset);
  words[4] = static_cast<uint64_t>(state.last_batch_position);
  words[5] = state.last_append_sequence;
  words[6] = state.last_header_crc | (state.must_roll ? kMustRoll : 0) |
             uint64_t{state.incarnation} << kIncarnationShift;
}

PublishedState decode(const uint64_t* words) {
  PublishedState state;
  state.segment_base_offset = static_cast<int64_t>(words[0]);
  state.end_position = static_cast<int64_t>(words[1]);
  state.log_end_offset = static_cast<int64_t>(words[2]);
  state.data_end_offset = static_cast<int64_t>(words[3]);
  state.last_batch_position = static_cast<int64_t>(words[4]);
  state.last_append_sequence = words[5];
  state.last_header_crc = static_cast<uint32_t>(words[6]);
  state.must_roll = (words[6] & kMustRoll) != 0;
  state.incarnation = static_cast<uint32_t>(words[6] >> kIncarnationShift);
  return state;
}

// Positions and offsets that can be: what reads by them relies on it.
bool is_plausible(const PublishedState& state) {
  const bool has_segment = state.segment_base_offset != kNoSegment;
  return state.segment_base_offset >= kNoSegment && state.end_position >= 0 &&
         state.end_position <= kMaxSegmentBytes && state.last_batch_position >= 0 &&
         state.last_batch_position % kBatchAlignment == 0 &&
         state.last_batch_position <= state.end_position && state.data_end_offset >= 0 &&
         state.data_end_offset <= state.log_end_offset &&
         (!has_segment || state.segment_base_offset <= state.data_end_offset);
}

uint32_t sync_bit(uint32_t end) { return uint32_t{1} << (end % 32); }

template <typename Record>
uint32_t record_crc(const Record& record) {
  return crc32c(0, reinterpret_cast<const uint8_t*>(&record) + 8, sizeof(Record) - 8);
}

}  // namespace

ControlPage::ControlPage(const File& file, bool writable)
    : mapping_(file, kControlPageBytes, writable), path_(file.path()) {
  words_ = reinterpret_cast<Words*>(mapping_.data() + kWordsOffset);
}

ControlPage ControlPage::in_memory(const File& file, std::string path) {
  ControlPage page;
  page.mapping_ = Mapping::anonymous(kControlPageBytes);
  page.path_ = std::move(path);
  page.words_ = reinterpret_cast<Words*>(page.mapping_.data() + kWordsOffset);
  if (file.is_open() && file.size() >= kControlPageBytes) {
    file.read(std::span<uint8_t>(page.mapping_.data(), kControlPageBytes), 0);
  }
  return page;
}

std::optional<ControlIdentity> ControlPage::identity() const {
  ControlIdentity identity;
  std::memcpy(&identity, mapping_.data(), sizeof(identity));
  if (identity.magic != kControlMagic || identity.crc != record_crc(identity)) return std::nullopt;
  return identity;
}

void ControlPage::initialize(ControlIdentity identity, const PublishedState& state) {
  // A crash in here leaves a page without identity, which is recovered again.
  std::memset(mapping_.data(), 0, sizeof(ControlIdentity));
  for (auto& word : words_->slots[0]) word.store(0);
  for (auto& word : words_->slots[1]) word.store(0);
  words_->version.store(0);
  words_->durable_offset.store(0);
  words_->interval_end_offset.store(0);
  words_->synced_lease_end.store(0);
  set_log_start(0);
  words_->in_flight.store(kNotInFlight);
  words_->sync_failed.store(0);
  words_->last_sync_us.store(0);
  words_->syncing_end.store(0);
  words_->prewritten_segment.store(0);
  words_->prewritten_end.store(0);
  forget_stable();
  if (state.log_end_offset == 0) set_stable(0);
  words_->segment_changes.fetch_add(1);
  publish(state);
  identity.magic = kControlMagic;
  identity.crc = record_crc(identity);
  std::memcpy(mapping_.data(), &identity, sizeof(identity));
}

std::optional<PublishedState> ControlPage::try_read() const {
  // A slot is rewritten only after the version has moved on to the other one, so an unchanged
  // version proves that the copy is whole. A writer would have to publish between every two
  // versions read here to keep this loop going.
  for (;;) {
    const uint64_t version = words_->version.load(std::memory_order_acquire);
    const auto& slot = words_->slots[version & 1];
    uint64_t copy[8];
    for (int i = 0; i < 8; ++i) copy[i] = slot[i].load(std::memory_order_acquire);
    if (words_->version.load(std::memory_order_acquire) != version) continue;
    if (copy[kCheckWord] != check_word(copy, version)) return std::nullopt;
    return decode(copy);
  }
}

PublishedState ControlPage::read() const {
  if (auto state = try_read()) return *state;
  throw Error(ErrorCode::kCorruptRecord,
              "the control page " + path_ +
                  " is damaged. Close the log in all processes, remove this one file and open the "
                  "log again: it is rebuilt from the segments.",
              {{"path", path_}});
}

void ControlPage::publish(const PublishedState& state) {
  const uint64_t version = words_->version.load(std::memory_order_relaxed) + 1;
  uint64_t words[8];
  encode(state, words);
  words[kCheckWord] = check_word(words, version);
  // Release: who sees a new word of the slot also sees the version that had left it.
  auto& slot = words_->slots[version & 1];
  for (int i = 0; i < 8; ++i) slot[i].store(words[i], std::memory_order_release);
  words_->version.store(version, std::memory_order_release);
}

std::optional<LeaseRecord> ControlPage::lease() const {
  LeaseRecord lease;
  std::memcpy(&lease, mapping_.data() + kLeaseSector, sizeof(lease));
  if (lease.magic != kLeaseMagic || lease.crc != record_crc(lease)) return std::nullopt;
  return lease;
}

std::optional<int64_t> ControlPage::stored_log_start() const {
  StartRecord start;
  std::memcpy(&start, mapping_.data() + kStartRecord, sizeof(start));
  if (start.magic != kStartMagic || start.crc != record_crc(start)) return std::nullopt;
  return start.log_start_offset;
}

void ControlPage::write_log_start(const File& control_file, int64_t offset) const {
  uint8_t sector[kSectorBytes] = {};
  std::memcpy(sector, mapping_.data() + kLeaseSector, sizeof(LeaseRecord));
  StartRecord start{kStartMagic, 0, offset};
  start.crc = record_crc(start);
  std::memcpy(sector + (kStartRecord - kLeaseSector), &start, sizeof(start));
  control_file.write(std::span<const uint8_t>(sector), kLeaseSector);
  control_file.sync_data();
}

void ControlPage::write_lease(const File& control_file, int64_t lease_end,
                              const PublishedState& published) const {
  LeaseRecord lease = this->lease().value_or(LeaseRecord{});
  lease.magic = kLeaseMagic;
  lease.lease_end = lease_end;
  if (published.data_end_offset < published.log_end_offset) {
    lease.gap_begin = published.data_end_offset;
    lease.gap_end = published.log_end_offset;
  }
  lease.crc = record_crc(lease);
  uint8_t sector[kSectorBytes] = {};
  std::memcpy(sector, &lease, sizeof(lease));
  std::memcpy(sector + (kStartRecord - kLeaseSector), mapping_.data() + kStartRecord,
              sizeof(StartRecord));
  // Lowered before and raised after: the next writer may not build on what this one, killed or
  // failing on the way, left in the page cache only.
  words_->synced_lease_end.store(std::min(words_->synced_lease_end.load(), lease_end));
  control_file.write(std::span<const uint8_t>(sector), kLeaseSector);
  control_file.sync_data();
  words_->synced_lease_end.store(lease_end);
}

void ControlPage::set_log_start(int64_t offset) {
  words_->log_start_copy.store(offset, std::memory_order_release);
  words_->log_start_offset.store(offset, std::memory_order_release);
  words_->log_start_check.store(~offset, std::memory_order_release);
}

std::optional<int64_t> ControlPage::checked_log_start() const {
  const int64_t offset = words_->log_start_offset.load(std::memory_order_acquire);
  if (words_->log_start_check.load(std::memory_order_acquire) == ~offset) return offset;
  // Who raised it was killed before the last store, or is about to do it.
  if (words_->log_start_copy.load(std::memory_order_acquire) == offset) return offset;
  return std::nullopt;
}

void ControlPage::set_stable(int64_t offset) const {
  words_->stable_offset.store(offset, std::memory_order_release);
  words_->stable_check.store(~offset, std::memory_order_release);
}

void ControlPage::forget_stable() const {
  words_->stable_check.store(0, std::memory_order_release);
  words_->stable_offset.store(0, std::memory_order_release);
}

// A reader between the two stores finds that it does not know, and looks for itself.
std::optional<int64_t> ControlPage::checked_stable() const {
  const int64_t offset = words_->stable_offset.load(std::memory_order_acquire);
  if (words_->stable_check.load(std::memory_order_acquire) != ~offset) return std::nullopt;
  return offset;
}

bool ControlPage::is_consistent() const {
  // Durable first: it never passes an end that is read later.
  const int64_t durable = words_->durable_offset.load(std::memory_order_acquire);
  const auto log_start = checked_log_start();
  const auto published = try_read();
  return published && is_plausible(*published) && log_start && durable >= 0 &&
         durable <= published->log_end_offset && *log_start >= 0 &&
         *log_start <= published->log_end_offset;
}

bool ControlPage::needs_sync() const {
  return words_->durable_offset.load(std::memory_order_relaxed) <
             words_->interval_end_offset.load(std::memory_order_relaxed) &&
         words_->sync_failed.load(std::memory_order_relaxed) == 0;
}

void ControlPage::raise_durable(int64_t offset) const {
  int64_t current = words_->durable_offset.load(std::memory_order_relaxed);
  while (current < offset && !words_->durable_offset.compare_exchange_weak(
                                 current, offset, std::memory_order_release)) {
  }
}

void ControlPage::wake() const { wake_waiters(&words_->wake, &words_->waiters); }

// The sync word counts ends of syncs. Who waits for the end that makes the word N + 1 sleeps on bit
// N modulo 32; who comes too late for the running sync sleeps on the bit of the one after it.
bool ControlPage::wait_synced(uint32_t seen, bool is_covered, int64_t timeout_us) const {
  return futex_wait_bits({&words_->sync_word, seen}, sync_bit(is_covered ? seen : seen + 1),
                         timeout_us);
}

void ControlPage::wake_synced() const {
  if (words_->sync_waiters.exchange(0, std::memory_order_seq_cst) == 0) return;
  const uint32_t ended = words_->sync_word.fetch_add(1, std::memory_order_seq_cst);
  futex_wake_some(&words_->sync_word, sync_bit(ended), INT_MAX);
  if (futex_wake_some(&words_->sync_word, sync_bit(ended + 1), 1) > 0) {
    words_->sync_waiters.exchange(1, std::memory_order_seq_cst);  // there may be more of them
  }
}

void ControlPage::pass_on_wake(uint32_t seen) const {
  if (words_->sync_word.load(std::memory_order_seq_cst) != seen + 1) return;  // an end woke all
  futex_wake_some(&words_->sync_word, sync_bit(seen + 1), INT_MAX);
}

}  // namespace pystream::storage
