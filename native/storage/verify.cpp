#include "storage/verify.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.hpp"
#include "storage/partition_state.hpp"
#include "storage/statistics.hpp"

namespace pystream::storage {
namespace {

constexpr const char* kRepair =
    "Restore the file from a backup, or run \"pystream verify --repair\", which sets the damaged "
    "file aside and keeps what can be read.";

// For what stands under checksums that are right.
constexpr const char* kReport =
    "The bytes are as they were written, so this is a defect of the program that wrote them and "
    "not of the disk: report it. Readers are not concerned.";

std::string offsets_text(int64_t offset, int64_t next_offset) {
  return "offsets " + std::to_string(offset) + " to " + std::to_string(next_offset - 1);
}

template <typename Value>
Value fact_of(const Error& error, const char* name, Value otherwise) {
  for (const ErrorFact& fact : error.facts()) {
    const auto* value = std::get_if<Value>(&fact.second);
    if (fact.first == name && value != nullptr) return *value;
  }
  return otherwise;
}

// The first sentence of a message: what happened, without what to do about it.
std::string first_sentence(const std::string& message) {
  const size_t end = message.find(". ");
  return end == std::string::npos ? message : message.substr(0, end);
}

// While records are deleted, the log start offset may rise between two looks.
std::unique_ptr<PartitionReader> reader_from_start(Partition& partition) {
  for (;;) {
    const int64_t log_start = partition.ends().log_start_offset;
    try {
      return partition.reader(log_start);
    } catch (const Error& error) {
      const bool has_risen = partition.ends().log_start_offset > log_start;
      if (error.code() != ErrorCode::kOffsetOutOfRange || !has_risen) throw;
    }
  }
}

}  // namespace

std::shared_ptr<Partition> PartitionVerifier::open_partition(
    const std::string& log_directory, const std::string& topic, const TopicId& topic_id,
    int32_t partition, const std::shared_ptr<FileLayer>& files) {
  PartitionOptions options;
  options.topic = topic;
  options.topic_id = topic_id;
  options.partition = partition;
  LogOptions log_options;
  log_options.read_only = true;
  log_options.files = files;
  auto log = std::make_shared<LogShared>(log_directory, log_options);
  log->files = files;
  checked(files->boot_id(&log->boot), "cannot read the boot id of", std::string("this machine"));
  auto state = std::make_shared<Partition::State>(log, options);
  return std::shared_ptr<Partition>(new Partition(std::move(state)));
}

PartitionVerifier::PartitionVerifier(const std::string& log_directory, const std::string& topic,
                                     const TopicId& topic_id, int32_t partition,
                                     std::shared_ptr<FileLayer> files)
    : topic_(topic), files_(files ? std::move(files) : std::make_shared<FileLayer>()) {
  partition_ = open_partition(log_directory, topic, topic_id, partition, files_);
  const Partition::State& state = state_of(*partition_);
  directory_ = state.place->directory;
  published_ = state.control.read();
  is_shared_page_ = state.report.kind == RecoveryReport::Kind::kNone;
  const PartitionEnds ends = state.ends();
  summary_.log_start_offset = ends.log_start_offset;
  summary_.log_end_offset = ends.log_end_offset;
  summary_.durable_offset = ends.durable_offset;
  end_ = published_.data_end_offset;
  look_at_control_page();
  look_at_files();
  reader_ = reader_from_start(*partition_);
}

PartitionVerifier::~PartitionVerifier() = default;

// What is on disk, whatever was made of it in memory.
void PartitionVerifier::look_at_control_page() {
  const std::string path = directory_ + "/control";
  const File file = File::open_if_exists(files_, path, O_RDONLY);
  const RecoveryReport& report = partition_->recovery();
  const bool has_data = published_.segment_base_offset != kNoSegment;
  const char* rebuilt = "It is rebuilt from the segments when the log is opened for writing.";
  if (!file.is_open()) {
    if (has_data) add({"control-missing", "the control page is missing", rebuilt, path});
    return;
  }
  const ControlPage page = ControlPage::in_memory(file, path);
  if (file.size() < kControlPageBytes || !page.identity() || !page.is_consistent()) {
    add({"control-damaged", "the control page is damaged", rebuilt, path});
    return;
  }
  if (!is_shared_page_) {
    add({"recovery-due",
         "the partition was left by another boot of the machine, or is a copy: it is recovered "
         "when the log is opened for writing (" +
             std::to_string(report.torn_bytes) + " bytes of an unfinished tail are left out)",
         "", path, -1, -1, -1, true});
  }
  // The page was read after the end was: a lease of this boot covers it.
  const auto lease = page.lease();
  const int64_t lease_end = lease ? lease->lease_end : 0;
  if (has_data && is_shared_page_ && lease_end < published_.log_end_offset) {
    add({"lease",
         lease ? "the lease ends at offset " + std::to_string(lease_end) +
                     " although offsets up to " + std::to_string(published_.log_end_offset) +
                     " were given out"
               : std::string("the record of leased offsets is damaged"),
         "The next append renews it. Append a record before the machine is stopped.", path,
         kLeaseSector});
  }
  if (page.words().sync_failed.load() != 0) {
    add({"sync-failed", "a sync of the partition failed, so it takes no appends",
         "Check the disk and open the log again.", path});
  }
}

void PartitionVerifier::look_at_files() {
  std::vector<std::string> names;
  const int listed = files_->list(directory_, &names);
  if (listed == -ENOENT) return;
  checked(listed, "cannot list", directory_);
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    const std::string path = directory_ + "/" + name;
    const auto base_offset = parse_segment_name(name);
    if (!base_offset) {
      if (name == kCompactionName) {
        add({"unfinished-compaction",
             "a compaction is under way or was killed; whoever compacts next removes the file", "",
             path, -1, -1, -1, true});
      }
      if (!name.ends_with(".torn")) continue;
      add({"set-aside", "recovery set this file aside: nothing in it was ever durable", "", path,
           -1, -1, -1, true});
    } else if (*base_offset > published_.segment_base_offset) {
      add({"unpublished", "the segment is behind the published end and means nothing", "", path, -1,
           -1, -1, true});
    } else if (const File file = File::open_if_exists(files_, path, O_RDONLY); file.is_open()) {
      ++summary_.segments;
      const bool is_active = *base_offset == published_.segment_base_offset;
      bytes_total_ += is_active ? std::min(file.size(), published_.end_position) : file.size();
      check_producers(*base_offset, path);
    }
  }
}

