#pragma once
// The control page of a partition: one mapped file of 4096 bytes that says what is published. All
// processes share it; docs/formats/log_directory.md draws the same bytes.
//
//   0     identity  what the page belongs to, with a CRC; written by creation and recovery only
//   512   lease     in a sector of its own, written and synced alone
//   1024  version   selects slot version & 1
//   1088  slot 0, slot 1 (64 bytes each)
//   1216  durable offset, interval end offset, synced lease end
//   1280  log start offset, its complement, and once more; count of changes of the segments
//   1344  in-flight mark, pid of the lock's holder
//   1408  wake word, waiter flag
//   1472  sync failure
//   1536  sync word, waiter flag, pid of the flush lock's holder, time of the last sync, end of the
//         running one
//   1600  base offset of a segment, position up to which zeros were written ahead in it
//   1664  stable offset and its complement
//
// Who may write: whoever holds the append lock; of durable_offset (only rises), sync_failed and the
// last line, whoever holds the flush lock; the waiter flags, any process at any time.
//
// Crash: a writer killed between any two stores leaves the slot selected by the version whole. The
// page need not reach the disk: after a power loss (another boot id) it is only a hint, except for
// the lease.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>

#include "storage/file.hpp"
#include "storage/log.hpp"

namespace pystream::storage {

inline constexpr int64_t kControlPageBytes = 4096;
inline constexpr int64_t kLeaseSector = 512;
inline constexpr size_t kSectorBytes = 512;
inline constexpr uint32_t kControlMagic = 0x54435350;  // "PSCT"
inline constexpr uint32_t kLeaseMagic = 0x534C5350;    // "PSLS"
inline constexpr int64_t kStartRecord = 576;           // in the lease's sector
inline constexpr uint32_t kStartMagic = 0x45425350;    // "PSBE"
inline constexpr int64_t kNoSegment = -1;

struct ControlIdentity {
  uint32_t magic;
  uint32_t crc;  // CRC32C of the bytes from 8 to the end of this struct
  uint16_t version;
  uint16_t reserved0;
  uint32_t reserved1;
  uint8_t topic_id[16];
  int32_t partition;
  uint32_t reserved2;
  uint8_t boot_id[16];
  uint64_t device;  // of the file itself: a copied page does not match
  uint64_t inode;
  int64_t created_us;
};
static_assert(sizeof(ControlIdentity) == 80);

// The log start offset, in the sector of the lease: it never goes back, whatever becomes of the
// page.
struct StartRecord {
  uint32_t magic;
  uint32_t crc;  // CRC32C of the bytes from 8 to the end of this struct
  int64_t log_start_offset;
};
static_assert(sizeof(StartRecord) == 16);

struct LeaseRecord {
  uint32_t magic;
  uint32_t crc;       // CRC32C of the bytes from 8 to the end of this struct
  int64_t lease_end;  // no offset at or above it was ever given out
  int64_t gap_begin;  // The last offsets that were skipped, before the first append behind them:
  int64_t gap_end;    // whatever is found there was given up
};
static_assert(sizeof(LeaseRecord) == 32);

// What is published, as one consistent whole.
struct PublishedState {
  int64_t segment_base_offset = kNoSegment;  // of the active segment
  int64_t end_position = 0;                  // in it, behind the last batch
  int64_t log_end_offset = 0;
  int64_t data_end_offset = 0;      // below log_end_offset only when offsets were skipped
  int64_t last_batch_position = 0;  // 0: the active segment holds no batch that is known good
  uint64_t last_append_sequence = 0;
  uint32_t last_header_crc = 0;
  bool must_roll = false;    // the active segment takes no more batches
  uint32_t incarnation = 0;  // rises with every recovery; below 2^31

  bool operator==(const PublishedState&) const = default;
};

// The mapped page. One per Partition; const methods may be called from any thread.
class ControlPage {
 public:
  ControlPage() = default;
  ControlPage(const File& file, bool writable);
  // A page in this process's own memory, for a log that may not be written: begins as a copy of
  // `file`, which may be missing (not open) or short.
  static ControlPage in_memory(const File& file, std::string path);

  bool is_mapped() const { return words_ != nullptr; }
  // The identity, when its CRC is right.
  std::optional<ControlIdentity> identity() const;
  // Under the lock, with no other user of the page: forgets all else and starts from `state`.
  void initialize(ControlIdentity identity, const PublishedState& state);

  // What is published now; nullopt when the page holds no valid slot (damaged).
  std::optional<PublishedState> try_read() const;
  // As try_read(); throws kCorruptRecord, naming the file, when the page is damaged.
  PublishedState read() const;
  // Under the lock. After it the state is visible to all processes.
  void publish(const PublishedState& state);

