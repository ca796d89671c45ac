#include "storage/repair.hpp"

#include <sys/random.h>

#include <cerrno>
#include <cstring>
#include <set>

#include "base/clock.hpp"
#include "base/crc32c.hpp"
#include "base/error.hpp"
#include "storage/header_crc.hpp"
#include "storage/order_file.hpp"
#include "storage/partition_state.hpp"
#include "storage/transaction_scan.hpp"
#include "storage/verify.hpp"

namespace pystream::storage {
namespace {

struct Place {
  int64_t position = 0;
  int64_t length = 0;
};

// Consecutive batches of one segment that can be read.
struct Run {
  std::shared_ptr<Segment> source;
  int64_t base_offset = 0;
  int64_t next_offset = 0;
  int64_t end_position = 0;
  uint64_t last_append_sequence = 0;
  std::vector<Place> batches;
};

uint64_t random_salt() {
  uint64_t salt = 0;
  if (::getentropy(&salt, sizeof(salt)) != 0) {
    throw_storage_error("cannot get random bytes", "getentropy", errno);
  }
  return salt;
}

File create_file(const std::shared_ptr<FileLayer>& files, const std::string& path) {
  const int removed = files->unlink(path);  // of a repair that was cut short
  if (removed != -ENOENT) checked(removed, "cannot remove", path);
  return File::open(files, path, O_RDWR | O_CREAT | O_EXCL);
}

// One partition that is being repaired.
class PartitionRepair {
 public:
  PartitionRepair(std::shared_ptr<FileLayer> files, std::shared_ptr<Partition> partition,
                  Partition::State& state, std::string quarantine,
                  const std::set<int64_t>& known_transactions)
      : files_(std::move(files)),
        partition_(std::move(partition)),
        state_(state),
        published_(state.control.read()),
        quarantine_(std::move(quarantine)),
        known_transactions_(known_transactions) {}

  std::vector<std::string> run() {
    const PartitionEnds ends = state_.ends();
    find_runs(ends.log_start_offset);
    find_whole_compacted(ends.log_start_offset);
    rewrite(ends.log_start_offset);
    set_aside_unpublished();
    replace_control_page(ends);
    checked(files_->sync_directory(state_.place->directory), "cannot sync the directory",
            state_.place->directory);
    return std::move(done_);
  }

 private:
  std::string path_of(int64_t base_offset) const { return state_.place->segment_path(base_offset); }

  // Every batch whose bytes are all sound, by segment and without holes.
  void find_runs(int64_t log_start) {
    const auto reader = partition_->reader(log_start);
    bool is_new_run = true;
    for (;;) {
      try {
        const std::optional<LogBatch> batch = reader->next();
        if (!batch) return;
        batch->verify(Verify::kAlways);
        if (is_undecidable(*batch)) {
          is_new_run = true;
          continue;
        }
        add(*batch, is_new_run);
        is_new_run = false;
      } catch (const Error& error) {
        const bool is_damage =
            error.code() == ErrorCode::kCorruptRecord || error.code() == ErrorCode::kStorage;
        const auto next_offset = next_offset_of(error);
        if (!is_damage || !next_offset) throw;
        if (*next_offset > reader->position()) reader->seek(*next_offset);
        is_new_run = true;
      }
    }
  }

  // Readers are told that such records are damaged. Without the damage behind them they would take
  // the transaction for aborted, and leave them out in silence.
  bool is_undecidable(const LogBatch& batch) {
    const BatchHeader& header = batch.header();
    if ((header.flags & kFlagTransactional) == 0 || (header.flags & kFlagControl) != 0)
      return false;
    if (known_transactions_.contains(header.transaction_id)) return false;
    BatchEntry entry;
    entry.base_offset = batch.base_offset();
    entry.next_offset = batch.next_offset();
    entry.transaction_id = header.transaction_id;
    if (scan_.find(state_, entry) || !scan_.has_damage_behind(entry)) return false;
    done_.push_back("set aside the records of " + state_.place->name() + " from offset " +
                    std::to_string(entry.base_offset) + " up to " +
                    std::to_string(entry.next_offset) + ": whether transaction " +
                    std::to_string(header.transaction_id) + " was committed is lost");
    return true;
  }

