// The order across partitions: whoever merges by append sequence up to the frontier never sees a
// smaller sequence later.

#include "log_crash_testing.hpp"

namespace pystream::storage {
namespace {

constexpr int32_t kPartitions = 3;

using Partitions = std::vector<std::shared_ptr<Partition>>;

Partitions open_all(Log& log) {
  Partitions partitions;
  for (int32_t i = 0; i < kPartitions; ++i) {
    partitions.push_back(log.open_partition(test_options(i, 64 * 1024)));
  }
  return partitions;
}

// Takes the batches of all partitions in append order, as far as the frontier allows; the sequences
// must rise over the object's whole life.
class OrderedReader {
 public:
  OrderedReader(Log& log, Partitions partitions) : log_(log), partitions_(std::move(partitions)) {
    for (const auto& partition : partitions_) readers_.push_back(partition->reader(0));
  }

  void advance() {
    const OrderFrontier frontier = log_.frontier(partitions_);
    ASSERT_GE(frontier.log_end_offsets.size(), partitions_.size());
    for (;;) {
      PartitionReader* first = nullptr;
      uint64_t smallest = frontier.frontier;
      for (const auto& reader : readers_) {
        const auto batch = reader->peek();
        if (batch && batch->append_sequence() < smallest) {
          smallest = batch->append_sequence();
          first = reader.get();
        }
      }
      if (first == nullptr) return;
      ASSERT_GT(smallest, last_sequence_);
      last_sequence_ = smallest;
      first->next();
      ++batches_;
    }
  }

  int64_t batches() const { return batches_; }
  std::vector<int64_t> positions() const {
    std::vector<int64_t> result;
    for (const auto& reader : readers_) result.push_back(reader->position());
    return result;
  }

 private:
  Log& log_;
  Partitions partitions_;
  std::vector<std::unique_ptr<PartitionReader>> readers_;
  uint64_t last_sequence_ = 0;
  int64_t batches_ = 0;
};

class LogOrderTest : public ::testing::Test {
 protected:
  TemporaryDirectory directory_{Medium::kMemory};
};

TEST_F(LogOrderTest, SequencesAreSharedByPartitionsAndStartAtOne) {
  const auto log = Log::open(directory_.path());
  const Partitions partitions = open_all(*log);
  EXPECT_EQ(log->frontier(partitions).frontier, 1u);
  EXPECT_EQ(append_values(*partitions[1], 0).append_sequence, 1u);
  EXPECT_EQ(append_values(*partitions[0], 0, 4).append_sequence, 2u);
  EXPECT_EQ(append_values(*partitions[1], 1).append_sequence, 3u);
  const OrderFrontier frontier = log->frontier(partitions);
  EXPECT_EQ(frontier.frontier, 4u);
  EXPECT_EQ(frontier.log_end_offsets, (std::vector<int64_t>{4, 2, 0}));
}

TEST_F(LogOrderTest, ASequenceIsNotReusedAfterReopening) {
  {
    const auto log = Log::open(directory_.path());
    append_values(*open_all(*log)[0], 0);
  }
  const auto log = Log::open(directory_.path());
  EXPECT_EQ(append_values(*open_all(*log)[1], 0).append_sequence, 2u);
}

TEST_F(LogOrderTest, ThreadsAndProcessesNeverShowASmallerSequenceLater) {
  constexpr int64_t kBatches = 300;
  constexpr int kProcesses = 2;
  constexpr int kThreads = 2;
  std::vector<std::unique_ptr<WaitingProcess>> children;
  for (int process = 0; process < kProcesses; ++process) {
    children.push_back(std::make_unique<WaitingProcess>([&] {
      const auto own = Log::open(directory_.path());
      const Partitions partitions = open_all(*own);
      for (int64_t i = 0; i < kBatches; ++i) append_values(*partitions[i % kPartitions], i);
      own->close();
    }));
  }
  const auto log = Log::open(directory_.path());
  const Partitions partitions = open_all(*log);
  for (const auto& child : children) child->let_go();
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int64_t i = 0; i < kBatches; ++i) {
        append_values(*partitions[(i + thread) % kPartitions], i);
      }
    });
  }
  OrderedReader reader(*log, partitions);
  const std::vector<int64_t> nothing(kPartitions, 0);
  while (reader.batches() < kBatches * (kProcesses + kThreads)) {
    reader.advance();
    if (HasFatalFailure()) break;
    log->wait_any(partitions, reader.positions(), 20'000);
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& child : children) EXPECT_EQ(child->wait(), 0);
}

TEST_F(LogOrderTest, AWriterInFlightHoldsTheFrontierBackAndADeadOneDoesNot) {
  int ready[2];
  int go[2];
  ASSERT_EQ(::pipe(ready), 0);
  ASSERT_EQ(::pipe(go), 0);
  WaitingProcess writer([&] {
    // Stops between taking its sequence and publishing.
    LogOptions options;
    const auto files = std::make_shared<FakeFiles>();
    files->FileLayer::boot_id(&files->boot);
    options.files = files;
    const auto own = Log::open(directory_.path(), options);
    const auto partition = own->open_partition(test_options(1, 64 * 1024));
    append_values(*partition, 0);
    files->set_fail([&](const std::string& call, int) {
      char byte = 0;
      if (call == "pwritev" && ::write(ready[1], "r", 1) == 1 && ::read(go[0], &byte, 1) < 0) {
        return EIO;
      }
      return 0;
    });
    append_values(*partition, 1);
  });
  const auto log = Log::open(directory_.path());
  const Partitions partitions = open_all(*log);
  append_values(*partitions[0], 0);
  ::close(ready[1]);  // so that the end of the process ends the wait for it
  writer.let_go();
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  // Sequence 3 is taken and in flight; 4 comes after it on another partition.
  EXPECT_EQ(append_values(*partitions[2], 0).append_sequence, 4u);
  EXPECT_EQ(log->frontier(partitions).frontier, 3u);
  EXPECT_EQ(log->frontier(partitions).log_end_offsets, (std::vector<int64_t>{1, 1, 1}));
  // Partitions that the writer has nothing to do with are not held back.
  EXPECT_EQ(log->frontier(std::span(partitions).first(1)).frontier, 5u);
  EXPECT_FALSE(log->is_quiet(partitions));
  EXPECT_TRUE(log->is_quiet(std::span(partitions).first(1)));
  writer.kill();
  EXPECT_TRUE(log->is_quiet(partitions));
  EXPECT_EQ(log->frontier(partitions).frontier, 5u);
  EXPECT_EQ(append_values(*partitions[1], 1).append_sequence, 5u);
  EXPECT_EQ(read_values(*partitions[1]), iota(0, 2));
  for (const int fd : {ready[0], go[0], go[1]}) ::close(fd);
}

TEST_F(LogOrderTest, AppendTimesComeFromTheClockThatIsGiven) {
  LogOptions options;
  const auto clock = std::make_shared<ManualClock>(5'000'000);
  options.clock = clock;
  const auto log = Log::open(directory_.path(), options);
  const Partitions partitions = open_all(*log);
  EXPECT_EQ(append_values(*partitions[0], 0).append_time_us, 5'000'000);
  clock->store(-7);
  EXPECT_EQ(log->clock_us(), -7);
  append_values(*partitions[0], 1);
  const auto reader = partitions[0]->reader(1);
  EXPECT_EQ(reader->next()->header().append_time_us, -7);
}

}  // namespace
}  // namespace pystream::storage
