// Writes the first inputs of the segment fuzzers, one of each golden batch and of each other kind
// that a log holds:
//
//   segment_corpus BATCH_DIRECTORY HEAD_DIRECTORY

#include <cstdio>
#include <fstream>
#include <string>

#include "../tests/storage/golden_batches.hpp"
#include "columns/builder.hpp"
#include "storage/segment_header.hpp"

namespace {

using pystream::storage::GoldenBatch;
using pystream::storage::SegmentHeader;

bool write_file(const std::string& path, const void* bytes, size_t size) {
  std::ofstream file(path, std::ios::binary);
  file.write(static_cast<const char*>(bytes), static_cast<std::streamsize>(size));
  file.close();
  if (!file) std::fprintf(stderr, "cannot write %s\n", path.c_str());
  return static_cast<bool>(file);
}

// What segment_head_fuzz expects: the header's members, then the schema blob.
std::string segment_head(const pystream::Schema& schema) {
  const std::vector<uint8_t> blob = schema.serialize();
  SegmentHeader header{};
  header.max_bytes = int64_t{1} << 20;
  const std::vector<uint8_t> head = pystream::storage::encode_segment_head(&header, blob);
  return std::string(head.begin(), head.begin() + sizeof(header)) +
         std::string(blob.begin(), blob.end());
}

GoldenBatch batch_of(const std::string& name, uint16_t flags, int64_t transaction_id) {
  GoldenBatch made;
  made.name = name;
  made.batch.schema = std::make_shared<pystream::Schema>();
  made.timestamps.constant_us = 3;
  made.options.flags = flags;
  made.options.producer_id = int64_t{1} << 60;
  made.options.producer_epoch = 2;
  made.options.base_sequence = 0;
  made.options.transaction_id = transaction_id;
  return made;
}

// As the log encodes the end of a transaction: one record without columns.
GoldenBatch marker(const std::string& name, uint16_t flags) {
  using namespace pystream::storage;
  GoldenBatch made = batch_of(name, kFlagTransactional | kFlagControl | flags, 77);
  made.batch.num_rows = 1;
  made.options.sequence_lag = kUnknownSequenceLag;
  return made;
}

GoldenBatch records(const std::string& name, uint16_t flags, int64_t transaction_id) {
  using namespace pystream;
  FixedBuilder<int64_t> values(DataType::of(TypeId::kInt64));
  for (int64_t i = 0; i < 4; ++i) values.append(i);
  auto schema = std::make_shared<Schema>();
  schema->fields.push_back({"n", DataType::of(TypeId::kInt64), false});
  GoldenBatch made = batch_of(name, flags, transaction_id);
  made.batch = {std::move(schema), 4, {values.finish()}};
  return made;
}

std::vector<GoldenBatch> first_batches() {
  using namespace pystream::storage;
  std::vector<GoldenBatch> batches = golden_batches();
  batches.push_back(marker("commit", kFlagCommit));
  batches.push_back(marker("abort", 0));
  batches.push_back(records("in-transaction", kFlagTransactional, 77));
  batches.push_back(records("named-producer", 0, -1));
  batches.back().options.base_sequence = 5'000;
  batches.back().options.sequence_lag = 3;
  return batches;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s BATCH_DIRECTORY HEAD_DIRECTORY\n", argv[0]);
    return 2;
  }
  for (const GoldenBatch& golden : first_batches()) {
    const pystream::Buffer batch = pystream::storage::golden_bytes(golden);
    const std::string head = segment_head(*golden.batch.schema);
    if (!write_file(std::string(argv[1]) + "/" + golden.name, batch.data,
                    static_cast<size_t>(batch.size)) ||
        !write_file(std::string(argv[2]) + "/" + golden.name, head.data(), head.size())) {
      return 1;
    }
  }
  return 0;
}
