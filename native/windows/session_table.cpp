#include "windows/session_table.hpp"

#include <string>

#include "base/error.hpp"

namespace pystream::windows {

void SessionTable::reserve_keys(uint32_t universe) {
  const int64_t known = newest_.size();
  if (known >= universe) return;
  newest_.resize(universe);
  for (int64_t key = known; key < universe; ++key) newest_[key] = kNoSession;
}

uint32_t SessionTable::open(uint32_t key, uint32_t newer, int64_t start, int64_t end,
                            int64_t arrival) {
  uint32_t session = free_;
  if (session != kNoSession) {
    free_ = sessions_[session].newer;
  } else {
    if (sessions_.size() >= state::kMaxKeys) {
      throw Error(ErrorCode::kOperator, "more than " + std::to_string(state::kMaxKeys) +
                                            " sessions are open at once. Use a shorter gap or a "
                                            "smaller delay in the watermark strategy.");
    }
    session = size();
    sessions_.resize(sessions_.size() + 1);
  }
  const uint32_t older = newer == kNoSession ? newest_[key] : sessions_[newer].older;
  sessions_[session] = {start, end, arrival, INT64_MAX, key, newer, older, true, false};
  (newer == kNoSession ? newest_[key] : sessions_[newer].older) = session;
  if (older != kNoSession) sessions_[older].newer = session;
  index_.add(key, start, session);
  ++in_use_;
  return session;
}

void SessionTable::unchain(uint32_t session) {
  Session& self = sessions_[session];
  if (!self.is_chained) return;
  (self.newer == kNoSession ? newest_[self.key] : sessions_[self.newer].older) = self.older;
  if (self.older != kNoSession) sessions_[self.older].newer = self.newer;
  self.is_chained = false;
  index_.remove(self.key, self.start);
}

void SessionTable::release(uint32_t session) {
  Session& self = sessions_[session];
  self.key = state::kNoId;
  self.newer = free_;
  free_ = session;
  --in_use_;
}

void SessionTable::mark_keys(std::span<uint8_t> live) const {
  for (int64_t i = 0; i < sessions_.size(); ++i) {
    if (sessions_[i].key != state::kNoId) live[sessions_[i].key] = 1;
  }
}

void SessionTable::remap_keys(std::span<const uint32_t> new_ids, uint32_t universe) {
  newest_ = {};
  index_.clear();
  reserve_keys(universe);
  for (int64_t i = 0; i < sessions_.size(); ++i) {
    Session& session = sessions_[i];
    if (session.key == state::kNoId) continue;
    session.key = new_ids[session.key];
    if (session.is_chained && session.newer == kNoSession) {
      newest_[session.key] = static_cast<uint32_t>(i);
    }
  }
}

std::vector<uint32_t> SessionTable::compact() {
  std::vector<uint32_t> numbers(static_cast<size_t>(sessions_.size()), kNoSession);
  state::LargeArray<Session> kept;
  for (uint32_t i = 0; i < size(); ++i) {
    if (sessions_[i].key == state::kNoId) continue;
    numbers[i] = static_cast<uint32_t>(kept.size());
    kept.push_back(sessions_[i]);
  }
  for (int64_t i = 0; i < kept.size(); ++i) {
    Session& session = kept[i];
    if (!session.is_chained) continue;
    if (session.newer == kNoSession) newest_[session.key] = static_cast<uint32_t>(i);
    if (session.newer != kNoSession) session.newer = numbers[session.newer];
    if (session.older != kNoSession) session.older = numbers[session.older];
  }
  sessions_ = std::move(kept);
  index_.clear();
  free_ = kNoSession;
  return numbers;
}

}  // namespace pystream::windows
