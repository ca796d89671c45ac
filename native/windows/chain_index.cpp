#include "windows/chain_index.hpp"

namespace pystream::windows {

namespace {
// Of a node of the map, beside what it holds.
constexpr int64_t kNodeBytes = 32;
}  // namespace

void ChainIndex::add_to(uint32_t key, int64_t start, uint32_t number) {
  const auto found = of_keys_.find(key);
  if (found != of_keys_.end()) found->second.emplace(start, number);
}

void ChainIndex::remove_from(uint32_t key, int64_t start) {
  const auto found = of_keys_.find(key);
  if (found == of_keys_.end()) return;
  found->second.erase(start);
  if (found->second.size() < kLongChain / 2) of_keys_.erase(found);
}

int64_t ChainIndex::bytes() const {
  int64_t total = 0;
  for (const auto& [key, starts] : of_keys_) {
    total += static_cast<int64_t>(starts.size() * sizeof(Starts::value_type)) +
             static_cast<int64_t>(starts.size()) * kNodeBytes;
  }
  return total;
}

}  // namespace pystream::windows
