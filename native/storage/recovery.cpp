// Opening a partition. Four cases, told apart by the control page:
//
//   current    same boot, and the page's own inode: trusted after a look at the last batch; O(1)
//   absent     a new partition
//   failed     current, but a sync failed: cut back to the durable offset, under the lock, while
//              readers and other processes may be at work
//   otherwise  another boot (power loss), a copied directory, a damaged page: recovered from the
//              segments, under the partition's lock
//
// A read-only log is recovered in memory: the same result, and nothing is written.
//
// Recovery never writes to a published byte. What follows goes into a new segment, under a new
// incarnation, at offsets that were never given out (the lease).

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "storage/format_version.hpp"
#include "storage/partition_state.hpp"
#include "storage/segment_scan.hpp"
#include "storage/time_lookup.hpp"

namespace pystream::storage {
namespace {

using State = Partition::State;

constexpr const char* kSetAsideSuffix = ".torn";

bool is_current(const ControlIdentity& identity, const BootId& boot, const FileIdentity& self) {
  return std::memcmp(identity.boot_id, boot.data(), boot.size()) == 0 &&
         identity.device == self.device && identity.inode == self.inode;
}

bool is_of(const ControlIdentity& identity, const PartitionPlace& place) {
  return std::memcmp(identity.topic_id, place.topic_id, sizeof(identity.topic_id)) == 0 &&
         identity.partition == place.partition;
}

void require_same_partition(const ControlIdentity& identity, const PartitionPlace& place) {
  if (!is_readable_version(identity.version)) {
    const std::string path = control_path(place);
    throw_other_version("the control page " + path + " of " + place.name(), path, identity.version);
  }
  if (!is_of(identity, place)) {
    throw Error(ErrorCode::kLog,
                "the directory " + place.directory + " holds another partition than " +
                    place.name() + ". Move it back to where it was.",
                {{"path", place.directory}});
  }
}

// What the control page says it is; nothing when that is damaged, or was never written. A page that
// was never synced may hold, after a power loss, what another one left on the disk. Before the
// first segment it is synced with the lease; from then on it tells a moved directory.
std::optional<ControlIdentity> identity_of(State& state) {
  const auto identity = state.control.identity();
  if (!identity) return std::nullopt;
  if (!is_of(*identity, *state.place) && state.segments->list().empty()) return std::nullopt;
  require_same_partition(*identity, *state.place);
  return identity;
}

// True when the last published batch is there. A batch that is gone in the same boot was taken by
// someone else's hand: readers will report it, and appends must not continue its file.
bool is_tail_intact(State& state, const PublishedState& published) {
  if (published.segment_base_offset == kNoSegment || published.last_batch_position == 0) {
    return true;
  }
  try {
    const auto segment = state.segments->get(published.segment_base_offset);
    if (segment->file_size() < published.end_position) return false;
    ParsedHeader parsed;
    return segment->parse_at(published.last_batch_position, published.end_position, &parsed) ==
               HeaderStatus::kOk &&
           parsed.header.header_crc == published.last_header_crc;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kCorruptRecord) throw;
    return false;
  }
}

// What becomes of batches above the durable offset.
enum class Tail {
  kKept,  // as far as they are whole: they are on the disk, or still in the page cache
  kCut,   // none counts; and none is written to, because readers may have them mapped
};

// Rebuilds what is published from the segments.
class Recovery {
 public:
  Recovery(State& state, int64_t known_durable, Tail tail)
      : state_(state), tail_(tail), durable_(known_durable) {}

  PublishedState run() {
    find_unsynced();
    for (size_t i = 0; i < unsynced_.size(); ++i) {
      if (!take(unsynced_[i])) continue;
      for (++i; i < unsynced_.size(); ++i) stale_.push_back(unsynced_[i].base_offset);
    }
    return published_;
  }

  // Renames the segments that run() found not to count; nothing is removed.
  void set_aside() {
    for (const int64_t base_offset : stale_) {
      const std::string path = state_.place->segment_path(base_offset);
      const File file = File::open(state_.place->files, path, O_RDONLY);
      report_.torn_bytes += file.size();
      if (!state_.is_writable()) continue;
      checked(state_.place->files->rename(path, path + kSetAsideSuffix), "cannot set aside", path);
    }
    if (!stale_.empty()) state_.segments->clear();  // their names may be given again
  }

  int64_t durable() const { return durable_; }
  int64_t first_offset() const { return first_offset_; }
  const RecoveryReport& report() const { return report_; }

 private:
  struct Found {
    int64_t base_offset;
    int64_t limit;  // where it must end: where one of the next says that the log ended before it
  };