// What a compacted segment says of producers; damage elsewhere in the file is met by reading.
void PartitionVerifier::check_producers(int64_t base_offset, const std::string& path) {
  try {
    const auto segment = state_of(*partition_).segments->try_get(base_offset);
    if (segment) segment->producers();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kCorruptRecord && error.code() != ErrorCode::kStorage) throw;
    add({"producers", first_sentence(error.what()),
         "Producers with a name that write to the topic may store a record twice. " +
             std::string(kRepair),
         path});
  }
}

bool PartitionVerifier::step(int64_t bytes) {
  const int64_t until = bytes_done_ + bytes;
  while (bytes_done_ < until) {
    if (reader_->position() >= end_) {
      if (end_ >= 0) check_end();
      end_ = -1;
      bytes_done_ = bytes_total_;
      return false;
    }
    take_batch();
  }
  return true;
}

void PartitionVerifier::take_batch() {
  try {
    const std::optional<LogBatch> batch = reader_->next();
    if (!batch) {
      end_ = std::min(end_, reader_->position());
      return;
    }
    bytes_done_ += static_cast<int64_t>(batch->header().total_length);
    check_batch(*batch);
  } catch (const Error& error) {
    const int64_t log_start = partition_->ends().log_start_offset;
    if (error.code() == ErrorCode::kOffsetOutOfRange && log_start > reader_->position()) {
      // Deleted meanwhile: the rest is what there is to verify.
      has_previous_ = false;
      reader_ = reader_from_start(*partition_);
      return;
    }
    if (error.code() != ErrorCode::kCorruptRecord && error.code() != ErrorCode::kStorage) throw;
    add_damage(error);
  }
}

// Steps over it as a reader does.
void PartitionVerifier::add_damage(const Error& error) {
  has_previous_ = false;
  Finding finding;
  finding.kind = error.code() == ErrorCode::kStorage ? "unreadable" : "corrupt-records";
  finding.what = first_sentence(error.what());
  finding.advice = kRepair;
  finding.path = fact_of(error, "path", directory_);
  finding.position = fact_of(error, "position", int64_t{-1});
  finding.offset = fact_of(error, "offset", reader_->position());
  finding.next_offset = std::min(fact_of(error, "next_offset", end_), end_);
  summary_.lost_records += finding.next_offset - finding.offset;
  if (finding.next_offset > reader_->position()) reader_->seek(finding.next_offset);
  add(std::move(finding));
}

void PartitionVerifier::check_batch(const LogBatch& batch) {
  check_place_in_log(batch);
  has_previous_ = true;
  previous_path_ = batch.place().path;
  previous_end_ = batch.place().file_position + static_cast<int64_t>(batch.header().total_length);
  previous_crc_ = batch.header().header_crc;
  try {
    check_contents(batch);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kStorage) throw;
    throw Error(ErrorCode::kStorage, error.what(),
                {{"offset", batch.base_offset()},
                 {"next_offset", batch.next_offset()},
                 {"position", batch.place().file_position},
                 {"path", batch.place().path}});
  }
  ++summary_.batches;
  if ((batch.header().flags & kFlagTransactional) != 0) check_transaction(batch);
  const int64_t deleted = batch.row_from(summary_.log_start_offset);
  if ((batch.header().flags & kFlagControl) == 0) {
    summary_.records += batch.record_count() - deleted;
  }
  summary_.bytes += static_cast<int64_t>(batch.header().total_length);
}

