#pragma once
// Collects the tables and the buffers of one batch and lays them out. Used by encode_batch alone,
// on its stack: begin_column, its buffers, end_column, for each column in order; then finish.

#include <cstdint>
#include <vector>

#include "storage/batch_encoder.hpp"

namespace pystream::storage {

class BatchAssembler {
 public:
  explicit BatchAssembler(Codec codec) : codec_(codec) {}

  // The entry stays valid until the next begin_column().
  ColumnEntry* begin_column(uint16_t id, TypeId type, Encoding encoding);
  void end_column();

  // One buffer: compressed where that pays, checksummed.
  void add_buffer(BufferKind kind, bool of_dictionary, const Buffer& raw);
  void add_validity(const Array& array);
  // The buffers of a plain array: [validity] values, or [validity] offsets bytes. Sets the
  // minimum and maximum of `entry`.
  void add_plain(const Array& array, bool of_dictionary, ColumnEntry* entry);

  // Lays the buffers out and writes the head. `header` has everything but lengths and counts.
  EncodedBatch finish(BatchHeader header);

 private:
  void add_fixed_values(const Array& array, bool of_dictionary, ColumnEntry* entry);
  Buffer compress(const Buffer& raw) const;
  void add_stored(BufferKind kind, bool of_dictionary, int64_t raw_length, Buffer stored,
                  uint32_t crc);

  Codec codec_;
  std::vector<ColumnEntry> columns_;
  std::vector<BufferEntry> buffers_;
  std::vector<Buffer> body_;
};

}  // namespace pystream::storage