  // Raises the durable offset to the largest that a header knows of, and lists the segments from
  // the last with anything below it, where the scan begins: what follows may all be lost, and then
  // this one is where the log ends. Later batches know more, so it goes backwards.
  void find_unsynced() {
    const std::vector<int64_t> bases = state_.listed_segments();
    if (!bases.empty()) first_offset_ = bases.front();
    const LeaseRecord gap = state_.control.lease().value_or(LeaseRecord{});
    int64_t limit = tail_ == Tail::kCut ? durable_ : INT64_MAX;
    for (auto base = bases.rbegin(); base != bases.rend(); ++base) {
      const auto segment = state_.segments->try_get(*base);
      if (*base < gap.gap_end) limit = std::min(limit, gap.gap_begin);
      // Above the cut; or set aside by an earlier one, and its old name came back. One that is
      // empty and behind a gap stays: it tells where the log ended before it.
      const bool is_behind_gap = segment && segment->header().previous_end_offset < *base;
      if (*base > limit || (*base == limit && !is_behind_gap)) {
        stale_.push_back(*base);
        continue;
      }
      unsynced_.insert(unsynced_.begin(), {*base, limit});
      if (segment && segment->is_compacted()) {
        durable_ = std::max(durable_, segment->header().compacted_end_offset);
      }
      if (segment) {
        visit_headers(*segment, [this](const BatchHeader& header) {
          durable_ = std::max(durable_, header.durable_offset);
        });
      }
      if (*base < durable_) break;
      limit = segment ? segment->header().previous_end_offset : *base;
    }
  }

  // Appends a segment to what is recovered; true when the log ends in it, or before.
  bool take(const Found& found) {
    const int64_t limit = found.limit;
    const auto segment = state_.segments->try_get(found.base_offset);
    if (!segment && found.base_offset >= durable_) {
      stale_.push_back(found.base_offset);
      return true;
    }
    ScanResult scan;
    if (segment) {
      scan = scan_segment(*segment, durable_, limit);
    } else {
      scan.end_offset = std::min(limit, durable_);
      scan.lost_records = scan.end_offset - found.base_offset;
    }
    if (scan.end_offset < limit && limit != INT64_MAX && scan.end_offset < durable_) {
      scan.lost_records += std::min(limit, durable_) - scan.end_offset;
      scan.end_offset = std::min(limit, durable_);
    }
    published_.segment_base_offset = found.base_offset;
    published_.end_position = scan.end_position;
    published_.data_end_offset = scan.end_offset;
    published_.last_batch_position = scan.last_batch_position;
    published_.last_header_crc = scan.last_header_crc;
    published_.last_append_sequence = scan.last_append_sequence;
    report_.corrupt_records += scan.lost_records;
    if (scan.has_torn_tail) {
      report_.torn_bytes += segment->file_size() - scan.end_position;
      if (state_.is_writable()) segment->write_terminator(scan.end_position);
    }
    return scan.end_offset < limit;
  }

