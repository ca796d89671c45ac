// Writes the first inputs of the segment fuzzers, one of each golden batch:
//
//   segment_corpus BATCH_DIRECTORY HEAD_DIRECTORY

#include <cstdio>
#include <fstream>
#include <string>

#include "../tests/storage/golden_batches.hpp"
#include "storage/segment_header.hpp"

namespace {

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

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s BATCH_DIRECTORY HEAD_DIRECTORY\n", argv[0]);
    return 2;
  }
  for (const auto& golden : pystream::storage::golden_batches()) {
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