  // Compacted segments of which every batch is sound, and those without any: they hold what they
  // say, from their own offset on, whatever was removed at their ends.
  void find_whole_compacted(int64_t log_start) {
    for (const int64_t base : state_.segments->list()) {
      if (base > published_.segment_base_offset) break;
      const auto segment = state_.segments->try_get(base);
      if (!segment || !segment->is_compacted()) continue;
      const SegmentHeader& header = segment->header();
      if (header.compacted_end_offset <= log_start) continue;
      while (
          segment->extend_index({segment->file_size(), header.compacted_end_offset}, INT64_MAX)) {
      }
      size_t batches = 0;
      bool is_damaged = false;
      for (int64_t i = 0; i < segment->index().count(); ++i) {
        const BatchEntry& entry = segment->index().at(i);
        if (entry.next_offset <= log_start) continue;
        is_damaged |= entry.is_corrupt;
        ++batches;
      }
      if (is_damaged) continue;
      auto run = std::find_if(runs_.begin(), runs_.end(),
                              [&](const Run& other) { return other.base_offset >= base; });
      const bool is_own = run != runs_.end() && run->source->base_offset() == base;
      if ((is_own ? run->batches.size() : 0) != batches) continue;
      if (!is_own) {
        run = runs_.emplace(run);
        run->source = segment;
      }
      run->base_offset = base;
      run->next_offset = header.compacted_end_offset;
      run->end_position = header.compacted_end_position;
      run->last_append_sequence = header.last_append_sequence;
    }
  }

  static std::optional<int64_t> next_offset_of(const Error& error) {
    for (const ErrorFact& fact : error.facts()) {
      const auto* number = std::get_if<int64_t>(&fact.second);
      if (fact.first == "next_offset" && number != nullptr) return *number;
    }
    return std::nullopt;
  }

  void add(const LogBatch& batch, bool is_new_run) {
    const std::string& path = batch.place().path;
    if (is_new_run || runs_.back().source->path() != path) {
      Run run;
      const auto base = parse_segment_name(path.substr(path.rfind('/') + 1));
      run.source = state_.segments->get(base.value());
      run.base_offset = batch.base_offset();
      runs_.push_back(std::move(run));
    }
    Run& run = runs_.back();
    const Place place{batch.place().file_position,
                      static_cast<int64_t>(batch.header().total_length)};
    run.batches.push_back(place);
    run.next_offset = batch.next_offset();
    run.end_position = place.position + place.length;
    run.last_append_sequence = batch.append_sequence();
  }

  // Writes anew what does not follow from its file as it stands, then lets the new files take the
  // place of the old ones.
  void rewrite(int64_t log_start) {
    std::set<int64_t> kept;
    std::vector<int64_t> written;
    int64_t end = log_start;
    for (size_t i = 0; i < runs_.size(); ++i) {
      Run& run = runs_[i];
      const SegmentHeader& header = run.source->header();
      const bool is_alone = (i == 0 || runs_[i - 1].source != run.source) &&
                            (i + 1 == runs_.size() || runs_[i + 1].source != run.source);
      const bool is_first = i == 0 && header.previous_end_offset <= log_start;
      if (is_alone && run.base_offset == header.base_offset &&
          (is_first || header.previous_end_offset == end)) {
        kept.insert(header.base_offset);
        run.source->sync();
      } else {
        write_segment(&run, end);
        written.push_back(run.base_offset);
      }
      end = run.next_offset;
    }
    for (const int64_t base : state_.segments->list()) {
      if (base <= published_.segment_base_offset && !kept.contains(base)) {
        set_aside(path_of(base), "it is damaged, or a segment before it is");
      }
    }
    for (const int64_t base : written) {
      checked(files_->rename(path_of(base) + ".new", path_of(base)), "cannot name the segment",
              path_of(base));
    }
  }

