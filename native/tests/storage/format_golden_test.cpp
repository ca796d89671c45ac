// The bytes on disk stay what they were: files written once are read, and written again.

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <sstream>

#include "format_testing.hpp"
#include "golden_batches.hpp"

namespace pystream::storage {
namespace {

const std::string kSource = PYSTREAM_SOURCE_DIRECTORY;

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string golden_file(const GoldenBatch& golden) {
  return read_file(kSource + "/tests/golden/batch-" + golden.name + ".bin");
}

Buffer aligned(const std::string& bytes) {
  MutableBuffer buffer;
  buffer.append(bytes.data(), static_cast<int64_t>(bytes.size()));
  return buffer.freeze();
}

TEST(FormatGolden, FilesReadAsTheyWereWritten) {
  for (const GoldenBatch& golden : golden_batches()) {
    SCOPED_TRACE(golden.name);
    const LogBatch stored = open_batch(aligned(golden_file(golden)), golden.batch.schema);
    expect_equal_batches(stored.read_all(), golden.batch);
    EXPECT_EQ(stored.base_offset(), kGoldenStamp.base_offset);
    EXPECT_EQ(stored.header().producer_id, golden.options.producer_id);
    if (golden.headers) {
      EXPECT_TRUE(equal_rows(*stored.headers(), *golden.headers));
    }
    EXPECT_EQ(stored.header().sequence_lag, golden.options.sequence_lag);
    if (golden.sequences) {
      EXPECT_TRUE(equal_rows(stored.sequences(), *golden.sequences));
    }
    if (golden.timestamps.per_record) {
      EXPECT_TRUE(equal_rows(stored.timestamps(), *golden.timestamps.per_record));
    }
  }
}

TEST(FormatGolden, TheWriterStillWritesTheSameBytes) {
  for (const GoldenBatch& golden : golden_batches()) {
    if (!golden.is_reproducible) continue;
    const Buffer bytes = golden_bytes(golden);
    const std::string written(bytes.as<char>(), static_cast<size_t>(bytes.size));
    EXPECT_EQ(written, golden_file(golden)) << golden.name;
  }
}

// docs/formats/segment.md shows a batch in lines of "offset  16 bytes in hex  explanation".
TEST(FormatGolden, TheDocumentedExampleIsTrue) {
  std::istringstream lines(read_file(kSource + "/docs/formats/segment.md"));
  std::string documented;
  for (std::string line; std::getline(lines, line);) {
    unsigned position = 0;
    int consumed = 0;
    if (std::sscanf(line.c_str(), "%4x  %n", &position, &consumed) != 1 || consumed != 6) continue;
    ASSERT_EQ(position, documented.size()) << line;
    std::istringstream bytes(line.substr(6, 3 * 16));
    for (std::string byte; bytes >> byte;) {
      documented.push_back(static_cast<char>(std::stoi(byte, nullptr, 16)));
    }
  }
  EXPECT_EQ(documented, golden_file(golden_batches()[0]));
}

}  // namespace
}  // namespace pystream::storage
