#include "state/key_groups.hpp"

#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/stable_hash.hpp"
#include "state/key_words.hpp"

namespace pystream::state {

namespace {

constexpr uint64_t kNullHash = 0x6e756c6c;  // of a value; any number does, but always this one

// The hash of each value of a plain array.
std::vector<uint64_t> hashes_of(const Array& plain) {
  std::vector<int32_t> rows;
  for (int64_t i = 0; i < plain.length; ++i) {
    if (plain.is_valid(i)) rows.push_back(static_cast<int32_t>(i));
  }
  std::vector<uint64_t> found;
  if (plain.type.is_var_binary() || plain.type.id == TypeId::kDecimal128) {
    std::vector<std::string_view> strings;
    collect_strings(plain, rows, false, &strings);
    for (const std::string_view string : strings) found.push_back(stable_hash_bytes(string));
  } else {
    collect_words(plain, rows, false, &found);
  }
  std::vector<uint64_t> hashes(static_cast<size_t>(plain.length), kNullHash);
  for (size_t i = 0; i < rows.size(); ++i) {
    hashes[static_cast<size_t>(rows[i])] = stable_hash_u64(found[i]);
  }
  return hashes;
}

std::vector<uint64_t> row_hashes(const Array& column) {
  if (!column.is_encoded()) return hashes_of(column);
  const std::vector<uint64_t> entries = hashes_of(*column.dictionary);
  std::vector<uint64_t> hashes(static_cast<size_t>(column.length), kNullHash);
  for (int64_t i = 0; i < column.length; ++i) {
    if (column.is_valid(i)) {
      hashes[static_cast<size_t>(i)] = entries[static_cast<size_t>(column.codes()[i])];
    }
  }
  return hashes;
}

}  // namespace

KeyGroupRange key_group_range(int instance, int parallelism, int max_parallelism) {
  if (parallelism < 1 || parallelism > max_parallelism || max_parallelism > kMostParallelism) {
    throw Error(ErrorCode::kConfig,
                "parallelism is " + std::to_string(parallelism) + " with max_parallelism " +
                    std::to_string(max_parallelism) +
                    ". Use at least one instance, at most max_parallelism of them, and at most " +
                    std::to_string(kMostParallelism) + " key groups.");
  }
  return {(instance * max_parallelism + parallelism - 1) / parallelism,
          ((instance + 1) * max_parallelism - 1) / parallelism};
}

int instance_of(int key_group, int parallelism, int max_parallelism) {
  return key_group * parallelism / max_parallelism;
}

std::vector<int32_t> key_groups(std::span<const Array* const> columns, int64_t rows,
                                int max_parallelism) {
  std::vector<uint64_t> hashes(static_cast<size_t>(rows));
  for (const Array* column : columns) {
    const std::vector<uint64_t> own = row_hashes(*column);
    for (size_t i = 0; i < hashes.size(); ++i) hashes[i] = stable_hash_u64(hashes[i] ^ own[i]);
  }
  std::vector<int32_t> groups(static_cast<size_t>(rows));
  for (size_t i = 0; i < hashes.size(); ++i) {
    groups[i] = static_cast<int32_t>(hashes[i] % static_cast<uint64_t>(max_parallelism));
  }
  return groups;
}

}  // namespace pystream::state
