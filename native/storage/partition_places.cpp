// Which partitions a log holds, by the names of its directories.

#include <cerrno>
#include <charconv>

#include "base/error.hpp"
#include "storage/partition_state.hpp"

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

}  // namespace

void visit_places(const std::shared_ptr<FileLayer>& files, const std::string& directory,
                  const std::function<bool(std::shared_ptr<const PartitionPlace>)>& visit) {
  const std::string topics = directory + "/topics";
  const auto list = [&](const std::string& path) {
    std::vector<std::string> names;
    const int listed = files->list(path, &names);
    // Not there yet, deleted meanwhile, or somebody else's file.
    if (listed != -ENOENT && listed != -ENOTDIR) checked(listed, "cannot list", path);
    return names;
  };
  for (const std::string& topic : list(topics)) {
    const std::string topic_directory = topics + "/" + topic;
    for (const std::string& name : list(topic_directory)) {
      auto place = place_of(files, topic_directory, name);
      if (place && !visit(std::move(place))) return;
    }
  }
}

}  // namespace pystream::storage
