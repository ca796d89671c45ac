// Arbitrary bytes as the time index of a segment, as they are and with magic and checksums put
// right. What is believed is kept and found again as it was, and answers only what it holds.

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "base/crc32c.hpp"
#include "storage/time_index.hpp"

namespace {

using namespace pystream::storage;

constexpr int64_t kBaseOffset = 1'000;
constexpr int64_t kEndOffset = 5'000;
constexpr uint64_t kSalt = 0x0123456789ABCDEFu;

// One file, in memory, and what is written to be renamed to it.
class OneFile : public FileLayer {
 public:
  std::vector<uint8_t> content;

  int open(const std::string&, int flags) override {
    if (flags == O_RDONLY) return kRead;
    written_.clear();
    return kWritten;
  }
  void close(int) override {}
  int64_t size(int) override { return static_cast<int64_t>(content.size()); }
  int64_t pread(int, void* bytes, size_t length, int64_t position) override {
    const auto begin = std::min(content.size(), static_cast<size_t>(position));
    const size_t read = std::min(length, content.size() - begin);
    if (read > 0) std::memcpy(bytes, content.data() + begin, read);
    return static_cast<int64_t>(read);
  }
  int64_t pwritev(int, const iovec* parts, int count, int64_t position) override {
    int64_t total = 0;
    written_.resize(static_cast<size_t>(position));
    for (int i = 0; i < count; ++i) {
      const auto* bytes = static_cast<const uint8_t*>(parts[i].iov_base);
      written_.insert(written_.end(), bytes, bytes + parts[i].iov_len);
      total += static_cast<int64_t>(parts[i].iov_len);
    }
    return total;
  }
  int rename(const std::string&, const std::string&) override {
    content.swap(written_);
    return 0;
  }

 private:
  enum : int { kRead = 3, kWritten = 4 };

  std::vector<uint8_t> written_;
};

void require(bool holds) {
  if (!holds) __builtin_trap();
}

void put_right(std::vector<uint8_t>* bytes) {
  TimeIndexHeader header;
  if (bytes->size() < sizeof(header)) return;
  std::memcpy(&header, bytes->data(), sizeof(header));
  header.magic = kTimeIndexMagic;
  header.version = kTimeIndexVersion;
  header.salt = kSalt;
  header.base_offset = kBaseOffset;
  header.end_offset = kEndOffset;
  header.column_count %= 8;
  header.batch_count %= 64;
  const size_t begin = sizeof(header) + header.column_count * sizeof(TimeIndexColumn);
  const size_t end = begin + header.batch_count * (1 + header.column_count) * sizeof(int64_t);
  bytes->resize(std::max(bytes->size(), end));
  header.body_crc = pystream::crc32c(0, bytes->data() + begin, end - begin);
  std::memcpy(bytes->data(), &header, sizeof(header));
  header.crc = pystream::crc32c(0, bytes->data() + 8, begin - 8);
  std::memcpy(bytes->data(), &header, sizeof(header));
}

void check(OneFile& files, const PartitionPlace& place) {
  const auto maxima = TimeIndex::load_maxima(place, kBaseOffset, kSalt, kEndOffset);
  const auto index = TimeIndex::load(place, kBaseOffset, kSalt, kEndOffset);
  if (!index) return;
  require(maxima.has_value());
  // Of another segment, or one that has grown, nothing is believed.
  require(!TimeIndex::load(place, kBaseOffset, kSalt + 1, kEndOffset));
  require(!TimeIndex::load_maxima(place, kBaseOffset + 1, kSalt, kEndOffset));
  require(!TimeIndex::load(place, kBaseOffset, kSalt, kEndOffset - 1));
  const TimeIndex::Maxima reached = index->maxima();
  const std::vector<uint8_t> before = files.content;
  require(index->store(place, kBaseOffset, kSalt, kEndOffset));
  const auto again = TimeIndex::load(place, kBaseOffset, kSalt, kEndOffset);
  require(again.has_value() && again->maxima() == reached);
  for (const auto& [id, maximum] : reached) {
    for (const int64_t value : {INT64_MIN, int64_t{0}, maximum, INT64_MAX}) {
      require(again->find(id, value) == index->find(id, value));
    }
  }
  files.content = before;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  static const auto files = std::make_shared<OneFile>();
  static const PartitionPlace place = [] {
    PartitionPlace made;
    made.topic = "t";
    made.directory = "/t";
    made.files = files;
    return made;
  }();
  files->content.assign(input, input + size);
  check(*files, place);
  files->content.assign(input, input + size);
  put_right(&files->content);
  check(*files, place);
  return 0;
}