  State& state_;
  const Tail tail_;
  int64_t durable_;
  int64_t first_offset_ = 0;
  std::vector<Found> unsynced_;
  std::vector<int64_t> stale_;
  PublishedState published_;
  RecoveryReport report_;
};

// Under the lock, with a page that is not current. `old` is what the page says, if anything.
void recover(State& state, const FileIdentity& self, std::optional<ControlIdentity> old) {
  const BootId& boot = state.log->boot;
  const bool same_boot = old && std::memcmp(old->boot_id, boot.data(), boot.size()) == 0;
  const bool same_file = old && FileIdentity{old->device, old->inode} == self;
  const bool is_believable = old && state.control.is_consistent();
  const int64_t known_durable = is_believable ? state.control.words().durable_offset.load() : 0;
  const auto known_start = state.control.checked_log_start();
  const int64_t stored_start = state.control.stored_log_start().value_or(0);
  const uint32_t known_incarnation = is_believable ? state.control.read().incarnation : 0;
  Recovery recovery(state, known_durable, Tail::kKept);
  PublishedState published = recovery.run();
  recovery.set_aside();
  if (state.is_writable()) {
    state.place->files->unlink(state.place->directory + "/" + kCompactionName);
  }
  state.report = recovery.report();
  const bool is_empty = published.segment_base_offset == kNoSegment;
  // After a power loss readers may have seen more than was found; without a lease, no one knows.
  const auto lease = state.control.lease();
  int64_t next_offset = published.data_end_offset;
  if (!same_boot && lease) next_offset = std::max(next_offset, lease->lease_end);
  if (!same_boot && !lease && !is_empty) next_offset += kLeaseOffsets;
  published.log_end_offset = std::max(next_offset, stored_start);
  published.must_roll = true;
  published.incarnation = std::max(known_incarnation, is_empty ? 0 : state.last_incarnation()) + 1;

  ControlIdentity identity{};
  identity.version = kFormatVersion;
  std::memcpy(identity.topic_id, state.place->topic_id, sizeof(identity.topic_id));
  identity.partition = state.place->partition;
  std::memcpy(identity.boot_id, boot.data(), boot.size());
  identity.device = self.device;
  identity.inode = self.inode;
  identity.created_us = old ? old->created_us : wall_clock_us();
  state.control.initialize(identity, published);
  ControlPage::Words& words = state.control.words();
  const int64_t first_offset = recovery.first_offset();
  const bool is_start_known = old && known_start && *known_start <= published.log_end_offset;
  state.control.set_log_start(std::max(is_start_known ? *known_start : first_offset, stored_start));
  // What was read back after a boot came from the disk. Else the page cache may be ahead of it.
  // Never an offset that was skipped: the next recovery would look for its data.
  const int64_t data_end = published.data_end_offset;
  words.durable_offset.store(!same_boot && same_file ? data_end
                                                     : std::min(recovery.durable(), data_end));
  words.interval_end_offset.store(data_end);
  state.report.kind =
      is_empty && !old ? RecoveryReport::Kind::kCreated : RecoveryReport::Kind::kRecovered;
  state.report.log_end_offset = published.log_end_offset;
}

// What lies in the gap may be in the files, and another boot would take it for the end of the log.
// Where the disk still fails, the first append behind the gap writes it, before it is published.
void try_to_write_gap(State& state, const PublishedState& published) {
  try {
    const File file = File::open(state.place->files, control_path(*state.place), O_RDWR);
    state.control.write_lease(file, published.log_end_offset, published);
  } catch (const Error&) {
  }
}

// Under both locks, with a page that is current but for a sync that failed. The publish is the
// cut: from then on objects of the incarnations before are refused (State::read_published). A crash
// on the way leaves the failure on the page, and the next one to open does all of it again.
void cut_to_durable(State& state) {
  ControlPage::Words& words = state.control.words();
  const PublishedState before = state.control.read();
  Recovery recovery(state, words.durable_offset.load(), Tail::kCut);
  PublishedState published = recovery.run();
  // Readers may have seen all that was published, so offsets go on behind the lease.
  const auto lease = state.control.lease();
  published.log_end_offset = std::max({before.log_end_offset, words.synced_lease_end.load(),
                                       lease ? lease->lease_end : int64_t{0}});
  published.must_roll = true;
  published.incarnation = before.incarnation + 1;
  state.control.forget_stable();  // a marker may go with the rest
  state.control.publish(published);
  recovery.set_aside();
  try_to_write_gap(state, published);
  words.interval_end_offset.store(published.data_end_offset);
  words.sync_failed.store(0, std::memory_order_release);
  state.control.wake();
  state.report = recovery.report();
  state.report.kind = RecoveryReport::Kind::kRecovered;
  state.report.log_end_offset = published.log_end_offset;
}

std::string to_hex(const uint8_t* bytes, size_t length) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < length; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

std::shared_ptr<const PartitionPlace> make_place(const LogShared& log,
                                                 const PartitionOptions& options) {
  auto place = std::make_shared<PartitionPlace>();
  place->topic = options.topic;
  std::memcpy(place->topic_id, options.topic_id.bytes, sizeof(place->topic_id));
  place->partition = options.partition;
  place->files = log.files;
  const std::string topics = log.directory + "/topics";
  const std::string topic = topics + "/" + to_hex(place->topic_id, sizeof(place->topic_id));
  place->directory = topic + "/" + std::to_string(options.partition);
  if (!log.options.read_only) {
    ensure_directory(*log.files, topics);
    ensure_directory(*log.files, topic);
    ensure_directory(*log.files, place->directory);
  }
  return place;
}

// The control file, at full length; made when it is missing or too short to be mapped.
File open_control_file(State& state) {
  const PartitionPlace& place = *state.place;
  const std::string path = control_path(place);
  File file = File::open_if_exists(place.files, path, O_RDWR);
  if (file.is_open() && file.size() >= kControlPageBytes) return file;
  const std::string temporary = path + ".new";
  const int removed = place.files->unlink(temporary);
  if (removed != -ENOENT) checked(removed, "cannot remove", temporary);
  file = File::open(place.files, temporary, O_RDWR | O_CREAT | O_EXCL);
  file.allocate(0, kControlPageBytes);
  checked(place.files->rename(temporary, path), "cannot create", path);
  state.note_made_file();
  return File::open(place.files, path, O_RDWR);
}

}  // namespace

