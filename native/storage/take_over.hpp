#pragma once
// Syncing for the dead: what they appended at the level interval, in partitions that nobody else
// may have open. See sync_pledges.hpp for how they are told from the living.

#include <memory>

#include "storage/log_shared.hpp"

namespace pystream::storage {

// From now on the log's thread looks, once per interval, whether somebody who is dead owes the log
// a sync, and then syncs what appends at that level wait for, of every partition. What cannot be
// synced for want of descriptors, say, is tried again. A sync that fails is remembered in its
// partition, as any other.
void watch_pledges(const std::shared_ptr<LogShared>& log);

}  // namespace pystream::storage
