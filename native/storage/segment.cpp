#include "storage/segment.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/crc32c.hpp"
#include "base/error.hpp"
#include "storage/format_version.hpp"

namespace pystream::storage {
namespace {

constexpr const char* kTemporaryName = "segment.new";
constexpr int64_t kPageBytes = 4096;

int64_t round_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

[[noreturn]] void throw_bad_segment(const PartitionPlace& place, const std::string& path,
                                    int64_t base_offset, const std::string& reason) {
  throw Error(ErrorCode::kCorruptRecord,
              "the segment " + path + " of " + place.name() + " cannot be read: " + reason +
                  ". Restore the file from a backup, or seek behind the segment.",
              {{"topic", place.topic},
               {"partition", int64_t{place.partition}},
               {"offset", base_offset},
               {"path", path}});
}

}  // namespace

// Header and schema, from the open file. Throws kCorruptRecord, or kLog for another format.
void Segment::read_head() {
  const auto fail = [this](const std::string& reason) {
    const auto named =
        parse_segment_name(segment_place_.path.substr(segment_place_.path.rfind('/') + 1));
    throw_bad_segment(*place_, segment_place_.path, named.value_or(header_.base_offset), reason);
  };
  std::vector<uint8_t> head(static_cast<size_t>(kSegmentHeaderBytes));
  if (!file_->read(head, 0)) fail("it is too short");
  if (auto reason = decode_segment_header(head, &header_)) fail(*reason);
  std::vector<uint8_t> blob(header_.schema_length);
  if (!file_->read(blob, header_.schema_offset) || header_.crc != segment_head_crc(head, blob)) {
    fail("the checksum of its header is wrong");
  }
  const std::string what = "the segment " + segment_place_.path;
  if (!is_readable_version(header_.version)) {
    throw_other_version(what, segment_place_.path, header_.version);
  }
  if ((header_.incompatible_features & ~kKnownFeatures) != 0) {
    throw_unknown_features(what, segment_place_.path, header_.version);
  }
  if (auto reason = check_segment_header(header_)) fail(*reason);
  try {
    schema_ = std::make_shared<const Schema>(Schema::deserialize(blob));
  } catch (const Error& error) {
    // Its bytes are as they were written, so it is nothing that a recovery may set aside.
    throw Error(ErrorCode::kLog, what + " has a schema that cannot be read: " + error.what(),
                {{"path", segment_place_.path}, {"version", int64_t{header_.version}}});
  }
  size_ = usable_size(*file_);
  walk_position_ = header_.data_offset;
  walk_offset_ = header_.base_offset;
}

std::shared_ptr<Segment> Segment::open(std::shared_ptr<const PartitionPlace> place,
                                       int64_t base_offset, bool writable) {
  const std::string path = place->segment_path(base_offset);
  std::shared_ptr<Segment> segment(new Segment(place, path));
  segment->file_ = std::make_shared<File>(
      File::open_if_exists(place->files, path, writable ? O_RDWR : O_RDONLY));
  if (!segment->file_->is_open()) {
    throw_bad_segment(*place, path, base_offset, "the file is missing");
  }
  segment->read_head();
  const SegmentHeader& header = segment->header_;
  if (std::memcmp(header.topic_id, place->topic_id, sizeof(header.topic_id)) != 0 ||
      header.partition != place->partition || header.base_offset != base_offset) {
    throw_bad_segment(*place, path, base_offset, "it belongs to another partition or place");
  }
  return segment;
}

std::shared_ptr<Segment> Segment::open_file(const std::shared_ptr<FileLayer>& files,
                                            const std::string& path) {
  auto place = std::make_shared<PartitionPlace>();
  place->files = files;
  place->directory = path.substr(0, path.rfind('/'));
  std::shared_ptr<Segment> segment(new Segment(place, path));
  segment->file_ = std::make_shared<File>(File::open(files, path, O_RDONLY));
  segment->read_head();
  const SegmentHeader& header = segment->header_;
  std::memcpy(place->topic_id, header.topic_id, sizeof(header.topic_id));
  constexpr char kDigits[] = "0123456789abcdef";
  for (const uint8_t byte : header.topic_id) {
    place->topic += kDigits[byte >> 4];
    place->topic += kDigits[byte & 15];
  }
  place->partition = header.partition;
  return segment;
}

std::shared_ptr<Segment> Segment::create(std::shared_ptr<const PartitionPlace> place,
                                         SegmentHeader header, SchemaPtr schema) {
  const std::string path = place->directory + "/" + kTemporaryName;
  // What a killed writer left under this name was never published, nor mapped by anyone.
  const int removed = place->files->unlink(path);
  if (removed != -ENOENT) checked(removed, "cannot remove", path);
  std::shared_ptr<Segment> segment(new Segment(place, path));
  segment->file_ =
      std::make_shared<File>(File::open(place->files, path, O_RDWR | O_CREAT | O_EXCL));
  try {
    const std::vector<uint8_t> head = encode_segment_head(&header, schema->serialize());
    segment->header_ = header;
    segment->grow(header.data_offset);
    segment->file_->write(head, 0);
  } catch (...) {
    segment->discard();
    throw;
  }
  segment->schema_ = std::move(schema);
  segment->walk_position_ = header.data_offset;
  segment->walk_offset_ = header.base_offset;
  return segment;
}

std::vector<CompactedProducer> Segment::producers() {
  std::vector<CompactedProducer> result(header_.producer_count);
  if (result.empty()) return result;
  const int64_t begin = header_.compacted_end_position;
  const auto length = static_cast<int64_t>(result.size() * sizeof(CompactedProducer));
  const std::span<const uint8_t> stored = bytes(begin, begin + length);
  prefault(stored.data(), stored.size());
  if (crc32c(0, stored.data(), stored.size()) != header_.producers_crc) {
    throw_bad_segment(*place_, segment_place_.path, header_.base_offset,
                      "the checksum of its producers is wrong");
  }
  std::memcpy(result.data(), stored.data(), stored.size());
  return result;
}

void Segment::grow(int64_t end) {
  if (end <= size_.load(std::memory_order_relaxed)) return;
  // Another process may have grown the file: where a filesystem cannot reserve, zeros are written,
  // and may not be written over its batches.
  const int64_t size = file_size();
  if (end <= size) return;
  const int64_t step = std::clamp(size, kFirstAllocationBytes, kLargestAllocationStep);
  int64_t target = std::max(size + step, round_up(end, kPageBytes));
  if (header_.max_bytes > 0) target = std::max(end, std::min(target, header_.max_bytes));
  try {
    file()->allocate(size, target);
  } catch (const Error&) {
    // Nearly full: what this append needs may still be there.
    target = round_up(end, kPageBytes);
    file()->allocate(size, target);
  }
  size_.store(target, std::memory_order_relaxed);
}

void Segment::write_terminator(int64_t position) {
  const uint8_t zeros[kTerminatorBytes] = {};
  own_file(position);
  grow(position + kTerminatorBytes);
  file()->write(std::span<const uint8_t>(zeros), position);
}

bool Segment::write_zeros(int64_t begin, int64_t end) {
  if (file()->is_shared()) return false;
  grow(end);
  file()->write_zeros(begin, end);
  return true;
}

// A file that is also a backup's, or of the log that this is a backup of, is never written: the
// first `end` bytes get a file of their own under the segment's name. A mapping stays what it was.
void Segment::own_file(int64_t end) {
  const std::shared_ptr<const File> shared = file();
  if (!shared->is_shared()) return;
  const std::string temporary = place_->directory + "/" + kTemporaryName;
  const int removed = place_->files->unlink(temporary);
  if (removed != -ENOENT) checked(removed, "cannot remove", temporary);
  File own = File::open(place_->files, temporary, O_RDWR | O_CREAT | O_EXCL);
  own.allocate(0, round_up(end + kTerminatorBytes, kPageBytes));
  own.copy_from(*shared, end);
  own.sync_data();
  checked(place_->files->rename(temporary, segment_place_.path), "cannot name the segment",
          segment_place_.path);
  std::lock_guard guard(file_mutex_);
  file_ = std::make_shared<File>(std::move(own));
  size_.store(usable_size(*file_), std::memory_order_relaxed);
}

void Segment::link_name() {
  const std::string name = place_->segment_path(header_.base_offset);
  checked(place_->files->rename(segment_place_.path, name), "cannot name the segment", name);
  segment_place_.path = name;
  file_->set_path(name);
}

void Segment::discard() noexcept { place_->files->unlink(segment_place_.path); }

std::shared_ptr<const File> Segment::file() {
  std::lock_guard guard(file_mutex_);
  if (!file_) {
    File file = File::open(place_->files, segment_place_.path, O_RDONLY);
    if (file.identity() != identity_) {
      throw_bad_segment(*place_, segment_place_.path, header_.base_offset,
                        "another file has taken its place");
    }
    file_ = std::make_shared<File>(std::move(file));
  }
  return file_;
}

int64_t Segment::file_size() {
  {
    // Once it was released it is sealed, and does not grow any more.
    std::lock_guard guard(file_mutex_);
    if (!file_) return last_size();
  }
  const int64_t size = usable_size(*file());
  size_.store(size, std::memory_order_relaxed);
  return size;
}

// No further than the mapping goes: what stands behind was appended by someone else.
int64_t Segment::usable_size(const File& file) const {
  return std::min(file.size(), header_.max_bytes);
}

int64_t Segment::available(int64_t end) {
  if (end <= size_.load(std::memory_order_relaxed)) return end;
  return std::min(end, file_size());
}

void Segment::release_file() {
  std::lock_guard guard(file_mutex_);
  if (!mapping_ || !file_) return;
  identity_ = file_->identity();
  size_.store(usable_size(*file_), std::memory_order_relaxed);
  file_.reset();
}

bool Segment::is_removed() {
  FileIdentity own;
  {
    std::lock_guard guard(file_mutex_);
    own = file_ ? file_->identity() : identity_;
  }
  const File named = File::open_if_exists(place_->files, segment_place_.path, O_RDONLY);
  return !named.is_open() || named.identity() != own;
}

void Segment::map() {
  if (data_.load(std::memory_order_acquire) != nullptr) return;
  const std::shared_ptr<const File> open_file = file();
  std::lock_guard guard(file_mutex_);
  if (mapping_) return;
  const int64_t length = round_up(header_.max_bytes, kPageBytes);
  const int64_t granules = round_up(length, kPrefaultGranuleBytes) / kPrefaultGranuleBytes;
  granules_ = std::vector<std::atomic<uint64_t>>(static_cast<size_t>(round_up(granules, 64) / 64));
  mapping_ = Mapping(*open_file, static_cast<size_t>(length), false);
  data_.store(mapping_.data(), std::memory_order_release);
}

// The mapping reaches past the end of the file, so this comes before every touch of new bytes.
void Segment::require_size(int64_t end) {
  if (end <= size_.load(std::memory_order_relaxed) || end <= file_size()) return;
  throw_bad_segment(*place_, segment_place_.path, walk_offset_,
                    "it ends at byte " + std::to_string(file_size()) +
                        " although batches up to byte " + std::to_string(end) + " were published");
}

std::span<const uint8_t> Segment::bytes(int64_t begin, int64_t end) {
  require_size(end);
  map();
  return {data_.load(std::memory_order_acquire) + begin, static_cast<size_t>(end - begin)};
}

ParsedHeader Segment::parsed(const BatchEntry& entry) {
  const uint8_t* at = bytes(entry.position, entry.position + entry.length).data();
  ParsedHeader result;
  std::memcpy(&result.header, at, sizeof(result.header));
  result.columns = reinterpret_cast<const ColumnEntry*>(at + sizeof(BatchHeader));
  result.buffers = reinterpret_cast<const BufferEntry*>(
      at + sizeof(BatchHeader) + result.header.column_count * sizeof(ColumnEntry));
  return result;
}

LogBatch Segment::batch(const BatchEntry& entry) {
  const auto prefault = [](const void* owner, const uint8_t* data, size_t length) {
    const_cast<Segment*>(static_cast<const Segment*>(owner))->prefault(data, length);
  };
  const std::shared_ptr<const Segment> self = shared_from_this();
  return LogBatch(bytes(entry.position, entry.position + entry.length), parsed(entry), self,
                  schema_, std::shared_ptr<const SegmentPlace>(self, &segment_place_),
                  entry.position, &const_cast<BatchEntry&>(entry).verified, prefault);
}

void Segment::prefetch(const BatchEntry& entry) const {
  const uint8_t* header = data_.load(std::memory_order_acquire) + entry.position;
  constexpr int64_t kBytes = 512;  // with its tables, most are no longer
  for (int64_t at = 0; at < std::min(kBytes, entry.length); at += 64) {
    __builtin_prefetch(header + at);
  }
}

void Segment::prefault(const uint8_t* data, size_t length) {
  const int64_t begin = data - data_.load(std::memory_order_acquire);
  const auto size = static_cast<int64_t>(length);
  prefault_range(begin, begin + size, size < kPrefaultGranuleBytes / 4);
}

// Whole granules amortize the call over a megabyte of small batches. A large buffer asks for its
// own pages and not for those of the columns beside it, which nobody may read; the header walk over
// large batches for those that it touches.
void Segment::prefault_range(int64_t begin, int64_t end, bool whole_granules) {
  const int64_t size = size_.load(std::memory_order_relaxed);
  for (int64_t at = begin; at < end;) {
    const int64_t granule = at / kPrefaultGranuleBytes;
    const int64_t granule_begin = granule * kPrefaultGranuleBytes;
    const int64_t granule_end = granule_begin + kPrefaultGranuleBytes;
    const int64_t piece_end = std::min(end, granule_end);
    std::atomic<uint64_t>& word = granules_[static_cast<size_t>(granule / 64)];
    const uint64_t bit = uint64_t{1} << (granule % 64);
    const int64_t tail = tail_until_.load(std::memory_order_relaxed);
    const bool is_present = (word.load(std::memory_order_relaxed) & bit) != 0 ||
                            (granule_begin < tail && piece_end <= tail && tail < granule_end);
    if (!is_present && !whole_granules) {
      populate(at / kPageBytes * kPageBytes, std::min(round_up(piece_end, kPageBytes), size));
    } else if (!is_present && granule_end <= size) {
      populate(granule_begin, granule_end);
      word.fetch_or(bit, std::memory_order_relaxed);
    } else if (!is_present) {
      populate(granule_begin, size);
      tail_until_.store(size, std::memory_order_relaxed);
    }
    at = piece_end;
  }
}

void Segment::populate(int64_t begin, int64_t end) {
  const uint8_t* base = data_.load(std::memory_order_acquire);
  const int result =
      place_->files->populate(base + begin, static_cast<size_t>(round_up(end - begin, kPageBytes)));
  if (result == 0) return;
  if (result == -EINVAL) return read_through(begin, end);  // Linux before 5.14
  // EFAULT is what the kernel says where a touch would have raised SIGBUS.
  throw_unreadable(begin, end, result == -EFAULT ? EIO : -result);
}

void Segment::throw_unreadable(int64_t begin, int64_t end, int error) const {
  throw Error(ErrorCode::kStorage,
              "cannot read bytes " + std::to_string(begin) + " to " + std::to_string(end) +
                  " of a segment of " + place_->name() + ", whose records begin at offset " +
                  std::to_string(base_offset()) + ": " + segment_place_.path + ": " +
                  std::generic_category().message(error) +
                  ". Nothing is skipped: check the disk and read again, or read on behind them.",
              {{"errno", int64_t{error}},
               {"path", segment_place_.path},
               {"topic", place_->topic},
               {"partition", int64_t{place_->partition}}});
}

// Brings the pages in through pread, which reports I/O errors too.
void Segment::read_through(int64_t begin, int64_t end) {
  const std::shared_ptr<const File> open_file = file();
  std::vector<uint8_t> scratch(static_cast<size_t>(std::min(end - begin, kFirstAllocationBytes)));
  while (begin < end) {
    const size_t length = std::min(scratch.size(), static_cast<size_t>(end - begin));
    if (!open_file->read(std::span<uint8_t>(scratch).first(length), begin)) {
      throw_unreadable(begin, end, EIO);
    }
    begin += static_cast<int64_t>(length);
  }
}

}  // namespace pystream::storage
