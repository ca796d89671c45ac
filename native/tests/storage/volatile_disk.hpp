#pragma once
// A file layer over a disk that forgets: what a power loss leaves of the files in one directory.
// tests/torture/disk.py states the same rules for whole logs; in short:
//
// * A sector of 512 bytes that was written since the last sync of its file holds any of the
//   contents that it had since; where it held nothing before, also zeros or stale bytes of another
//   place. What was synced is not destroyed by being written again.
// * After a sync that failed, the kernel forgets that there was anything to write: what it should
//   have synced stays at risk whatever is synced later, until it is written again.
// * Sectors of mapped pages (control, order) are of any version since the last sync.
// * New names are there, up to one of them, in the order in which they were made. A name that was
//   taken from another file may be that one's again, each by itself.

#include <sys/mman.h>
#include <sys/stat.h>

#include <map>
#include <random>
#include <set>
#include <utility>

#include "log_crash_testing.hpp"

namespace pystream::storage {

inline constexpr size_t kDiskSector = 512;

class VolatileDisk : public FileLayer {
 public:
  explicit VolatileDisk(std::mt19937_64* random) : random_(random) {}

  int64_t pwritev(int fd, const iovec* parts, int count, int64_t position) override {
    std::lock_guard guard(mutex_);
    if (is_dead()) return -EIO;
    File& file = file_of(fd);
    int64_t length = 0;
    for (int i = 0; i < count; ++i) length += static_cast<int64_t>(parts[i].iov_len);
    const int64_t first = position / kSector;
    const int64_t last = (position + length + kSector - 1) / kSector;
    for (int64_t sector = first; sector < last; ++sector) {
      if (!file.synced.contains(sector)) file.synced[sector] = read_sector(fd, sector);
    }
    observe_pages();
    const int64_t written = FileLayer::pwritev(fd, parts, count, position);
    for (int64_t sector = first; sector < last; ++sector) {
      file.forgotten.erase(sector);
      file.versions[sector].push_back(read_sector(fd, sector));
      remember(file.versions[sector].back());
    }
    return written;
  }
  int sync_data(int fd) override {
    std::lock_guard guard(mutex_);
    if (is_dead()) return -EIO;
    ++syncs;
    File& file = file_of(fd);
    if (std::exchange(fails_next_sync_, false)) {
      for (const auto& [sector, versions] : file.versions) file.forgotten.insert(sector);
      return -EIO;
    }
    const auto is_synced = [&](const auto& entry) { return !file.forgotten.contains(entry.first); };
    std::erase_if(file.versions, is_synced);
    std::erase_if(file.synced, is_synced);
    for (auto& page : pages_) {
      if (page.inode == inode(fd)) page.versions = {snapshot(page)};
    }
    return 0;
  }
  int sync_directory(const std::string& directory) override {
    std::lock_guard guard(mutex_);
    if (is_dead()) return -EIO;
    std::erase_if(renames_, [&](const Rename& name) {
      const bool is_there = name.to.starts_with(directory + "/");
      if (is_there && !name.replaced.empty()) std::filesystem::remove(name.replaced);
      return is_there;
    });
    return 0;
  }
  int rename(const std::string& from, const std::string& to) override {
    std::lock_guard guard(mutex_);
    if (is_dead()) return -EIO;
    if (to.ends_with(".seg")) {
      Rename name{to, ""};
      if (std::filesystem::exists(to)) {
        name.replaced = to + ".replaced" + std::to_string(++replaced_);
        std::filesystem::create_hard_link(to, name.replaced);
      }
      renames_.push_back(name);
    }
    return FileLayer::rename(from, to);
  }
  int map_shared(int fd, size_t length, bool writable, void** out) override {
    const int result = FileLayer::map_shared(fd, length, writable, out);
    std::lock_guard guard(mutex_);
    if (result == 0 && writable && !is_mapped(inode(fd))) {
      // A mapping of our own, which lives as long as the disk.
      void* own = nullptr;
      EXPECT_EQ(FileLayer::map_shared(fd, length, true, &own), 0);
      pages_.push_back({inode(fd), static_cast<char*>(own), length, {}});
      observe(&pages_.back());
    }
    return result;
  }
  int boot_id(BootId* out) override {
    *out = boot_;
    return 0;
  }
  ~VolatileDisk() override { forget_pages(); }

  // The machine starts (again): another boot, and all that is there is on the disk.
  void restart() {
    ++boot_[0];
    is_dead_ = false;
    calls_left_ = 0;
    files_.clear();
    for (const Rename& name : renames_) {
      if (!name.replaced.empty()) std::filesystem::remove(name.replaced);
    }
    renames_.clear();
    forget_pages();
  }

  void fail_next_sync() { fails_next_sync_ = true; }

  // Remembers what the mapped pages hold now: a disk may have written them at any moment.
  void observe() {
    std::lock_guard guard(mutex_);
    observe_pages();
  }

  // As die(), at the call of that number from now on.
  void die_at_call(int64_t number) { calls_left_ = number; }
  // From now on nothing reaches the disk any more.
  void die() {
    observe();
    std::lock_guard guard(mutex_);
    is_dead_ = true;
  }

