#pragma once
// A small log whose every record can be told from its offset, and what is left of it after damage.

#include <sys/mman.h>
#include <sys/stat.h>

#include <random>
#include <set>

#include "log_crash_testing.hpp"
#include "storage/verify.hpp"

namespace pystream::storage {

// Row `offset` has the value `offset` and a text made of it, which LZ4 can shrink.
inline SchemaPtr damage_schema() {
  static const SchemaPtr schema =
      std::make_shared<const Schema>(Schema{{Field{"value", DataType::of(TypeId::kInt64), false},
                                             Field{"text", DataType::of(TypeId::kString), true}}});
  return schema;
}

inline std::string text_of(int64_t offset) {
  return "record " + std::string(static_cast<size_t>(offset % 23), 'a') + std::to_string(offset);
}

inline PartitionOptions damage_options(int64_t segment_bytes) {
  PartitionOptions options = test_options(0, segment_bytes);
  options.schema = damage_schema();
  return options;
}

inline void append_rows(Partition& partition, int64_t count, Codec codec) {
  const int64_t first = partition.ends().log_end_offset;
  FixedBuilder<int64_t> values(DataType::of(TypeId::kInt64));
  VarBinaryBuilder texts(DataType::of(TypeId::kString));
  for (int64_t i = 0; i < count; ++i) {
    values.append(first + i);
    texts.append(text_of(first + i));
  }
  EncodeOptions options;
  options.codec = codec;
  options.schema_id = 1;
  options.dictionary = DictionaryPolicy::kNever;
  Timestamps timestamps;
  timestamps.constant_us = first;
  const RecordBatch batch{damage_schema(), count, {values.finish(), texts.finish()}};
  EncodedBatch encoded = encode_batch(batch, timestamps, nullptr, options);
  ASSERT_EQ(partition.append(&encoded, Acks::kPublished).base_offset, first);
}

struct OffsetRange {
  int64_t begin;
  int64_t end;
  bool operator==(const OffsetRange&) const = default;
};

// What a reader got from `begin` to `end`: lost ranges are those it was told of by an error.
struct Delivery {
  std::vector<OffsetRange> lost;
  int64_t records = 0;
  std::string
      wrong;  // what must never be: a record that differs, or one that is left out in silence
};

inline int64_t fact(const Error& error, const std::string& name) {
  for (const auto& [key, value] : error.facts()) {
    if (key == name) return std::get<int64_t>(value);
  }
  return -1;
}

// Whether each row of the batch is what was appended at its offset. Throws kCorruptRecord.
inline bool is_right(const LogBatch& batch) {
  const Array values = batch.column(0);
  const Array texts = decode_dictionary(batch.column(1));
  const int64_t first = batch.base_offset();
  if (values.length != texts.length || first + values.length != batch.next_offset()) return false;
  for (int64_t i = 0; i < values.length; ++i) {
    if (values.data<int64_t>()[i] != first + i) return false;
    if (!texts.is_valid(i) || texts.view(i) != text_of(first + i)) return false;
  }
  return batch.timestamps().data<int64_t>()[0] == batch.header().min_timestamp;
}

// Reads from one offset to another as a program does that goes on behind damage.
inline Delivery read_past_damage(Partition& partition, int64_t begin, int64_t end) {
  Delivery result;
  const auto reader = partition.reader(begin);
  int64_t next = begin;
  while (next < end && result.wrong.empty()) {
    try {
      const auto batch = reader->next();
      if (!batch) {
        result.wrong = "the log ends at " + std::to_string(next);
      } else if (batch->base_offset() > next) {
        result.wrong = std::to_string(next) + " is left out in silence";
      } else {
        const int64_t following = batch->next_offset();
        try {
          if (!is_right(*batch)) result.wrong = "a wrong record behind " + std::to_string(next);
          result.records += following - next;
        } catch (const Error& error) {
          if (error.code() != ErrorCode::kCorruptRecord) throw;
          result.lost.push_back({next, following});
        }
        next = following;
      }
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kCorruptRecord) throw;
      // A segment whose head is damaged is lost as a whole, without saying up to where.
      const int64_t said = fact(error, "next_offset");
      const int64_t following = said < 0 ? end : said;
      if (following <= next) {
        result.wrong = error.what();
      } else {
        result.lost.push_back({next, following});
        next = following;
        if (next < end) reader->seek(next);
      }
    }
  }
  return result;
}

