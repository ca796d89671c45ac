#pragma once
// The sessions of all keys: their bounds, and in which row each is accumulated.
//
// A session has a number, which is also its row in an AccumulatorTable. The sessions of a key do
// not touch each other and are chained from the newest to the oldest, so that a record near the
// newest finds its place at once; most keys have one. A session that has left its chain (it fired,
// and its rows wait to be emitted) keeps its number until it is released.
//
// Owned by one operator; one thread at a time. Snapshotable: the sessions; chains follow from them.

#include <cstdint>
#include <span>
#include <vector>

#include "state/large_array.hpp"
#include "state/limits.hpp"
#include "windows/chain_index.hpp"

namespace pystream::windows {

inline constexpr uint32_t kNoSession = state::kNoId;

struct Session {
  int64_t start;
  int64_t end;
  int64_t arrival;  // number of the record that came first
  int64_t armed;    // time of its timer
  uint32_t key;     // kNoId: the number is free
  uint32_t newer;   // of the same key; of a free number, the next free one
  uint32_t older;
  bool is_chained;
  bool is_fired;  // with the rows that it has
};

class SessionTable {
 public:
  // Key ids are < universe from here on.
  void reserve_keys(uint32_t universe);

  uint32_t newest(uint32_t key) const { return newest_[key]; }
  const uint32_t* newest_of_keys() const { return newest_.data(); }
  Session& operator[](uint32_t session) { return sessions_[session]; }
  const Session& operator[](uint32_t session) const { return sessions_[session]; }
  const Session* sessions() const { return sessions_.data(); }

  // One more than the largest number ever in use, and how many are in use.
  uint32_t size() const { return static_cast<uint32_t>(sessions_.size()); }
  int64_t in_use() const { return in_use_; }

  // The newest session of the key that starts at `time` or before, and the one behind it.
  ChainIndex::Place seek(uint32_t key, int64_t time) {
    return index_.seek(key, newest_[key], time,
                       [&](uint32_t at) -> const Session& { return sessions_[at]; });
  }
  void set_start(uint32_t session, int64_t start) {
    index_.move(sessions_[session].key, sessions_[session].start, start, session);
    sessions_[session].start = start;
  }

  // A new session of the key in the chain behind `newer`, or as the newest (kNoSession). Throws
  // kOperator at 2^32 - 2 sessions.
  uint32_t open(uint32_t key, uint32_t newer, int64_t start, int64_t end, int64_t arrival);
  // Takes a session out of its chain, if it is in one.
  void unchain(uint32_t session);
  // The number may be used again; the session is in no chain.
  void release(uint32_t session);

  // Sets the byte of each key that has a session.
  void mark_keys(std::span<uint8_t> live) const;
  // Key ids have changed; those of sessions are kept.
  void remap_keys(std::span<const uint32_t> new_ids, uint32_t universe);
  // Closes up the numbers that are not in use. Returns the new number of each old one.
  std::vector<uint32_t> compact();

  int64_t bytes() const { return sessions_.bytes() + newest_.bytes() + index_.bytes(); }

 private:
  state::LargeArray<Session> sessions_;
  state::LargeArray<uint32_t> newest_;  // by key
  uint32_t free_ = kNoSession;
  int64_t in_use_ = 0;
  ChainIndex index_;
};

}  // namespace pystream::windows