  // Leaves in the log what the disk holds. A file without a name is gone.
  void lose(const std::string& log, const std::string& directory) {
    std::map<uint64_t, std::string> names{{inode_of(log + "/order"), log + "/order"}};
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      names[inode_of(entry.path())] = entry.path();
    }
    kept_ = static_cast<int>(draw(4) == 0 ? 100 : draw(101));
    for (auto& [number, file] : files_) {
      const auto name = names.find(number);
      if (name == names.end()) continue;
      for (const auto& [sector, versions] : file.versions) {
        write_bytes(name->second, sector * kSector, draw_sector(file.synced[sector], versions));
      }
    }
    for (const Page& page : pages_) {
      const auto name = names.find(page.inode);
      if (name != names.end()) write_bytes(name->second, 0, draw_page(page));
    }
    if (!renames_.empty() && draw(3) == 0) {
      const size_t kept = draw(renames_.size());
      for (size_t i = renames_.size(); i-- > kept;) {
        if (renames_[i].replaced.empty()) {
          std::filesystem::remove(renames_[i].to);
        } else {
          std::filesystem::rename(renames_[i].replaced, renames_[i].to);
        }
      }
      renames_.resize(kept);
    }
    // Names that were another file's keep no order among each other.
    std::set<std::string> later;
    for (auto name = renames_.rbegin(); name != renames_.rend(); ++name) {
      const bool is_last = later.insert(name->to).second;
      if (!is_last || name->replaced.empty() || draw(2) != 0) continue;
      std::filesystem::rename(name->replaced, name->to);
      name->replaced.clear();
    }
  }

  int64_t syncs = 0;

 private:
  static constexpr int64_t kSector = kDiskSector;
  static constexpr size_t kStaleSectors = 256;

  struct File {
    std::map<int64_t, std::string> synced;  // of the sectors in `versions`
    std::map<int64_t, std::vector<std::string>> versions;
    std::set<int64_t> forgotten;  // sectors whose sync failed
  };
  struct Rename {
    std::string to;
    std::string replaced;  // another name of the file that had it; empty: none
  };
  struct Page {
    uint64_t inode;
    char* bytes;
    size_t length;
    std::vector<std::string> versions;  // since the last sync; the first is what was synced
  };

  uint64_t inode(int fd) {
    FileIdentity identity;
    FileLayer::identity(fd, &identity);
    return identity.inode;
  }
  static uint64_t inode_of(const std::string& path) {
    struct stat status;
    EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
    return status.st_ino;
  }
  bool is_dead() {
    if (calls_left_ > 0 && --calls_left_ == 0) {
      observe_pages();
      is_dead_ = true;
    }
    return is_dead_;
  }
  File& file_of(int fd) { return files_[inode(fd)]; }
  std::string read_sector(int fd, int64_t sector) {
    std::string bytes(kDiskSector, '\0');
    FileLayer::pread(fd, bytes.data(), bytes.size(), sector * kSector);
    return bytes;
  }
  static std::string snapshot(const Page& page) { return {page.bytes, page.length}; }
  static void observe(Page* page) {
    std::string now = snapshot(*page);
    if (page->versions.empty() || now != page->versions.back()) {
      page->versions.push_back(std::move(now));
    }
  }
  void observe_pages() {
    for (Page& page : pages_) observe(&page);
  }
  bool is_mapped(uint64_t inode) const {
    return std::any_of(pages_.begin(), pages_.end(),
                       [&](const Page& page) { return page.inode == inode; });
  }
  void forget_pages() {
    for (const Page& page : pages_) ::munmap(page.bytes, page.length);
    pages_.clear();
  }
  size_t draw(size_t below) { return static_cast<size_t>((*random_)() % below); }

  void remember(const std::string& sector) {
    if (stale_.size() < kStaleSectors) stale_.push_back(sector);
    stale_[draw(stale_.size())] = sector;
  }

  std::string draw_sector(const std::string& before, const std::vector<std::string>& versions) {
    if (static_cast<int>(draw(100)) < kept_) return versions.back();
    const std::string zeros(kDiskSector, '\0');
    const size_t fates = versions.size() + (before == zeros ? 3 : 1);
    const size_t fate = draw(fates);
    if (fate < versions.size()) return versions[fate];
    if (fate == versions.size()) return before;
    return fate == versions.size() + 1 ? zeros : stale_[draw(stale_.size())];
  }

  std::string draw_page(const Page& page) {
    std::string result;
    const size_t newest = page.versions.size() - 1;
    for (size_t at = 0; at < page.length; at += kDiskSector) {
      const size_t version = static_cast<int>(draw(100)) < kept_ ? newest : draw(newest + 1);
      result += page.versions[version].substr(at, kDiskSector);
    }
    return result;
  }

  BootId boot_{};
  std::mt19937_64* random_;
  std::mutex mutex_;
  bool is_dead_ = false;
  bool fails_next_sync_ = false;
  int kept_ = 0;  // percent of the sectors that hold their newest content
  std::map<uint64_t, File> files_;
  std::vector<Page> pages_;
  std::vector<Rename> renames_;
  int replaced_ = 0;
  int64_t calls_left_ = 0;
  std::vector<std::string> stale_;
};

}  // namespace pystream::storage