  // What the header of a compacted segment says of the batches of a run, and what stands behind
  // them.
  static std::vector<CompactedProducer> describe_compacted(const Run& run, SegmentHeader* header) {
    if (!run.source->is_compacted()) return {};
    header->compacted_end_offset = run.next_offset;
    header->compacted_end_position = header->data_offset;
    for (const Place& place : run.batches) header->compacted_end_position += place.length;
    std::vector<CompactedProducer> producers;
    try {
      producers = run.source->producers();
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kCorruptRecord && error.code() != ErrorCode::kStorage) throw;
    }
    header->producer_count = static_cast<uint32_t>(producers.size());
    header->producers_crc = crc32c(0, reinterpret_cast<const uint8_t*>(producers.data()),
                                   producers.size() * sizeof(CompactedProducer));
    return producers;
  }

  // The batches of a run under a new head: a batch knows its file and place only by the checksum of
  // its header, and the batch before it.
  void write_segment(Run* run, int64_t previous_end) {
    const std::string path = path_of(run->base_offset) + ".new";
    SegmentHeader header = run->source->header();
    header.base_offset = run->base_offset;
    header.previous_end_offset = previous_end;
    header.salt = random_salt();
    const std::vector<CompactedProducer> producers = describe_compacted(*run, &header);
    const std::vector<uint8_t> blob = run->source->schema()->serialize();
    const std::vector<uint8_t> head = encode_segment_head(&header, blob);
    const File file = create_file(files_, path);
    file.write(std::span<const uint8_t>(head), 0);
    int64_t position = header.data_offset;
    uint32_t previous_crc = 0;
    std::vector<uint64_t> copy;  // aligned as a header must be
    for (const Place& place : run->batches) {
      const auto bytes = run->source->bytes(place.position, place.position + place.length);
      copy.resize(static_cast<size_t>(place.length) / sizeof(uint64_t));
      std::memcpy(copy.data(), bytes.data(), bytes.size());
      auto* batch = reinterpret_cast<BatchHeader*>(copy.data());
      batch->previous_header_crc = previous_crc;
      const auto* raw = reinterpret_cast<const uint8_t*>(copy.data());
      batch->header_crc = header_crc(raw, batch->header_length, header.salt, position);
      previous_crc = batch->header_crc;
      file.write(std::span<const uint8_t>(raw, bytes.size()), position);
      position += place.length;
    }
    const uint8_t zeros[kTerminatorBytes] = {};
    const auto* rest = reinterpret_cast<const uint8_t*>(producers.data());
    const size_t rest_bytes = producers.size() * sizeof(CompactedProducer);
    if (rest_bytes > 0) file.write(std::span<const uint8_t>(rest, rest_bytes), position);
    file.write(std::span<const uint8_t>(zeros), position + static_cast<int64_t>(rest_bytes));
    file.sync_data();
    run->end_position = position;
    done_.push_back("wrote the records of " + state_.place->name() + " from offset " +
                    std::to_string(run->base_offset) + " up to " +
                    std::to_string(run->next_offset) + " to " + path_of(run->base_offset));
  }

  // They mean nothing now, and must mean nothing later.
  void set_aside_unpublished() {
    for (const int64_t base : state_.segments->list()) {
      if (base > published_.segment_base_offset &&
          (runs_.empty() || base > runs_.back().base_offset)) {
        set_aside(path_of(base), "it was never published");
      }
    }
  }

