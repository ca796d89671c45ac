#pragma once
// A segment file by itself, without its partition: what `pystream dump` reads. Damage is an item
// like a batch, and what was never published is shown as well: there is nobody to ask.
//
// One thread at a time.

#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "storage/log_batch.hpp"
#include "storage/segment.hpp"

namespace pystream::storage {

// Bytes in which no batch can be read.
struct SegmentDamage {
  int64_t position = 0;
  int64_t length = 0;
  int64_t offset = 0;       // the first that is lost
  int64_t next_offset = 0;  // -1: not known, the damage reaches to the end of the file
};

class SegmentFile {
 public:
  // Throws kCorruptRecord when the head cannot be read, kStorage.
  explicit SegmentFile(const std::string& path, std::shared_ptr<FileLayer> files = nullptr);

  const SegmentHeader& header() const { return segment_->header(); }
  const SchemaPtr& schema() const { return segment_->schema(); }
  const std::string& path() const { return segment_->path(); }
  int64_t size() { return segment_->file_size(); }

  using Item = std::variant<LogBatch, SegmentDamage>;
  // The next batch, or what stands in its place; nullopt at the end of the file.
  std::optional<Item> next();

 private:
  std::shared_ptr<Segment> segment_;
  int64_t entry_ = 0;
};

}  // namespace pystream::storage