// Reads the page without the lock; true when it is current and the partition can be used as it is.
bool Partition::State::try_open_current(bool mends) {
  const int flags = is_writable() ? O_RDWR : O_RDONLY;
  const File file = File::open_if_exists(place->files, control_path(*place), flags);
  if (!file.is_open() || file.size() < kControlPageBytes) return false;
  control = ControlPage(file, is_writable());
  control_file = file.identity();
  segments->follow(control.words().segment_changes.load(std::memory_order_acquire));
  const auto identity = control.identity();
  if (!identity || !is_of(*identity, *place)) return false;
  require_same_partition(*identity, *place);
  if (!is_current(*identity, log->boot, control_file)) return false;
  if (!control.is_consistent()) return false;
  const PublishedState published = control.read();
  if (is_writable() && control.words().sync_failed.load(std::memory_order_acquire) != 0) {
    return false;
  }
  incarnation = published.incarnation;
  if (!mends) return true;
  if (const auto start = unfinished_log_start()) {
    if (is_writable()) {
      const AppendLock held(*this);
      finish_deletion();
    } else {
      control.raise_log_start_here(*start);
    }
  }
  if (published.must_roll || is_tail_intact(*this, published)) return true;
  if (!is_writable()) return true;  // readers report what is missing
  const AppendLock held(*this);
  PublishedState fenced = control.read();
  fenced.must_roll = true;
  control.publish(fenced);
  return true;
}

// Of the last segment that can be read: incarnations rise along a partition.
uint32_t Partition::State::last_incarnation() {
  const std::vector<int64_t> bases = segments->list();
  for (auto base = bases.rbegin(); base != bases.rend(); ++base) {
    if (const auto segment = segments->try_get(*base)) return segment->header().incarnation;
  }
  return 0;
}

Partition::State::State(std::shared_ptr<LogShared> shared,
                        const PartitionOptions& partition_options,
                        std::shared_ptr<const PartitionPlace> found)
    : log(std::move(shared)),
      place(std::move(found)),
      pid(static_cast<uint32_t>(::getpid())),
      segments(std::make_unique<SegmentSet>(place, is_writable())),
      times(std::make_unique<TimeLookup>(*this)),
      options(partition_options),
      schema_ids{partition_options.schema_id} {}

Partition::State::State(std::shared_ptr<LogShared> shared,
                        std::shared_ptr<const PartitionPlace> found)
    : State(std::move(shared), PartitionOptions{}, found) {
  File file = File::open_if_exists(place->files, lock_path(*place), O_RDWR);
  const bool is_there = file.is_open();
  if (is_there) lock.open(std::move(file));
  fork_guard = std::make_unique<ForkGuard>(&lock);
  if (is_there && try_open_current(false)) return;
  throw Error(ErrorCode::kUnknownTopic,
              place->name() + " in " + place->directory + " is not in use. Open the log anew.",
              {{"topic", place->topic}, {"partition", int64_t{place->partition}}});
}

Partition::State::State(std::shared_ptr<LogShared> shared,
                        const PartitionOptions& partition_options)
    : State(shared, partition_options, make_place(*shared, partition_options)) {
  if (is_writable()) {
    File file = File::open_if_exists(place->files, lock_path(*place), O_RDWR);
    if (!file.is_open()) {
      file = File::open(place->files, lock_path(*place), O_RDWR | O_CREAT);
      note_made_file();
    }
    lock.open(std::move(file));
  } else {
    File file = File::open_if_exists(place->files, lock_path(*place), O_RDONLY);
    if (file.is_open()) lock.open(std::move(file));
  }
  fork_guard = std::make_unique<ForkGuard>(&lock);
  if (try_open_current()) return;
  if (!is_writable()) {
    open_in_memory();
    return;
  }
  // The lock's holder is named from the page, which is not there yet.
  if (!lock.acquire(log->options.lock_timeout_us)) throw_lock_timeout();
  try {
    open_under_lock();
  } catch (...) {
    lock.release();
    throw;
  }
  lock.release();
}

// Another process may have recovered the partition while this one waited.
void Partition::State::open_under_lock() {
  const File file = open_control_file(*this);
  control = ControlPage(file, true);
  control_file = file.identity();
  const auto identity = identity_of(*this);
  const bool is_usable =
      identity && is_current(*identity, log->boot, control_file) && control.is_consistent();
  if (!is_usable) {
    recover(*this, control_file, identity);
  } else if (control.words().sync_failed.load(std::memory_order_acquire) != 0) {
    with_flush_lock([this] { cut_to_durable(*this); });
  }
  finish_deletion();
  incarnation = control.read().incarnation;
  control.words().holder_pid.store(pid, std::memory_order_relaxed);
}

void Partition::State::open_in_memory() {
  const std::string path = control_path(*place);
  const File file = File::open_if_exists(place->files, path, O_RDONLY);
  control = ControlPage::in_memory(file, path);
  control_file = {};
  const auto identity = identity_of(*this);
  recover(*this, file.is_open() ? file.identity() : FileIdentity{}, identity);
  incarnation = control.read().incarnation;
}

}  // namespace pystream::storage