  // As stored; it may not have been synced.
  std::optional<LeaseRecord> lease() const;
  // Under the lock: writes and syncs the lease, and with it the gap behind `published`, if there is
  // one. Throws kStorage; a lease that was not synced is not counted on.
  void write_lease(const File& control_file, int64_t lease_end,
                   const PublishedState& published) const;

  // The log start offset that was made durable; nullopt: none ever was.
  std::optional<int64_t> stored_log_start() const;
  // Under the lock: writes and syncs it. Throws kStorage.
  void write_log_start(const File& control_file, int64_t offset) const;

  // All words of `Words` are always lock free, so they work across processes.
  struct Words {
    alignas(64) std::atomic<uint64_t> version;
    alignas(64) std::atomic<uint64_t> slots[2][8];
    alignas(64) std::atomic<int64_t> durable_offset;
    std::atomic<int64_t> interval_end_offset;  // below it, an append asked for a sync in time
    std::atomic<int64_t> synced_lease_end;     // the lease sector says at least this on the disk
    alignas(64) std::atomic<int64_t> log_start_offset;
    std::atomic<int64_t> log_start_check;  // its complement
    std::atomic<int64_t>
        log_start_copy;  // written first: tells what a writer killed between was at
    std::atomic<uint64_t> segment_changes;  // rises when segments were removed or replaced
    alignas(
        64) std::atomic<uint64_t> in_flight;  // kNotInFlight, or at most the sequence being used
    std::atomic<uint32_t> holder_pid;         // who took the lock last
    alignas(64) std::atomic<uint32_t> wake;   // changes with every publish that had a waiter
    std::atomic<uint32_t> waiters;            // 1: someone may be asleep on `wake`
    alignas(64) std::atomic<uint32_t> sync_failed;  // the errno of the sync that failed; 0: none
    alignas(64) std::atomic<uint32_t> sync_word;    // changes when a sync is over that had a waiter
    std::atomic<uint32_t> sync_waiters;             // 1: someone may be asleep on `sync_word`
    std::atomic<uint32_t> sync_pid;                 // who took the flush lock last
    std::atomic<int64_t> last_sync_us;              // monotonic: when the last good sync began
    std::atomic<int64_t> syncing_end;  // what a running sync makes durable; 0: none runs. A hint
    alignas(64) std::atomic<int64_t> prewritten_segment;
    std::atomic<int64_t> prewritten_end;  // in that segment; INT64_MAX: all of it
    // Below it, every transaction is decided by a marker. Only rises; may lag behind.
    alignas(64) std::atomic<int64_t> stable_offset;
    std::atomic<int64_t> stable_check;  // its complement
  };
  Words& words() const { return *words_; }

  // Under the lock.
  void set_log_start(int64_t offset);
  // For who may not write the page: the log starts here at the earliest, whatever the page says.
  void raise_log_start_here(int64_t offset) {
    least_log_start_ = std::max(least_log_start_, offset);
  }
  int64_t log_start() const {
    return std::max(words_->log_start_offset.load(std::memory_order_seq_cst), least_log_start_);
  }
  // False when a word contradicts another: the page is damaged.
  bool is_consistent() const;
  // The log start offset, when it can be believed.
  std::optional<int64_t> checked_log_start() const;
  // Under the lock.
  void set_stable(int64_t offset) const;
  // Before batches that were published are given up.
  void forget_stable() const;
  // The stable offset; nullopt when it is not known, as after a recovery.
  std::optional<int64_t> checked_stable() const;
  // True when an append at the level interval waits for a sync, which did not fail.
  bool needs_sync() const;
  // Raises durable_offset to `offset`; never lowers it.
  void raise_durable(int64_t offset) const;
  // After publish(): wakes every process that waits for the partition.
  void wake() const;
  // Sleeps until a sync ends whose end had a waiter, and is_covered; or until it is this one's turn
  // to sync. `seen` is the sync word from before waiters were announced. False after the timeout.
  bool wait_synced(uint32_t seen, bool is_covered, int64_t timeout_us) const;
  // After the flush lock was released: wakes all that the sync covered, and one of the others.
  void wake_synced() const;
  // By one of the others, who found that a sync has covered it all the same: wakes the rest.
  void pass_on_wake(uint32_t seen) const;

 private:
  Mapping mapping_;
  std::string path_;
  Words* words_ = nullptr;
  int64_t least_log_start_ = 0;
};

inline constexpr uint64_t kNotInFlight = 0;

}  // namespace pystream::storage
