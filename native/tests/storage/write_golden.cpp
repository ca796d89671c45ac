// Writes the golden batches into a directory, one file each:
//
//   write_golden DIRECTORY
//
// For tests/golden/ this is done once per format version; see tests/golden/README.md. The fuzzer's
// first inputs come from here too.

#include <cstdio>
#include <fstream>
#include <string>

#include "golden_batches.hpp"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
    return 2;
  }
  for (const auto& golden : pystream::storage::golden_batches()) {
    const std::string path = std::string(argv[1]) + "/batch-" + golden.name + ".bin";
    const pystream::Buffer bytes = pystream::storage::golden_bytes(golden);
    std::ofstream file(path, std::ios::binary);
    file.write(bytes.as<char>(), bytes.size);
    file.close();
    if (!file) {
      std::fprintf(stderr, "cannot write %s\n", path.c_str());
      return 1;
    }
  }
  return 0;
}