// The files of a log's one partition, put back as they were after each damage. The segment at
// offset 0 is mapped, so that a bit costs nothing to flip.
class DamagedLog {
 public:
  // `build` appends to the partition; `is_synced` says whether it is durable in the end.
  template <typename Build>
  DamagedLog(int64_t segment_bytes, bool is_synced, Build build) : segment_bytes_(segment_bytes) {
    EXPECT_TRUE(run_and_die([&] {
      LogOptions options = after_boot(1);
      options.sync_interval_us = 3'600'000'000;
      const auto log = Log::open(directory_.path(), options);
      leak(log);
      const auto partition = log->open_partition(damage_options(segment_bytes_));
      build(*partition);
      if (is_synced) partition->sync();
    }));
    {
      const auto log = Log::open(directory_.path(), after_boot(1));
      const auto partition = log->open_partition(damage_options(segment_bytes_));
      positions_ = batch_positions(*partition);
      end_ = partition->ends().log_end_offset;
      const auto reader = partition->reader(0);
      while (const auto batch = reader->next()) bases_.push_back(batch->base_offset());
      bases_.push_back(end_);
    }
    for (const auto& entry : std::filesystem::directory_iterator(place())) {
      const std::string path = entry.path();
      Saved saved{path, read_bytes(path), nullptr};
      if (!saved.bytes.empty()) saved.mapped = map(path, saved.bytes.size());
      files_.push_back(std::move(saved));
    }
    order_ = read_bytes(directory_ / "order");
  }
  ~DamagedLog() {
    for (const Saved& file : files_) {
      if (file.mapped != nullptr) ::munmap(file.mapped, file.bytes.size());
    }
  }

  // The mapped bytes of a file of the partition: its segment by default.
  uint8_t* bytes(const std::string& name = "00000000000000000000.seg") { return find(name).mapped; }
  int64_t size(const std::string& name = "00000000000000000000.seg") {
    return static_cast<int64_t>(find(name).bytes.size());
  }
  const std::vector<int64_t>& positions() const { return positions_; }  // of batches, and the end
  const std::vector<int64_t>& bases() const { return bases_; }
  int64_t end() const { return end_; }

  std::shared_ptr<Partition> open(uint8_t boot) {
    log_ = Log::open(directory_.path(), after_boot(boot));
    return log_->open_partition(damage_options(segment_bytes_));
  }

  // "pystream verify" counts what a reader of the whole partition was given, and finds what it was
  // told it had lost.
  void expect_verify_agrees(const Delivery& got) const {
    PartitionVerifier verifier(directory_.path(), "orders", damage_options(segment_bytes_).topic_id,
                               0);
    while (verifier.step(1 << 20)) {
    }
    int64_t lost = 0;
    for (const OffsetRange& range : got.lost) lost += range.end - range.begin;
    EXPECT_EQ(verifier.summary().records, got.records);
    EXPECT_EQ(verifier.summary().lost_records, lost);
    const auto& findings = verifier.findings();
    const bool is_lost = std::any_of(findings.begin(), findings.end(), [](const Finding& finding) {
      return finding.kind == "corrupt-records";
    });
    EXPECT_EQ(is_lost, lost > 0);
  }

  // The log is left without being closed, and all files become what they were.
  void restore() {
    log_.reset();
    std::set<std::string> known;
    for (const Saved& file : files_) {
      known.insert(file.path);
      if (file.mapped != nullptr) std::memcpy(file.mapped, file.bytes.data(), file.bytes.size());
    }
    for (const auto& entry : std::filesystem::directory_iterator(place())) {
      const std::string path = entry.path();
      if (known.contains(path)) continue;
      if (path.ends_with(".torn")) {
        std::filesystem::rename(path, path.substr(0, path.size() - 5));
      } else {
        std::filesystem::remove(path);
      }
    }
    write_bytes(directory_ / "order", 0, order_);
  }

  // The batch that holds a byte of the segment, or -1.
  int64_t batch_at(int64_t position) const {
    if (position < positions_.front() || position >= positions_.back()) return -1;
    return std::upper_bound(positions_.begin(), positions_.end(), position) - positions_.begin() -
           1;
  }
  OffsetRange batch(int64_t number) const {
    return {bases_[static_cast<size_t>(number)], bases_[static_cast<size_t>(number) + 1]};
  }

 private:
  struct Saved {
    std::string path;
    std::string bytes;
    uint8_t* mapped;
  };

  std::string place() const { return partition_directory(directory_.path()); }
  Saved& find(const std::string& name) {
    const auto found = std::find_if(files_.begin(), files_.end(), [&](const Saved& file) {
      return file.path.ends_with("/" + name);
    });
    EXPECT_NE(found, files_.end()) << name;
    return *found;
  }
  static uint8_t* map(const std::string& path, size_t length) {
    FileLayer files;
    const int fd = files.open(path, O_RDWR);
    void* address = nullptr;
    EXPECT_EQ(files.map_shared(fd, length, true, &address), 0) << path;
    files.close(fd);
    return static_cast<uint8_t*>(address);
  }

  TemporaryDirectory directory_{Medium::kMemory};
  int64_t segment_bytes_;
  std::vector<int64_t> positions_;
  std::vector<int64_t> bases_;
  int64_t end_ = 0;
  std::vector<Saved> files_;
  std::string order_;
  std::shared_ptr<Log> log_;
};

}  // namespace pystream::storage