  void replace_control_page(const PartitionEnds& ends) {
    const std::string path = control_path(*state_.place);
    const auto old = state_.control.identity();
    PublishedState published;
    published.data_end_offset = ends.log_start_offset;
    if (!runs_.empty()) {
      const Run& last = runs_.back();
      published.segment_base_offset = last.base_offset;
      published.end_position = last.end_position;
      published.data_end_offset = last.next_offset;
      published.last_append_sequence = last.last_append_sequence;
    }
    published.log_end_offset = ends.log_end_offset;
    published.must_roll = true;
    published.incarnation = std::max(published_.incarnation, state_.last_incarnation()) + 1;
    if (File::open_if_exists(files_, path, O_RDONLY).is_open()) {
      set_aside(path, "it is made anew");
    }
    const File file = create_file(files_, path + ".new");
    file.allocate(0, kControlPageBytes);
    ControlIdentity identity{};
    identity.version = kFormatVersion;
    std::memcpy(identity.topic_id, state_.place->topic_id, sizeof(identity.topic_id));
    identity.partition = state_.place->partition;
    std::memcpy(identity.boot_id, state_.log->boot.data(), state_.log->boot.size());
    identity.device = file.identity().device;
    identity.inode = file.identity().inode;
    identity.created_us = old ? old->created_us : wall_clock_us();
    ControlPage page(file, true);
    page.initialize(identity, published);
    page.set_log_start(ends.log_start_offset);
    page.words().durable_offset.store(published.data_end_offset);
    page.words().interval_end_offset.store(published.data_end_offset);
    const auto lease = state_.control.lease();
    const int64_t lease_end = lease ? lease->lease_end : 0;
    page.write_log_start(file, ends.log_start_offset);
    page.write_lease(file, std::max(lease_end, ends.log_end_offset), published);
    checked(files_->rename(path + ".new", path), "cannot name", path);
    done_.push_back("made the control page of " + state_.place->name() + " anew");
  }

  void set_aside(const std::string& path, const std::string& why) {
    const std::string target = quarantine_ + "/" + path.substr(path.rfind('/') + 1);
    checked(files_->rename(path, target), "cannot set aside", path);
    done_.push_back("moved " + path + " to " + target + ": " + why);
  }

  std::shared_ptr<FileLayer> files_;
  std::shared_ptr<Partition> partition_;
  Partition::State& state_;
  const PublishedState published_;
  const std::string quarantine_;
  const std::set<int64_t>& known_transactions_;
  TransactionScan scan_;
  std::vector<Run> runs_;
  std::vector<std::string> done_;
};

}  // namespace

LogRepair::LogRepair(const std::string& log_directory, const std::string& quarantine,
                     std::shared_ptr<FileLayer> files)
    : directory_(log_directory),
      quarantine_(quarantine),
      files_(files ? std::move(files) : std::make_shared<FileLayer>()) {
  checked(files_->boot_id(&boot_), "cannot read the boot id of", std::string("this machine"));
  order_ = File::open(files_, directory_ + "/order", O_RDWR | O_CREAT);
  const int result = files_->lock_use(order_.fd(), UseMode::kExclusive);
  if (result == -EAGAIN) {
    throw Error(ErrorCode::kLog,
                "the log in " + directory_ +
                    " is open in another process, so it cannot be repaired. Close it in all "
                    "processes first.",
                {{"path", directory_}});
  }
  checked(result, "cannot lock", order_.path());
}

std::vector<std::string> LogRepair::repair_partition(const std::string& topic,
                                                     const TopicId& topic_id, int32_t partition,
                                                     const std::set<int64_t>& known_transactions) {
  const auto opened =
      PartitionVerifier::open_partition(directory_, topic, topic_id, partition, files_);
  Partition::State& state = PartitionVerifier::state_of(*opened);
  // As it lies in the log, so that putting it back is plain.
  const std::string quarantine = quarantine_ + state.place->directory.substr(directory_.size());
  for (size_t end = quarantine.find('/', quarantine_.size() + 1); end != std::string::npos;
       end = quarantine.find('/', end + 1)) {
    ensure_directory(*files_, quarantine.substr(0, end));
  }
  ensure_directory(*files_, quarantine);
  return PartitionRepair(files_, opened, state, quarantine, known_transactions).run();
}

}  // namespace pystream::storage
