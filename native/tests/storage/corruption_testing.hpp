#pragma once
// A small log of several segments whose rows can be told from their offset, and ways to damage it.
// Shared by the tests of readers and of verify.

#include "log_crash_testing.hpp"

namespace pystream::storage {

// Three columns and headers, so that batches have every kind of buffer.
inline SchemaPtr rich_schema() {
  static const SchemaPtr schema =
      std::make_shared<const Schema>(Schema{{Field{"value", DataType::of(TypeId::kInt64), false},
                                             Field{"text", DataType::of(TypeId::kString), true},
                                             Field{"word", DataType::of(TypeId::kString), true}}});
  return schema;
}

inline PartitionOptions rich_options(int64_t segment_bytes = 16 << 10) {
  PartitionOptions options = test_options(0, segment_bytes);
  options.schema = rich_schema();
  return options;
}

// Rows `first`, first + 1, ...; `text` is null for every seventh, `word` repeats and so gets a
// dictionary.
inline EncodedBatch encode_rich(int64_t first, int64_t count, Codec codec) {
  FixedBuilder<int64_t> values(DataType::of(TypeId::kInt64));
  VarBinaryBuilder texts(DataType::of(TypeId::kString));
  VarBinaryBuilder words(DataType::of(TypeId::kString));
  VarBinaryBuilder headers(DataType::of(TypeId::kBinary));
  for (int64_t i = first; i < first + count; ++i) {
    values.append(i);
    if (i % 7 == 0) {
      texts.append_null();
    } else {
      texts.append("text number " + std::to_string(i));
    }
    words.append(i % 2 == 0 ? "even" : "odd");
    headers.append("header " + std::to_string(i));
  }
  EncodeOptions options;
  options.schema_id = 1;
  options.codec = codec;
  Timestamps timestamps;
  timestamps.constant_us = first;
  const Array header_column = headers.finish();
  return encode_batch({rich_schema(), count, {values.finish(), texts.finish(), words.finish()}},
                      timestamps, &header_column, options);
}

// Whether every row of the batch is the one of its offset, column by column.
inline bool holds_its_rows(const LogBatch& batch) {
  const Array values = batch.column(0);
  const Array texts = decode_dictionary(batch.column(1));
  const Array words = decode_dictionary(batch.column(2));
  const Array timestamps = batch.timestamps();
  const std::optional<Array> headers = batch.headers();
  if (!headers) return false;
  for (int64_t i = 0; i < batch.record_count(); ++i) {
    const int64_t offset = batch.base_offset() + i;
    const bool is_null = offset % 7 == 0;
    if (values.data<int64_t>()[i] != offset || texts.is_valid(i) == is_null) return false;
    if (!is_null && texts.view(i) != "text number " + std::to_string(offset)) return false;
    if (words.view(i) != (offset % 2 == 0 ? "even" : "odd")) return false;
    if (decode_dictionary(*headers).view(i) != "header " + std::to_string(offset)) return false;
    if (timestamps.data<int64_t>()[i] > offset) return false;
  }
  return true;
}

// What a reader found: the offsets that it delivered, and those that it named as lost.
struct Found {
  std::vector<std::pair<int64_t, int64_t>> delivered;  // [begin, end), merged
  std::vector<std::pair<int64_t, int64_t>> lost;
  bool is_wrong = false;  // a row was not the one that was appended

