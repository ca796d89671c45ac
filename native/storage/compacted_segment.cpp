#include "storage/compacted_segment.hpp"

#include <fcntl.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "base/crc32c.hpp"
#include "base/error.hpp"
#include "storage/producer_state.hpp"

namespace pystream::storage {
namespace {

constexpr size_t kWriteBytes = size_t{1} << 20;
constexpr int64_t kPageBytes = 4096;

File create_file(const PartitionPlace& place, const std::string& path) {
  const int removed = place.files->unlink(path);
  if (removed != -ENOENT) checked(removed, "cannot remove", path);
  return File::open(place.files, path, O_RDWR | O_CREAT | O_EXCL);
}

Codec codec_of(const LogBatch& batch) {
  for (const BufferEntry& buffer : batch.buffer_entries()) {
    if (buffer.codec != Codec::kNone) return buffer.codec;
  }
  return Codec::kNone;
}

// The user columns that are stored, from the first on.
RecordBatch stored_columns(const LogBatch& batch) {
  std::vector<int> indices;
  for (const ColumnEntry& column : batch.column_entries()) {
    if (column.id < kFirstBuiltinColumn) indices.push_back(column.id);
  }
  const auto count = static_cast<int>(indices.size());
  const bool is_prefix = count == 0 || indices.back() == count - 1;
  return is_prefix ? batch.read(indices) : batch.read_all();
}

// So that the last sequence minus the lag says what the whole batch said.
int32_t lag_of(const LogBatch& batch, int64_t last_sequence) {
  const int32_t lag = batch.header().sequence_lag;
  if (batch.header().producer_id < 0 || lag == kUnknownSequenceLag) return lag;
  const int64_t fitted = last_sequence - (batch.last_sequence() - lag);
  const bool fits = fitted >= std::numeric_limits<int32_t>::min() && fitted < kUnknownSequenceLag;
  return fits ? static_cast<int32_t>(fitted) : kUnknownSequenceLag;
}

// As `batch` with the rows at `rows` alone; `base_offset` is that of the first.
EncodedBatch encode_rows(const LogBatch& batch, std::span<const int32_t> rows,
                         int64_t* base_offset) {
  const BatchHeader& header = batch.header();
  RecordBatch columns = stored_columns(batch);
  for (Array& column : columns.columns) column = take(column, rows);
  columns.num_rows = static_cast<int64_t>(rows.size());
  const Timestamps timestamps{0, take(batch.timestamps(), rows)};
  std::optional<Array> headers = batch.headers();
  if (headers) headers = take(*headers, rows);
  EncodeOptions options;
  options.codec = codec_of(batch);
  options.schema_id = header.schema_id;
  options.flags =
      header.flags & static_cast<uint16_t>(~(kFlagExplicitOffsets | kFlagExplicitSequences));
  options.producer_id = header.producer_id;
  options.producer_epoch = header.producer_epoch;
  options.transaction_id = header.transaction_id;
  const auto count = static_cast<int64_t>(rows.size());
  std::optional<Array> sequences;
  if (header.producer_id >= 0) {
    sequences = take(batch.sequences(), rows);
    const int64_t* values = sequences->data<int64_t>();
    options.base_sequence = values[0];
    options.sequence_lag = lag_of(batch, values[count - 1]);
    if (values[count - 1] - values[0] < count) sequences.reset();
  }
  const Array all = batch.offset_deltas();
  MutableBuffer rebased(count * static_cast<int64_t>(sizeof(int32_t)));
  const int32_t first = all.data<int32_t>()[rows[0]];
  for (int64_t i = 0; i < count; ++i) {
    rebased.as<int32_t>()[i] = all.data<int32_t>()[rows[static_cast<size_t>(i)]] - first;
  }
  *base_offset = batch.base_offset() + first;
  Array deltas;
  deltas.type = DataType::of(TypeId::kInt32);
  deltas.length = count;
  deltas.values = rebased.freeze();
  const bool is_dense = deltas.data<int32_t>()[count - 1] == count - 1;
  return encode_batch(columns, timestamps, headers ? &*headers : nullptr, options,
                      sequences ? &*sequences : nullptr, is_dense ? nullptr : &deltas);
}

}  // namespace

CompactedSegment::CompactedSegment(const PartitionPlace& place, Segment& old)
    : place_(place),
      old_(old),
      path_(place.directory + "/" + kCompactionName),
      file_(create_file(place, path_)),
      header_(old.header()),
      position_(old.header().data_offset) {
  // Before anything is written: a checksum of the old file's must not be right in this one.
  if (::getentropy(&header_.salt, sizeof(header_.salt)) != 0) {
    throw_storage_error("cannot get random bytes", "getentropy", errno);
  }
}

CompactedSegment::~CompactedSegment() {
  if (!is_named_) place_.files->unlink(path_);
}

void CompactedSegment::add(const BatchEntry& entry) {
  const std::span<const uint8_t> bytes = old_.bytes(entry.position, entry.position + entry.length);
  old_.prefault(bytes.data(), bytes.size());
  EncodedBatch batch;
  BatchHeader header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  const auto head = static_cast<size_t>(round_up_64(header.header_length));
  batch.head.assign(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(head));
  batch.body.push_back({bytes.data() + head, static_cast<int64_t>(bytes.size() - head), nullptr});
  batch.total_length = entry.length;
  batch.record_count = header.record_count;
  write(&batch, header);
}

void CompactedSegment::add(const LogBatch& batch, const KeptRows& rows) {
  std::vector<int32_t> indices;
  indices.reserve(static_cast<size_t>(rows.count));
  for (size_t row = 0; row < rows.is_kept.size(); ++row) {
    if (rows.is_kept[row] != 0) indices.push_back(static_cast<int32_t>(row));
  }
  BatchHeader header = batch.header();
  EncodedBatch encoded = encode_rows(batch, indices, &header.base_offset);
  write(&encoded, header);
}

// Everything that was stamped stays, but for the place.
void CompactedSegment::write(EncodedBatch* batch, const BatchHeader& old) {
  Stamp stamp;
  stamp.base_offset = old.base_offset;
  stamp.append_time_us = old.append_time_us;
  stamp.append_sequence = old.append_sequence;
  stamp.durable_offset = old.durable_offset;
  stamp.incarnation = old.incarnation;
  stamp.previous_header_crc = previous_crc_;
  stamp.salt = header_.salt;
  stamp.file_position = position_;
  previous_crc_ = stamp_batch(batch, stamp);
  append(batch->head.data(), static_cast<int64_t>(batch->head.size()));
  for (const Buffer& buffer : batch->body) {
    append(buffer.data, buffer.size);
    const uint8_t zeros[kBatchAlignment] = {};
    append(zeros, round_up_64(buffer.size) - buffer.size);
  }
}

void CompactedSegment::append(const uint8_t* bytes, int64_t length) {
  while (length > 0) {
    const int64_t room = static_cast<int64_t>(kWriteBytes - pending_.size());
    const int64_t piece = std::min(room, length);
    pending_.insert(pending_.end(), bytes, bytes + piece);
    position_ += piece;
    bytes += piece;
    length -= piece;
    if (pending_.size() == kWriteBytes) flush();
  }
}

void CompactedSegment::flush() {
  if (pending_.empty()) return;
  file_.write(std::span<const uint8_t>(pending_),
              position_ - static_cast<int64_t>(pending_.size()));
  pending_.clear();
}

// Of all batches of the old file, and of those that were gone from it before.
std::vector<CompactedProducer> CompactedSegment::producers() {
  std::map<int64_t, CompactedProducer> found;
  for (const CompactedProducer& known : old_.producers()) found[known.producer_id] = known;
  const BatchIndex& index = old_.index();
  for (int64_t i = 0; i < index.count(); ++i) {
    const ParsedHeader parsed = old_.parsed(index.at(i));
    const BatchHeader& header = parsed.header;
    if (header.producer_id < 0) continue;
    const auto at =
        found.try_emplace(header.producer_id, CompactedProducer{header.producer_id, -1, -1, 0, 0});
    CompactedProducer& producer = at.first->second;
    producer.epoch = std::max(producer.epoch, header.producer_epoch);
    if ((header.flags & kFlagControl) != 0) continue;  // markers are not counted
    const SequenceRange range = SequenceRange::of(parsed);
    producer.last_sequence = std::max(producer.last_sequence, range.last);
    producer.complete_sequence = std::max(producer.complete_sequence, range.complete);
  }
  if (found.size() > kMaxCompactedProducers) {
    throw Error(ErrorCode::kNotSupported,
                "compacting " + old_.path() + " with " + std::to_string(found.size()) +
                    " producers is not supported: the limit is " +
                    std::to_string(kMaxCompactedProducers) + ". Use a smaller segment_bytes.");
  }
  std::vector<CompactedProducer> result;
  for (const auto& [id, producer] : found) result.push_back(producer);
  return result;
}

int64_t CompactedSegment::finish(const Facts& facts) {
  header_.incompatible_features |= kFeatureCompacted;
  header_.compacted_end_offset = facts.end_offset;
  header_.compared_end_offset = std::max(facts.compared_end_offset, header_.compared_end_offset);
  header_.compacted_end_position = position_;
  header_.first_compacted_us = facts.first_compacted_us;
  header_.tombstone_count = static_cast<uint64_t>(facts.tombstones);
  uint64_t last = old_.header().last_append_sequence;
  const BatchIndex& index = old_.index();
  for (int64_t i = 0; i < index.count(); ++i) {
    last = std::max(last, old_.parsed(index.at(i)).header.append_sequence);
  }
  header_.last_append_sequence = last;
  const std::vector<CompactedProducer> known = producers();
  const auto* bytes = reinterpret_cast<const uint8_t*>(known.data());
  const size_t length = known.size() * sizeof(CompactedProducer);
  header_.producer_count = static_cast<uint32_t>(known.size());
  header_.producers_crc = crc32c(0, bytes, length);
  append(bytes, static_cast<int64_t>(length));
  const uint8_t zeros[kTerminatorBytes] = {};
  append(zeros, kTerminatorBytes);
  flush();
  const int64_t size = position_;
  header_.max_bytes = (size + kPageBytes - 1) / kPageBytes * kPageBytes;
  const std::vector<uint8_t> head = encode_segment_head(&header_, old_.schema()->serialize());
  file_.write(std::span<const uint8_t>(head), 0);
  file_.sync_data();
  return size;
}

void CompactedSegment::take_place() {
  const std::string name = place_.segment_path(old_.base_offset());
  checked(place_.files->rename(path_, name), "cannot name the segment", name);
  is_named_ = true;
  checked(place_.files->sync_directory(place_.directory), "cannot sync the directory",
          place_.directory);
}

}  // namespace pystream::storage
