// The nth system call of a program fails, whichever it is and whatever the program does then: an
// append that failed left nothing, what was acknowledged is there, reading goes on, and all works
// when the disk works again.

#include <cerrno>
#include <random>
#include <set>

#include "log_crash_testing.hpp"
#include "torture.hpp"

namespace pystream::storage {
namespace {

constexpr int64_t kSegmentBytes = 24 * 1024;
constexpr int kMostCalls = 5'000;

// What fails: `length` calls from the nth on; reads and syncs fail otherwise than a full disk.
struct Fault {
  int first;
  int length;
  int error;
};

int error_of(const std::string& call, int error) {
  if (call == "pwritev" || call == "allocate" || call == "make_directory") return error;
  if (call == "open") return error == ENOSPC ? EMFILE : EIO;
  if (call == "map_shared") return ENOMEM;
  if (call == "populate") return EFAULT;  // what the kernel says for a page that cannot be read
  return EIO;
}

// A program that goes on after each error, and knows what must be there.
class Program {
 public:
  Program(uint64_t seed, Fault fault) : random_(seed), fault_(fault) {
    files_->skips_syncs = true;
    if (fault.error == ENOSPC) files_->longest_write = 1'000;  // and every longer write is short
    files_->fail = [this](const std::string& call, int) {
      if (is_over_) return 0;
      ++calls_;
      if (calls_ < fault_.first || calls_ >= fault_.first + fault_.length) return 0;
      failed_call_ = call;
      return error_of(call, fault_.error);
    };
  }

  void run(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) step();
    is_over_ = true;
    if (::testing::Test::HasFailure()) return;
    // The disk works again; the machine is started again where a sync failed. (A sync that could
    // not even list or open its segments poisons the partition too.)
    restart(is_sync_failed_);
    if (!attempt([this] { append(Acks::kPublished); })) {
      ASSERT_TRUE(is_sync_failed_) << describe() << ": " << last_error_;
      restart(true);
    }
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(attempt([this] { append(Acks::kPublished); }))
          << describe() << ": " << last_error_;
    }
    ASSERT_TRUE(attempt([this] { read(); })) << describe() << ": " << last_error_;
  }

  bool was_reached() const { return calls_ >= fault_.first; }
  std::string describe() const {
    return "call " + std::to_string(fault_.first) + " (" + failed_call_ + ") of " +
           std::to_string(fault_.length) + " fails with errno " + std::to_string(fault_.error);
  }

 private:
  void step() {
    if (!log_ || !partition_) {
      attempt([this] { open(); });
      return;
    }
    const uint64_t action = random_() % 100;
    if (action < 55) {
      const std::vector<Acks>& levels = supported_levels();
      const Acks acks = levels[random_() % levels.size()];
      attempt([&] { append(acks); });
    } else if (action < 75) {
      attempt([this] { read(); });
    } else if (action < 80) {
      attempt([this] { partition_->prewrite(kSegmentBytes / 2); });
    } else if (action < 87) {
      attempt([this] {
        partition_->sync();
        durable_ = values_.size();
      });
    } else {
      restart(random_() % 2 == 0);
    }
    if (is_sync_failed_) restart(true);
  }