  static void add(std::vector<std::pair<int64_t, int64_t>>* ranges, int64_t begin, int64_t end) {
    if (!ranges->empty() && ranges->back().second == begin) {
      ranges->back().second = end;
    } else {
      ranges->push_back({begin, end});
    }
  }
};

// Reads all with OnCorruption::kSkip.
inline Found read_skipping(Partition& partition) {
  Found found;
  const auto reader = partition.reader(partition.ends().log_start_offset);
  reader->set_on_corruption(OnCorruption::kSkip);
  while (const auto batch = reader->next()) {
    Found::add(&found.delivered, batch->base_offset(), batch->next_offset());
    found.is_wrong |= !holds_its_rows(*batch);
  }
  for (const SkippedRange& range : reader->take_skipped()) {
    Found::add(&found.lost, range.offset, range.next_offset);
  }
  return found;
}

inline int64_t fact(const Error& error, const std::string& name) {
  for (const ErrorFact& fact : error.facts()) {
    if (fact.first == name) return std::get<int64_t>(fact.second);
  }
  ADD_FAILURE() << "no fact " << name << ": " << error.what();
  return -1;
}

// Reads all as a careful program does with OnCorruption::kRaise: at each error it seeks on.
inline Found read_raising(Partition& partition) {
  Found found;
  const auto reader = partition.reader(partition.ends().log_start_offset);
  for (;;) {
    try {
      const int64_t before = reader->position();
      const auto batch = reader->peek();
      if (!batch) return found;
      const bool is_wrong = !holds_its_rows(*batch);
      EXPECT_EQ(reader->position(), before);
      reader->next();
      Found::add(&found.delivered, batch->base_offset(), batch->next_offset());
      found.is_wrong |= is_wrong;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kCorruptRecord) << error.what();
      const int64_t next_offset = fact(error, "next_offset");
      if (next_offset <= reader->position()) {
        ADD_FAILURE() << error.what();
        return found;
      }
      Found::add(&found.lost, fact(error, "offset"), next_offset);
      reader->seek(next_offset);
    }
  }
}

// A log whose writer has gone; it can be damaged and put back as it was, in place, so that it is
// no copy.
class RichLog {
 public:
  static constexpr int64_t kBatchRows = 20;
  static constexpr int64_t kBatches = 24;
  static constexpr int64_t kEnd = kBatches * kBatchRows;

  RichLog() {
    EXPECT_TRUE(run_and_die([&] {
      const auto log = Log::open(directory_.path(), options());
      leak(log);
      const auto partition = log->open_partition(rich_options());
      for (int64_t i = 0; i < kBatches; ++i) {
        EncodedBatch batch =
            encode_rich(i * kBatchRows, kBatchRows, i % 2 == 0 ? Codec::kNone : Codec::kLz4);
        partition->append(&batch, Acks::kPublished);
        if (i == kBatches / 2) partition->sync();
      }
    }));
    remember();
    const auto log = Log::open(directory_.path(), options());
    const auto partition = log->open_partition(rich_options());
    const auto reader = partition->reader(0);
    while (const auto batch = reader->next()) batches_.push_back({batch->place(), batch->header()});
    log->close();
    restore();
  }

  struct Batch {
    BatchPlace place;
    BatchHeader header;
  };

  // Of boot 1, in which the log was written.
  static LogOptions options(bool read_only = false) {
    LogOptions options = after_boot(1);
    options.read_only = read_only;
    return options;
  }
  const std::string& directory() const { return directory_.path(); }
  std::string partition_path() const { return partition_directory(directory_.path()); }
  const std::vector<Batch>& batches() const { return batches_; }
  // The batches of segment file `path`, in order.
  std::vector<std::string> segments() const {
    std::vector<std::string> paths;
    for (const Batch& batch : batches_) {
      if (paths.empty() || paths.back() != batch.place.path) paths.push_back(batch.place.path);
    }
    return paths;
  }

  // Puts every file back as it was when the writer had gone.
  void restore() const {
    std::vector<std::filesystem::path> added;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_.path())) {
      if (entry.is_regular_file() && !files_.contains(entry.path())) added.push_back(entry.path());
    }
    for (const auto& path : added) std::filesystem::remove(path);
    for (const auto& [path, bytes] : files_) {
      if (!std::filesystem::exists(path)) std::filesystem::create_hard_link(link_of(path), path);
      if (read_bytes(path) == bytes) continue;
      std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
    }
  }

 private:
  void remember() {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_.path())) {
      if (!entry.is_regular_file()) continue;
      files_[entry.path()] = read_bytes(entry.path());
      std::filesystem::create_hard_link(entry.path(), link_of(entry.path()));
    }
  }
  // Keeps a file's inode when its name is removed.
  std::string link_of(std::string path) const {
    std::replace(path.begin(), path.end(), '/', '_');
    return links_ / path;
  }

  TemporaryDirectory directory_{Medium::kMemory};
  TemporaryDirectory links_{Medium::kMemory};
  std::map<std::string, std::string> files_;
  std::vector<Batch> batches_;
};

}  // namespace pystream::storage
