// The next append sequence of a log whose order file is lost: from what its partitions hold.

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "base/error.hpp"
#include "storage/partition_state.hpp"
#include "storage/segment_scan.hpp"

namespace pystream::storage {
namespace {

int from_hex(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  return -1;
}

// The place that a partition's directory stands for, by its names; null for any other directory.
std::shared_ptr<const PartitionPlace> place_of(const std::shared_ptr<FileLayer>& files,
                                               const std::string& topic_directory,
                                               const std::string& partition_name) {
  auto place = std::make_shared<PartitionPlace>();
  const std::string topic = topic_directory.substr(topic_directory.rfind('/') + 1);
  if (topic.size() != 2 * sizeof(place->topic_id)) return nullptr;
  for (size_t i = 0; i < sizeof(place->topic_id); ++i) {
    const int high = from_hex(topic[2 * i]);
    const int low = from_hex(topic[2 * i + 1]);
    if (high < 0 || low < 0) return nullptr;
    place->topic_id[i] = static_cast<uint8_t>(high << 4 | low);
  }
  const char* end = partition_name.data() + partition_name.size();
  const auto parsed = std::from_chars(partition_name.data(), end, place->partition);
  if (parsed.ec != std::errc() || parsed.ptr != end || place->partition < 0) return nullptr;
  place->topic = topic;
  place->directory = topic_directory + "/" + partition_name;
  place->files = files;
  return place;
}

// One above the largest sequence in the partition's last readable segment that holds a batch:
// sequences rise along a partition.
uint64_t next_sequence_of(std::shared_ptr<const PartitionPlace> place) {
  SegmentSet segments(std::move(place), false);
  const std::vector<int64_t> bases = segments.list();
  uint64_t next = 1;
  for (auto base = bases.rbegin(); base != bases.rend() && next == 1; ++base) {
    const auto segment = segments.try_get(*base);
    if (!segment) continue;
    if (segment->is_compacted()) {
      next = std::max(next, segment->header().last_append_sequence + 1);
    }
    visit_headers(*segment, [&next](const BatchHeader& header) {
      next = std::max(next, header.append_sequence + 1);
    });
  }
  return next;
}

}  // namespace

uint64_t find_next_sequence(const std::shared_ptr<FileLayer>& files, const std::string& directory) {
  uint64_t next = 1;
  const std::string topics = directory + "/topics";
  std::vector<std::string> topic_names;
  const int listed = files->list(topics, &topic_names);
  if (listed == -ENOENT) return next;
  checked(listed, "cannot list", topics);
  for (const std::string& topic : topic_names) {
    std::vector<std::string> partition_names;
    if (files->list(topics + "/" + topic, &partition_names) < 0) continue;
    for (const std::string& name : partition_names) {
      auto place = place_of(files, topics + "/" + topic, name);
      if (place) next = std::max(next, next_sequence_of(std::move(place)));
    }
  }
  return next;
}

}  // namespace pystream::storage
