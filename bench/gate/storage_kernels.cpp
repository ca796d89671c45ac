// Batches into bytes and back, and rows to partitions.

#include <cstdint>
#include <utility>

#include "base/crc32c.hpp"
#include "events.hpp"
#include "kernel.hpp"
#include "storage/batch_encoder.hpp"
#include "storage/partitioner.hpp"
#include "stored.hpp"

namespace pystream::gate {
namespace {

Work encode(const RecordBatch& batch, std::vector<int> keys) {
  return [batch, keys = std::move(keys)] {
    storage::EncodeOptions options;
    options.key_columns = keys;
    options.codec = storage::Codec::kNone;
    (void)storage::encode_batch(batch, storage::Timestamps{}, nullptr, options);
  };
}

Work read_verified(const RecordBatch& batch) {
  return [stored = Stored(batch)] { (void)stored.read(storage::Verify::kAlways); };
}

Work partition_rows(const RecordBatch& batch) {
  return [batch] {
    const int keys[] = {1};
    (void)storage::partition_rows(batch, keys, 8, 0);
  };
}

Work checksum(const RecordBatch& batch) {
  return [batch] {
    volatile uint32_t sink =
        crc32c(0, batch.columns[2].values.data, static_cast<size_t>(kRows) * 8);
    (void)sink;
  };
}

}  // namespace

std::vector<Kernel> storage_kernels() {
  return {
      {"crc32c", [] { return checksum(events(1000, false)); }},
      {"encode_plain", [] { return encode(events(1000, false), {}); }},
      {"encode_key", [] { return encode(events(1000, false), {1}); }},
      {"encode_text", [] { return encode(events(10'000, true), {1}); }},
      {"read_verified", [] { return read_verified(events(1000, false)); }},
      {"partition_rows", [] { return partition_rows(events(10'000, true)); }},
  };
}

}  // namespace pystream::gate
