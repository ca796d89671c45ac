#include "storage/order_file.hpp"

#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/clock.hpp"
#include "base/crc32c.hpp"
#include "base/error.hpp"
#include "storage/file_lock.hpp"
#include "storage/format_version.hpp"
#include "storage/verify.hpp"

namespace pystream::storage {
namespace {

constexpr size_t kCounterOffset = 512;
constexpr size_t kPledgesOffset = 1024;

uint32_t header_crc(const OrderHeader& header) {
  return crc32c(0, reinterpret_cast<const uint8_t*>(&header) + 8, sizeof(header) - 8);
}

// Names that may stand in a log's directory before its order file does: the catalog's, and what a
// filesystem or a crash leaves behind. The order file itself is one that another process made
// since we looked for it.
bool is_log_name(std::string_view name) {
  constexpr std::string_view kNames[] = {
      "catalog.lock",      "groups.lock",    "members.lock", "members.poll",
      "transactions.lock", "retention.lock", "topics",       "checkpoints",
      "quarantine",        "lost+found",     "order"};
  return name.starts_with("catalog.db") ||
         std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

void require_log_directory(FileLayer& layer, const std::string& directory) {
  const std::string name = foreign_name(layer, directory);
  if (name.empty()) return;
  throw Error(ErrorCode::kLog,
              "the directory " + directory +
                  " is not a log: it has no file \"order\" but holds \"" + name +
                  "\". Pass an empty or new directory, or the directory of a log.",
              {{"path", directory}});
}

OrderHeader new_header() {
  OrderHeader header{};
  header.magic = kOrderMagic;
  header.version = kFormatVersion;
  header.created_us = wall_clock_us();
  if (::getentropy(header.log_id, sizeof(header.log_id)) != 0) {
    throw_storage_error("cannot get random bytes", "getentropy", errno);
  }
  return header;
}

[[noreturn]] void throw_foreign(const File& file, const std::string& directory) {
  throw Error(ErrorCode::kLog,
              "the directory " + directory +
                  " is not a log: its file \"order\" was not written by pystream. Pass an empty "
                  "or new directory, or the directory of a log.",
              {{"path", file.path()}});
}

// A creation that was cut short leaves zeros, or the beginning of a header.
bool is_cut_short(const File& file) {
  const int64_t size = file.size();
  if (size >= kOrderFileBytes) return false;
  uint8_t bytes[sizeof(kOrderMagic)] = {};
  const auto begin =
      std::span<uint8_t>(bytes).first(static_cast<size_t>(std::min<int64_t>(size, sizeof(bytes))));
  if (!begin.empty() && !file.read(begin, 0)) return false;
  constexpr uint8_t kZeros[sizeof(kOrderMagic)] = {};
  return std::memcmp(bytes, kZeros, begin.size()) == 0 ||
         std::memcmp(bytes, &kOrderMagic, begin.size()) == 0;
}

// The header as stored, when the file holds a whole one; a default one when the file is new or its
// creation was cut short.
OrderStatus inspect(const File& file, OrderHeader* header) {
  *header = OrderHeader{};
  if (is_cut_short(file)) return OrderStatus::kCutShort;
  uint8_t bytes[sizeof(OrderHeader)] = {};
  if (!file.read(std::span<uint8_t>(bytes), 0)) return OrderStatus::kForeign;
  return parse_order_header(bytes, header);
}

// As inspect(). Throws kLog for what cannot be used.
OrderHeader read_header(const File& file, const std::string& directory) {
  OrderHeader header;
  switch (inspect(file, &header)) {
    case OrderStatus::kSound:
    case OrderStatus::kCutShort:
      return header;
    case OrderStatus::kForeign:
      throw_foreign(file, directory);
    case OrderStatus::kOtherVersion:
      throw_other_version("the log's file " + file.path(), file.path(), header.version);
    case OrderStatus::kUnknownFeatures:
      throw_unknown_features("the log's file " + file.path(), file.path(), header.version);
    case OrderStatus::kDamaged:
      break;
  }
  throw Error(ErrorCode::kLog,
              "the file " + file.path() +
                  " is damaged. If no process uses the log, remove this one file and open the log "
                  "again: it is rebuilt from the partitions, under a new log id.",
              {{"path", file.path()}});
}

bool has_topics(FileLayer& layer, const std::string& directory) {
  std::vector<std::string> names;
  return layer.list(directory + "/topics", &names) == 0 && !names.empty();
}

void lock_for_use(const File& file, const std::string& directory) {
  const int result = file.layer().lock_use(file.fd(), UseMode::kShared);
  if (result == -EAGAIN) {
    throw Error(ErrorCode::kLog,
                "the log in " + directory +
                    " is being repaired by another process. Open it when that has ended.",
                {{"path", directory}});
  }
  checked(result, "cannot lock", file.path());
}

bool is_current(const OrderHeader& header, const BootId& boot, const FileIdentity& self) {
  return header.magic == kOrderMagic && header.device == self.device &&
         header.inode == self.inode && std::memcmp(header.boot_id, boot.data(), boot.size()) == 0;
}

uint64_t stored_counter(const File& file) {
  uint64_t stored = 1;
  uint8_t bytes[sizeof(stored)];
  if (file.read(std::span<uint8_t>(bytes), kCounterOffset)) {
    std::memcpy(&stored, bytes, sizeof(stored));
  }
  return stored;
}

// Under the file's lock: gives the counter a value above all that was ever used, and makes the
// file one of this boot.
void rebuild(const File& file, const std::string& directory, OrderHeader* header,
             const BootId& boot, const FileIdentity& self,
             const std::function<uint64_t()>& recover_sequence) {
  const bool is_new = header->magic != kOrderMagic;
  const uint64_t stored = is_new ? 1 : stored_counter(file);
  if (is_new) *header = new_header();
  const uint64_t found = std::max(stored, recover_sequence());
  const uint64_t next = is_new && found <= 1 ? 1 : found + kSequenceSkip;
  // In this boot somebody may have died owing a sync: the bit of nobody makes one look at all.
  const bool is_of_other_boot =
      !is_new && std::memcmp(header->boot_id, boot.data(), boot.size()) != 0;
  const bool may_owe_sync = !is_of_other_boot && found > 1;
  // The counter is synced before the header makes it count, or the next power loss would lead to
  // the same sequences once more.
  const auto write_page = [&] {
    header->crc = header_crc(*header);
    uint8_t bytes[kOrderFileBytes] = {};
    std::memcpy(bytes, header, sizeof(*header));
    std::memcpy(bytes + kCounterOffset, &next, sizeof(next));
    bytes[kPledgesOffset] = may_owe_sync ? 1 : 0;
    file.write(std::span<const uint8_t>(bytes), 0);
  };
  file.allocate(0, kOrderFileBytes);
  write_page();
  file.sync_data();
  if (is_new) {
    checked(file.layer().sync_directory(directory), "cannot sync the directory", directory);
  }
  header->device = self.device;
  header->inode = self.inode;
  std::memcpy(header->boot_id, boot.data(), boot.size());
  write_page();
}

}  // namespace

std::string foreign_name(FileLayer& layer, const std::string& directory) {
  std::vector<std::string> names;
  checked(layer.list(directory, &names), "cannot list", directory);
  std::sort(names.begin(), names.end());
  const auto found = std::find_if_not(names.begin(), names.end(), is_log_name);
  return found == names.end() ? std::string() : *found;
}

OrderStatus parse_order_header(std::span<const uint8_t> bytes, OrderHeader* out) {
  std::memcpy(out, bytes.data(), sizeof(*out));
  if (out->magic == 0) {
    *out = OrderHeader{};
    return OrderStatus::kCutShort;
  }
  if (out->magic != kOrderMagic) return OrderStatus::kForeign;
  if (out->crc != header_crc(*out)) return OrderStatus::kDamaged;
  if (!is_readable_version(out->version)) return OrderStatus::kOtherVersion;
  if (out->incompatible_features != 0) return OrderStatus::kUnknownFeatures;
  return OrderStatus::kSound;
}

OrderFile OrderFile::open(std::shared_ptr<FileLayer> layer, const std::string& directory,
                          const BootId& boot, const LogOptions& options,
                          const std::function<uint64_t()>& recover_sequence) {
  const std::string path = directory + "/order";
  const bool read_only = options.read_only;
  const int flags = read_only ? O_RDONLY : O_RDWR;
  File file = File::open_if_exists(layer, path, flags);
  if (!file.is_open()) {
    require_log_directory(*layer, directory);
    if (read_only && has_topics(*layer, directory)) {
      // A backup that nobody has opened for writing yet.
      OrderFile result;
      result.mapping_ = Mapping::anonymous(kOrderFileBytes);
      result.words_ = reinterpret_cast<Words*>(result.mapping_.data() + kCounterOffset);
      result.counter().store(recover_sequence());
      return result;
    }
    if (read_only) {
      throw Error(ErrorCode::kLog,
                  "the directory " + directory +
                      " holds no log yet, and a read-only open does not create one. Open it for "
                      "writing first.",
                  {{"path", directory}});
    }
    file = File::open(layer, path, flags | O_CREAT);
  }
  const FileIdentity self = file.identity();
  lock_for_use(file, directory);

  OrderFile result;
  if (read_only) {
    result.header_ = read_header(file, directory);
  } else {
    const FileLock lock(file, options.lock_timeout_us);
    result.header_ = read_header(file, directory);
    if (!is_current(result.header_, boot, self)) {
      rebuild(file, directory, &result.header_, boot, self, recover_sequence);
    }
  }
  if (is_current(result.header_, boot, self)) {
    result.mapping_ = Mapping(file, kOrderFileBytes, !read_only);
  } else {
    // Nobody appends to a log that needs recovery, so a counter of our own is as good.
    result.mapping_ = Mapping::anonymous(kOrderFileBytes);
  }
  result.words_ = reinterpret_cast<Words*>(result.mapping_.data() + kCounterOffset);
  if (read_only && !is_current(result.header_, boot, self)) {
    result.counter().store(std::max(stored_counter(file), recover_sequence()));
  }
  result.file_ = std::move(file);
  return result;
}

void OrderFile::end_use() {
  if (!file_.is_open()) return;
  file_.layer().lock_use(file_.fd(), UseMode::kNone);  // the mapping would keep it
  file_.close();
}

OrderReport verify_order(const std::string& directory, std::shared_ptr<FileLayer> files) {
  if (!files) files = std::make_shared<FileLayer>();
  BootId boot{};
  checked(files->boot_id(&boot), "cannot read the boot id of", std::string("this machine"));
  const std::string path = directory + "/order";
  const std::string advice =
      "Run \"pystream verify --repair\", which sets it aside and rebuilds it from the partitions, "
      "under a new log id.";
  const bool is_log = has_topics(*files, directory);
  OrderReport report;
  const File file = File::open_if_exists(files, path, O_RDONLY);
  if (!file.is_open()) {
    if (!is_log) {
      throw Error(ErrorCode::kLog,
                  "the directory " + directory +
                      " is not a log: it has no file \"order\". Pass the directory of a log.",
                  {{"path", directory}});
    }
    report.findings.push_back(
        {"order-missing",
         "there is no order file, as in a backup: it is made from the partitions when the log is "
         "opened for writing",
         "", path, -1, -1, -1, true});
    return report;
  }
  OrderHeader header;
  const OrderStatus status = inspect(file, &header);
  // Without topics it may be anybody's file, and another format is not damage.
  const bool is_damage =
      is_log && (status == OrderStatus::kDamaged || status == OrderStatus::kForeign ||
                 status == OrderStatus::kCutShort);
  if (is_damage) {
    report.findings.push_back({"order-damaged", "the order file is damaged", advice, path});
    return report;
  }
  header = read_header(file, directory);
  report.is_current = is_current(header, boot, file.identity());
  report.next_sequence = stored_counter(file);
  return report;
}

}  // namespace pystream::storage
