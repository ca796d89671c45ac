// Files that are taken away while they are used.
//
// Whoever opens a partition finds its files by their names, and whoever has it open holds them.
// Where someone removes the page or the lock by hand, the next to open makes a new one, and the two
// no longer see each other: both would give out the same offsets. So whoever makes such a file
// changes a word of the log, and every holder of the append lock who finds that word changed looks
// whether what it holds is what the names say, and goes no further when it is not.
//
// Until somebody opens, the holders share what nobody else can find, and nothing is lost: the next
// to open recovers what is in the segments.

#include <cerrno>
#include <optional>

#include "base/error.hpp"
#include "storage/partition_state.hpp"

namespace pystream::storage {
namespace {

// Stands in the directory of a topic whose deletion has begun.
constexpr const char* kDeletedName = "topic.deleted";

std::optional<FileIdentity> find(FileLayer& files, const std::string& path) {
  FileIdentity found;
  const int result = files.identity_at(path, &found);
  if (result == -ENOENT) return std::nullopt;
  checked(result, "cannot look at", path);
  return found;
}

[[noreturn]] void throw_taken_away(const Partition::State& state, const char* what,
                                   const std::string& path) {
  const PartitionPlace& place = *state.place;
  if (state.is_deleted()) {
    throw Error(ErrorCode::kUnknownTopic, "topic " + place.topic + " was deleted.",
                {{"topic", place.topic}, {"partition", int64_t{place.partition}}});
  }
  throw Error(ErrorCode::kStorage,
              std::string(what) + " of " + place.name() + ", " + path +
                  ", was removed or replaced while the log was open, and who opened the log since "
                  "does not see this process. Close the log and open it again; files of a log that "
                  "is open must stay where they are.",
              {{"errno", int64_t{ESTALE}},
               {"path", path},
               {"topic", place.topic},
               {"partition", int64_t{place.partition}}});
}

}  // namespace

bool Partition::State::is_absent() const {
  FileIdentity found;
  return place->files->identity_at(place->directory, &found) == -ENOENT;
}

std::vector<int64_t> Partition::State::listed_segments() const {
  return !is_writable() && is_absent() ? std::vector<int64_t>() : segments->list();
}

bool Partition::State::is_deleted() const {
  FileIdentity found;
  const std::string topic = place->directory.substr(0, place->directory.rfind('/') + 1);
  return is_absent() || place->files->identity_at(topic + kDeletedName, &found) == 0;
}

void Partition::State::note_made_file() {
  log->order.words().files_made.fetch_add(1, std::memory_order_acq_rel);
}

void Partition::State::require_in_place() {
  const uint32_t made = log->order.words().files_made.load(std::memory_order_acquire);
  if (made == files_seen) return;
  const std::string page = control_path(*place);
  if (find(*place->files, page) != control_file) throw_taken_away(*this, "the control page", page);
  if (!lock.has_name()) throw_taken_away(*this, "the lock file", lock_path(*place));
  files_seen = made;
}

void Partition::State::require_page_in_place() const {
  if (control_file == FileIdentity{}) return;
  const std::string page = control_path(*place);
  const auto found = find(*place->files, page);
  if (found && *found != control_file && !is_deleted()) {
    throw_taken_away(*this, "the control page", page);
  }
}

void Partition::State::require_in_place(Segment& written) const {
  if (written.has_name()) return;
  throw_taken_away(*this, "the segment that is written",
                   place->segment_path(written.base_offset()));
}

}  // namespace pystream::storage