  // Runs it; an error must be one of storage. False when there was one.
  template <typename Action>
  bool attempt(Action action) {
    try {
      action();
      return true;
    } catch (const Error& error) {
      EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(ErrorCode::kStorage))
          << describe() << ": " << error.what();
      last_error_ = error.what();
      is_sync_failed_ = is_sync_failed_ || last_error_.find("sync") != std::string::npos;
      return false;
    }
  }

  void open() {
    LogOptions options;
    options.files = files_;
    options.sync_interval_us = 3'600'000'000;
    if (!log_) log_ = Log::open(directory_.path(), options);
    partition_ = log_->open_partition(test_options(0, kSegmentBytes));
    // After a failed sync, what was not durable may count as unwritten.
    const std::vector<int64_t> found = read_values(*partition_);
    if (may_be_shorter_) {
      ASSERT_GE(found.size(), durable_) << describe();
      if (found.size() < values_.size()) values_.resize(found.size());
      may_be_shorter_ = false;
    }
    // What failed can be taken back only by a disk that works.
    if (fault_.length > 1 && found.size() == values_.size() + refused_.size()) {
      values_.insert(values_.end(), refused_.begin(), refused_.end());
      next_offset_ = std::max(next_offset_, partition_->ends().log_end_offset);
    }
    refused_.clear();
    ASSERT_EQ(found, values_) << describe();
  }

  void restart(bool is_new_boot) {
    if (log_) attempt([this] { log_->close(); });
    partition_.reset();
    log_.reset();
    may_be_shorter_ = may_be_shorter_ || is_sync_failed_;
    if (is_new_boot || is_sync_failed_) ++files_->boot[0];
    is_sync_failed_ = false;
    failed_call_.clear();
    if (is_over_) open();
  }

  void append(Acks acks) {
    const auto count = static_cast<int64_t>(random_() % 300 + 1);
    const int64_t end = partition_->ends().log_end_offset;
    ASSERT_GE(end, next_offset_) << describe();
    try {
      const AppendResult result = append_values(*partition_, next_value_, count, acks);
      ASSERT_EQ(result.base_offset, end) << describe();
    } catch (const Error&) {
      // A level that waits for a sync may fail behind the publish: then it is there, or it is not.
      const bool is_there = partition_->ends().log_end_offset > end;
      EXPECT_TRUE(!is_there || acks == Acks::kDurable) << describe();
      if (!is_there) {
        refused_ = iota(next_value_, count);
        next_value_ += count;
        throw;
      }
      add(count, end);
      throw;
    }
    refused_.clear();
    add(count, end);
    if (acks == Acks::kDurable) durable_ = values_.size();
  }

  void add(int64_t count, int64_t offset) {
    for (int64_t i = 0; i < count; ++i) values_.push_back(next_value_ + i);
    next_value_ += count;
    next_offset_ = offset + count;
  }

  void read() { ASSERT_EQ(read_values(*partition_), values_) << describe(); }

  std::mt19937_64 random_;
  const Fault fault_;
  TemporaryDirectory directory_{Medium::kMemory};
  std::shared_ptr<FakeFiles> files_ = std::make_shared<FakeFiles>();
  int calls_ = 0;
  bool is_over_ = false;
  std::string failed_call_;
  std::string last_error_;
  bool is_sync_failed_ = false;
  bool may_be_shorter_ = false;
  std::shared_ptr<Log> log_;
  std::shared_ptr<Partition> partition_;

  // The model.
  std::vector<int64_t> values_;
  std::vector<int64_t> refused_;  // by the last append, when it failed
  size_t durable_ = 0;
  int64_t next_value_ = 0;
  int64_t next_offset_ = 0;
};

TEST(LogFaultsTest, AnyCallMayFailOnceOrForAWhile) {
  Torture torture(1);
  while (torture.goes_on()) {
    const uint64_t seed = torture.next_seed();
    for (const Fault kind :
         {Fault{0, 1, EIO}, Fault{0, 1, ENOSPC}, Fault{0, 40, EIO}, Fault{0, 40, ENOSPC}}) {
      bool was_reached = true;
      for (int first = 1; was_reached; ++first) {
        SCOPED_TRACE("seed " + std::to_string(seed) + ", call " + std::to_string(first));
        ASSERT_LT(first, kMostCalls) << "there are more calls than the test goes through";
        Program program(seed, {first, kind.length, kind.error});
        program.run(60);
        torture.count();
        if (::testing::Test::HasFailure()) return;
        was_reached = program.was_reached();
        if (!was_reached) {
          EXPECT_GT(first, 80);
        }
      }
    }
  }
}

}  // namespace
}  // namespace pystream::storage
