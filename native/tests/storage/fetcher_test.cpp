// Several readers as one: complete, in append order as far as batches are there, nobody starved,
// and damage told when its turn comes.

#include "storage/fetcher.hpp"

#include <random>

#include "log_crash_testing.hpp"
#include "log_testing.hpp"

namespace pystream::storage {
namespace {

class FetcherTest : public ::testing::Test {
 protected:
  void SetUp() override { open(); }

  void open() {
    log_ = Log::open(directory_.path());
    partitions_.clear();
    for (int32_t i = 0; i < 4; ++i) {
      partitions_.push_back(log_->open_partition(test_options(i, 64 * 1024)));
    }
  }

  Fetcher fetcher() {
    readers_.clear();
    std::vector<PartitionReader*> readers;
    for (const auto& partition : partitions_) {
      readers_.push_back(partition->reader(partition->ends().log_start_offset));
      readers.push_back(readers_.back().get());
    }
    return Fetcher(std::move(readers));
  }

  void append(size_t partition) { append_values(*partitions_[partition], 0); }

  TemporaryDirectory directory_{Medium::kMemory};
  std::shared_ptr<Log> log_;
  std::vector<std::shared_ptr<Partition>> partitions_;
  std::vector<std::unique_ptr<PartitionReader>> readers_;
};

// The numbers of the partitions that batches come from.
std::vector<size_t> sources(const std::vector<Fetcher::Fetched>& fetched) {
  std::vector<size_t> result;
  for (const auto& batch : fetched) result.push_back(batch.reader);
  return result;
}

TEST_F(FetcherTest, GivesBatchesInTheOrderOfTheirAppends) {
  for (const size_t partition : {2, 0, 0, 3, 1, 2, 3}) append(partition);
  Fetcher fetcher = this->fetcher();
  EXPECT_EQ(sources(fetcher.fetch(100)), (std::vector<size_t>{2, 0, 0, 3, 1, 2, 3}));
  EXPECT_TRUE(fetcher.fetch(100).empty());
}

TEST_F(FetcherTest, GivesAtMostWhatIsAskedForAndGoesOnBehindIt) {
  for (const size_t partition : {2, 0, 0, 3, 1}) append(partition);
  Fetcher fetcher = this->fetcher();
  EXPECT_TRUE(fetcher.fetch(0).empty());
  EXPECT_EQ(sources(fetcher.fetch(2)), (std::vector<size_t>{2, 0}));
  EXPECT_EQ(sources(fetcher.fetch(2)), (std::vector<size_t>{0, 3}));
  EXPECT_EQ(sources(fetcher.fetch(2)), (std::vector<size_t>{1}));
}

TEST_F(FetcherTest, WithoutReadersThereIsNothing) { EXPECT_TRUE(Fetcher({}).fetch(8).empty()); }

// One partition that is never read to its end must not hide the others.
TEST_F(FetcherTest, SeesWhatIsNewInAnIdlePartitionBesideABusyOne) {
  for (int i = 0; i < 10; ++i) append(0);
  Fetcher fetcher = this->fetcher();
  EXPECT_EQ(sources(fetcher.fetch(2)), (std::vector<size_t>{0, 0}));
  append(1);
  for (int i = 0; i < 10; ++i) append(0);
  std::vector<size_t> rest;
  for (int i = 0; i < 10; ++i) rest.push_back(sources(fetcher.fetch(1)).at(0));
  EXPECT_EQ(std::count(rest.begin(), rest.end(), size_t{1}), 1);
}

TEST_F(FetcherTest, DamageIsToldWhenItsTurnComesAndUntilAReaderIsMoved) {
  for (const size_t partition : {1, 0, 0, 1}) append(partition);
  const auto whole = partitions_[0]->reader(1);
  const BatchPlace place = whole->next()->place();
  log_->close();
  flip_bit(place.path, (place.file_position + 40) * 8);
  open();
  Fetcher fetcher = this->fetcher();
  EXPECT_EQ(sources(fetcher.fetch(100)), (std::vector<size_t>{1, 0}));
  for (int i = 0; i < 2; ++i) {
    try {
      fetcher.fetch(100);
      FAIL() << "the damage was not told";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kCorruptRecord);
    }
  }
  readers_[0]->seek(2);
  EXPECT_EQ(sources(fetcher.fetch(100)), (std::vector<size_t>{1}));
}

// Against the rule: sorted by append sequence, each batch once, whatever the sizes of the calls.
TEST_F(FetcherTest, EqualsASortOfAllBatches) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 500; ++i) append(random() % partitions_.size());
  std::vector<std::pair<uint64_t, size_t>> expected;
  for (size_t i = 0; i < partitions_.size(); ++i) {
    const auto reader = partitions_[i]->reader(0);
    while (const auto batch = reader->next()) expected.emplace_back(batch->append_sequence(), i);
  }
  std::sort(expected.begin(), expected.end());
  ASSERT_EQ(expected.size(), 500u);
  Fetcher fetcher = this->fetcher();
  std::vector<std::pair<uint64_t, size_t>> got;
  for (;;) {
    const auto fetched = fetcher.fetch(1 + random() % 20);
    if (fetched.empty()) break;
    for (const auto& batch : fetched) got.emplace_back(batch.batch.append_sequence(), batch.reader);
  }
  EXPECT_EQ(got, expected);
}

}  // namespace
}  // namespace pystream::storage
