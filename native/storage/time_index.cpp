#include "storage/time_index.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/crc32c.hpp"
#include "base/error.hpp"

namespace pystream::storage {
namespace {

constexpr size_t kCrcBegin = 8;
constexpr uint32_t kMostColumns = kMaxColumns + 8;
constexpr int64_t kMostBatches = int64_t{1} << 32;

bool can_hold_time(uint8_t type) {
  return type == static_cast<uint8_t>(TypeId::kTimestamp) ||
         type == static_cast<uint8_t>(TypeId::kDate32) ||
         type == static_cast<uint8_t>(TypeId::kInt64);
}

// The head of a sound file of that segment, and behind it its columns.
struct Head {
  TimeIndexHeader header;
  std::vector<TimeIndexColumn> columns;
};

std::optional<Head> read_head(const File& file, int64_t base_offset, uint64_t salt,
                              int64_t end_offset) {
  Head head;
  std::vector<uint8_t> bytes(sizeof(TimeIndexHeader));
  if (!file.is_open() || !file.read(bytes, 0)) return std::nullopt;
  TimeIndexHeader& header = head.header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  const bool is_plausible = header.magic == kTimeIndexMagic &&
                            header.version == kTimeIndexVersion && header.salt == salt &&
                            header.base_offset == base_offset && header.end_offset == end_offset &&
                            header.column_count <= kMostColumns;
  if (!is_plausible) return std::nullopt;
  bytes.resize(sizeof(header) + header.column_count * sizeof(TimeIndexColumn));
  if (!file.read(bytes, 0)) return std::nullopt;
  if (crc32c(0, bytes.data() + kCrcBegin, bytes.size() - kCrcBegin) != header.crc) {
    return std::nullopt;
  }
  head.columns.resize(header.column_count);
  if (header.column_count > 0) {
    std::memcpy(head.columns.data(), bytes.data() + sizeof(header), bytes.size() - sizeof(header));
  }
  return head;
}

File open_index(const PartitionPlace& place, int64_t base_offset) {
  return File::open_if_exists(place.files, TimeIndex::path_of(place, base_offset), O_RDONLY);
}

}  // namespace

std::string TimeIndex::path_of(const PartitionPlace& place, int64_t base_offset) {
  std::string path = place.segment_path(base_offset);
  return path.replace(path.rfind('.'), std::string::npos, ".index");
}

void TimeIndex::extend(Segment& segment, const WalkLimit& limit) {
  while (segment.extend_index(limit, INT64_MAX)) {
  }
  const BatchIndex& index = segment.index();
  for (const int64_t count = index.count(); entries_ < count; ++entries_) {
    const BatchEntry& entry = index.at(entries_);
    if (entry.is_corrupt) {
      has_damage_ = true;
      continue;
    }
    const ParsedHeader parsed = segment.parsed(entry);
    const BatchHeader& header = parsed.header;
    const size_t before = base_offsets_.size();
    base_offsets_.push_back(entry.base_offset);
    const auto add = [&](uint16_t id, int64_t value) {
      std::vector<int64_t>& running = running_[id];
      const int64_t last = running.empty() ? kNoTime : running.back();
      running.resize(before, last);
      running.push_back(std::max(last, value));
    };
    add(kAppendTimes, header.append_time_us);
    if ((header.flags & kFlagControl) != 0) continue;  // its times are of no record
    add(kTimestampColumn, header.max_timestamp);
    for (uint32_t i = 0; i < header.column_count; ++i) {
      const ColumnEntry& column = parsed.columns[i];
      if (column.id >= kFirstBuiltinColumn || !can_hold_time(column.type)) continue;
      if ((column.flags & kColumnHasMinMax) == 0) continue;
      add(column.id, static_cast<int64_t>(column.maximum));
    }
  }
}

std::optional<int64_t> TimeIndex::find(uint16_t column, int64_t value) const {
  const auto found = running_.find(column);
  if (found == running_.end()) return std::nullopt;
  const std::vector<int64_t>& running = found->second;
  const auto at = std::lower_bound(running.begin(), running.end(), value);
  if (at == running.end()) return std::nullopt;
  return base_offsets_[static_cast<size_t>(at - running.begin())];
}

TimeIndex::Maxima TimeIndex::maxima() const {
  Maxima maxima;
  for (const auto& [id, running] : running_) {
    if (!running.empty()) maxima[id] = running.back();
  }
  return maxima;
}

std::optional<TimeIndex::Maxima> TimeIndex::load_maxima(const PartitionPlace& place,
                                                        int64_t base_offset, uint64_t salt,
                                                        int64_t end_offset) {
  const auto head = read_head(open_index(place, base_offset), base_offset, salt, end_offset);
  if (!head) return std::nullopt;
  Maxima maxima;
  for (const TimeIndexColumn& column : head->columns) maxima[column.id] = column.maximum;
  return maxima;
}

std::optional<TimeIndex> TimeIndex::load(const PartitionPlace& place, int64_t base_offset,
                                         uint64_t salt, int64_t end_offset) {
  const File file = open_index(place, base_offset);
  const auto head = read_head(file, base_offset, salt, end_offset);
  if (!head) return std::nullopt;
  const size_t batches = head->header.batch_count;
  const size_t begin = sizeof(TimeIndexHeader) + head->columns.size() * sizeof(TimeIndexColumn);
  const size_t values = batches * (1 + head->columns.size());
  // Believed only as far as the file goes, which a damaged count cannot pass.
  if (file.size() < static_cast<int64_t>(begin + values * sizeof(int64_t))) return std::nullopt;
  std::vector<int64_t> body(values);
  const std::span<uint8_t> bytes(reinterpret_cast<uint8_t*>(body.data()), values * sizeof(int64_t));
  if (!file.read(bytes, static_cast<int64_t>(begin))) return std::nullopt;
  if (crc32c(0, bytes.data(), bytes.size()) != head->header.body_crc) return std::nullopt;
  TimeIndex index;
  auto at = body.begin();
  const auto next = [&] {
    const auto from = at;
    at += static_cast<std::ptrdiff_t>(batches);
    return std::vector<int64_t>(from, at);
  };
  index.base_offsets_ = next();
  for (const TimeIndexColumn& column : head->columns) index.running_[column.id] = next();
  return index;
}

bool TimeIndex::store(const PartitionPlace& place, int64_t base_offset, uint64_t salt,
                      int64_t end_offset) const {
  const size_t batches = base_offsets_.size();
  if (static_cast<int64_t>(batches) >= kMostBatches) return false;
  std::vector<int64_t> body = base_offsets_;
  std::vector<TimeIndexColumn> columns;
  for (const auto& [id, running] : running_) {
    columns.push_back({id, 0, 0, running.empty() ? kNoTime : running.back()});
    body.insert(body.end(), running.begin(), running.end());
    body.resize(batches * (1 + columns.size()), columns.back().maximum);
  }
  TimeIndexHeader header{};
  header.magic = kTimeIndexMagic;
  header.version = kTimeIndexVersion;
  header.column_count = static_cast<uint32_t>(columns.size());
  header.salt = salt;
  header.base_offset = base_offset;
  header.end_offset = end_offset;
  header.batch_count = static_cast<uint32_t>(batches);
  const auto* body_bytes = reinterpret_cast<const uint8_t*>(body.data());
  const size_t body_size = body.size() * sizeof(int64_t);
  header.body_crc = crc32c(0, body_bytes, body_size);
  std::vector<uint8_t> bytes(sizeof(header) + columns.size() * sizeof(TimeIndexColumn));
  std::memcpy(bytes.data(), &header, sizeof(header));
  if (!columns.empty()) {
    std::memcpy(bytes.data() + sizeof(header), columns.data(), bytes.size() - sizeof(header));
  }
  header.crc = crc32c(0, bytes.data() + kCrcBegin, bytes.size() - kCrcBegin);
  std::memcpy(bytes.data(), &header, sizeof(header));
  const std::string path = path_of(place, base_offset);
  try {
    const File file = File::open(place.files, path + ".new", O_RDWR | O_CREAT);
    file.write(std::span<const uint8_t>(bytes), 0);
    if (body_size > 0) {
      file.write(std::span<const uint8_t>(body_bytes, body_size),
                 static_cast<int64_t>(bytes.size()));
    }
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kStorage) throw;
    return false;
  }
  return place.files->rename(path + ".new", path) == 0;
}

}  // namespace pystream::storage
