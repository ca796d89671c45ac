#pragma once
// Batches that pin the format: tests/golden/ holds their bytes, docs/formats/segment.md shows one
// of them, and the fuzzer starts from them. Changing one of these means a new format version.

#include <optional>
#include <string>
#include <vector>

#include "storage/batch_encoder.hpp"

namespace pystream::storage {

struct GoldenBatch {
  std::string name;  // of the file: tests/golden/batch-<name>.bin
  RecordBatch batch;
  Timestamps timestamps;
  std::optional<Array> headers;
  std::optional<Array> sequences;
  EncodeOptions options;
  // False where the bytes depend on the version of a compressor: then they are only read.
  bool is_reproducible = true;
};

inline constexpr Stamp kGoldenStamp{.base_offset = 1000,
                                    .append_time_us = 1'700'000'000'000'000,
                                    .append_sequence = 77,
                                    .durable_offset = 900,
                                    .incarnation = 3,
                                    .previous_header_crc = 0xabcdef01,
                                    .salt = 0x123456789abcdef0,
                                    .file_position = 8192};

std::vector<GoldenBatch> golden_batches();

// The bytes as the log writes them at kGoldenStamp, 64-byte aligned.
Buffer golden_bytes(const GoldenBatch& golden);

// Head, buffers and padding of a stamped batch.
Buffer assemble(const EncodedBatch& batch);

}  // namespace pystream::storage
