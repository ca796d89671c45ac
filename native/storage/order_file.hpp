#pragma once
// DIR/order: the log's identity and the log-wide append sequence, in one mapped page that all
// processes share. docs/formats/log_directory.md draws the bytes.
//
//   0    OrderHeader, with a CRC; written when the log is created and after a reboot or a copy
//   512  append-sequence counter: the next sequence to be given out, from 1
//   520  wake word and waiter flag, for who waits for more partitions than the kernel can watch
//   528  changes with each control page and lock that is made: see in_place.cpp
//   1024 one bit for each who owes the log a sync: see sync_pledges.hpp
//
// Byte 0 of the file is locked while it is opened or recovered; byte 1 by every process that has
// the log open, shared, and by a repair, which excludes them; those from 4096 on by SyncPledges.
//
// Crash: the counter lives in the page cache, which survives every process. After a power loss it
// is found again from the partitions (see recover_sequence), and skips far ahead, so that a
// sequence that a reader may have seen is never used twice.

#include <atomic>
#include <functional>
#include <span>

#include "storage/file.hpp"
#include "storage/log.hpp"
#include "storage/sync_pledges.hpp"

namespace pystream::storage {

inline constexpr uint32_t kOrderMagic = 0x444F5350;  // "PSOD"
inline constexpr int64_t kOrderFileBytes = 4096;
inline constexpr uint64_t kSequenceSkip = uint64_t{1} << 32;

struct OrderHeader {
  uint32_t magic;
  uint32_t crc;  // CRC32C of the bytes from 8 to the end of this struct
  uint16_t version;
  uint16_t reserved0;
  uint32_t incompatible_features;  // a program that does not know a bit refuses the log
  uint8_t log_id[16];              // random
  uint8_t boot_id[16];
  uint64_t device;  // of the file itself: a copied file does not match
  uint64_t inode;
  int64_t created_us;
};
static_assert(sizeof(OrderHeader) == 72);

enum class OrderStatus : uint8_t {
  kSound,
  kCutShort,  // zeros: its creation did not come to an end
  kForeign,
  kOtherVersion,
  kUnknownFeatures,
  kDamaged,
};

// `bytes` are the first sizeof(OrderHeader) of the file. `out` is what they say, whatever that is
// worth.
OrderStatus parse_order_header(std::span<const uint8_t> bytes, OrderHeader* out);

// The first name in a directory that has no place in a log: with it, and without an order file, the
// directory is refused. Empty: there is none.
std::string foreign_name(FileLayer& layer, const std::string& directory);

class OrderFile {
 public:
  // Opens or creates the file in `directory`. `recover_sequence` is asked for a sequence above all
  // that the partitions hold, when the counter is not of this boot; one process at a time does so.
  // A read-only log that needs recovery gets a counter in memory of its own.
  // Throws kLog for a directory that is not a log, or another format; kRequestTimeout when another
  // process takes longer than the lock timeout to recover; kStorage when the system refuses.
  static OrderFile open(std::shared_ptr<FileLayer> layer, const std::string& directory,
                        const BootId& boot, const LogOptions& options,
                        const std::function<uint64_t()>& recover_sequence);

  OrderFile() = default;
  const OrderHeader& header() const { return header_; }
  // Always lock free, so they work across processes.
  struct Words {
    std::atomic<uint64_t> counter;
    std::atomic<uint32_t> wake;     // changes with every publish of the log that had a waiter
    std::atomic<uint32_t> waiters;  // 1: someone may be asleep on `wake`
    std::atomic<uint32_t> files_made;
    alignas(512) std::atomic<uint64_t> pledges[kPledgeWords];
  };
  static_assert(sizeof(Words) <= static_cast<size_t>(kOrderFileBytes) - 512);
  Words& words() const { return *words_; }
  std::atomic<uint64_t>& counter() const { return words_->counter; }
  // Gives the use lock back; the counter stays.
  void end_use();

 private:
  File file_;  // open until end_use(): its lock tells who would repair the log that it is in use
  Mapping mapping_;
  OrderHeader header_{};
  Words* words_ = nullptr;
};

}  // namespace pystream::storage