// A transaction has one marker in a partition, behind all of its batches.
void PartitionVerifier::check_transaction(const LogBatch& batch) {
  const BatchHeader& header = batch.header();
  const int64_t id = header.transaction_id;
  const auto complain = [&](const std::string& what) {
    add({"transaction", "transaction " + std::to_string(id) + what, kReport, batch.place().path,
         batch.place().file_position, batch.base_offset(), batch.next_offset()});
  };
  if ((header.flags & kFlagControl) == 0) {
    if (decided_.contains(id)) complain(" has records behind its marker");
    open_.emplace(id, batch.base_offset());
    return;
  }
  open_.erase(id);
  if (!decided_.emplace(id, (header.flags & kFlagCommit) != 0).second) {
    complain(" has two markers");
  }
}

// What the batch says about its neighbours.
void PartitionVerifier::check_place_in_log(const LogBatch& batch) {
  const BatchPlace& place = batch.place();
  const BatchHeader& header = batch.header();
  const auto complain = [&](const char* kind, const std::string& what) {
    add({kind, what + ", in the batch of " + offsets_text(batch.base_offset(), batch.next_offset()),
         kReport, place.path, place.file_position, batch.base_offset(), batch.next_offset()});
  };
  const std::string file = place.path.substr(place.path.rfind('/') + 1);
  const bool is_first = parse_segment_name(file) == batch.base_offset();
  const bool is_next =
      has_previous_ && previous_path_ == place.path && previous_end_ == place.file_position;
  if ((is_first && header.previous_header_crc != 0) ||
      (is_next && header.previous_header_crc != previous_crc_)) {
    complain("chain", "the checksum of the header before is not the one remembered");
  }
  if (header.append_sequence <= summary_.last_append_sequence) {
    complain("append-sequence", "the append sequence " + std::to_string(header.append_sequence) +
                                    " does not rise above " +
                                    std::to_string(summary_.last_append_sequence));
  }
  summary_.last_append_sequence = std::max(summary_.last_append_sequence, header.append_sequence);
  const bool is_published_last = place.file_position == published_.last_batch_position &&
                                 batch.next_offset() == published_.data_end_offset;
  if (is_published_last && header.header_crc == published_.last_header_crc &&
      header.append_sequence == published_.last_append_sequence &&
      place.file_position + static_cast<int64_t>(header.total_length) == published_.end_position) {
    has_met_last_batch_ = true;
  }
}

// Every checksum, and whether the statistics are true.
void PartitionVerifier::check_contents(const LogBatch& batch) {
  const BatchPlace& place = batch.place();
  const auto complain = [&](const std::string& what) {
    add({"statistics",
         what + ", in the batch of " + offsets_text(batch.base_offset(), batch.next_offset()),
         kReport, place.path, place.file_position, batch.base_offset(), batch.next_offset()});
  };
  const Schema& schema = *batch.schema();
  const bool is_control = (batch.header().flags & kFlagControl) != 0;
  for (int i = 0; i < schema.size() && !is_control; ++i) {
    const auto id = static_cast<uint16_t>(i);
    const Array column = batch.column(id, Verify::kAlways);
    const auto stored = batch.statistics(id);
    if (!stored || !has_statistics(column.type.id)) continue;
    const MinMax found = min_max(decode_dictionary(column));
    const bool is_true = stored->has_min_max == found.has_value &&
                         (!found.has_value ||
                          (stored->minimum == found.minimum && stored->maximum == found.maximum));
    if (!is_true) {
      complain("minimum and maximum of column '" + schema.fields[static_cast<size_t>(i)].name +
               "' are not those of its values");
    }
  }
  batch.verify(Verify::kFirst);  // built-in columns; the others are verified by now
  const MinMax times = min_max(decode_dictionary(batch.timestamps()));
  if (static_cast<int64_t>(times.minimum) != batch.header().min_timestamp ||
      static_cast<int64_t>(times.maximum) != batch.header().max_timestamp) {
    complain("the first and last timestamp are not those of the records");
  }
}

// The page's word about the last batch, where it can be read.
void PartitionVerifier::check_end() {
  const bool expects_batch =
      published_.last_batch_position != 0 && published_.data_end_offset > summary_.log_start_offset;
  if (!expects_batch || has_met_last_batch_ || !has_previous_) return;
  add({"control-mismatch",
       "the control page says that the last batch ends at byte " +
           std::to_string(published_.end_position) + ", which is not what the segment holds",
       kRepair, directory_ + "/control"});
}

}  // namespace pystream::storage
