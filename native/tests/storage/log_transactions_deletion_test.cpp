// Records of open transactions are deleted: what of them is left stays open and is decided, and
// what is deleted holds up nobody.

#include <random>

#include "transaction_testing.hpp"

namespace pystream::storage {
namespace {

using LogTransactionsDeletionTest = LogTransactionsTest;

TEST_F(LogTransactionsDeletionTest, ATransactionStaysOpenWhenItsFirstRecordsAreDeleted) {
  const auto other = Log::open(directory_.path());
  const auto theirs = other->open_partition(test_options(0, 8192));
  append_in(partition(), 1, 10);
  append_in(partition(), 1, 11);
  append_values(partition(), 12);
  EXPECT_EQ(partition().last_stable_offset(), 0);
  partition().delete_records(1);
  for (Partition* each : {&partition(), theirs.get(), &partition()}) {
    EXPECT_EQ(each->last_stable_offset(), 1);
    ASSERT_EQ(each->open_transactions().size(), 1u);
    EXPECT_EQ(each->open_transactions()[0].first_offset, 1);
  }
  EXPECT_EQ(partition().end_transaction(commit(1), Acks::kPublished), 3);
  EXPECT_EQ(committed(partition(), 1), (Values{11, 12}));
  EXPECT_EQ(theirs->last_stable_offset(), 4);
}

TEST_F(LogTransactionsDeletionTest, ATransactionStaysOpenWhenTheLogStartsInsideItsBatch) {
  append_in(partition(), 1, 10, 5);
  append_in(partition(), 2, 20);
  EXPECT_EQ(partition().last_stable_offset(), 0);
  partition().delete_records(3);
  partition().end_transaction(commit(2), Acks::kPublished);
  EXPECT_EQ(partition().last_stable_offset(), 3);
  const auto other = Log::open(directory_.path());
  const auto theirs = other->open_partition(test_options(0, 8192));
  for (int look = 0; look < 2; ++look) EXPECT_EQ(theirs->open_transactions().size(), 1u);
  EXPECT_EQ(theirs->last_stable_offset(), 3);
  ASSERT_TRUE(theirs->end_transaction(commit(1), Acks::kPublished));
  EXPECT_EQ(partition().last_stable_offset(), 8);
}

TEST_F(LogTransactionsDeletionTest, ATransactionWhoseRecordsWereAllDeletedHoldsUpNobody) {
  append_in(partition(), 1, 10, 5);
  append_values(partition(), 15);
  EXPECT_EQ(partition().last_stable_offset(), 0);
  partition().delete_records(5);
  EXPECT_EQ(partition().last_stable_offset(), 6);
  EXPECT_EQ(partition().end_transaction(commit(1), Acks::kPublished), std::nullopt);
  append_in(partition(), 1, 16);
  EXPECT_EQ(partition().last_stable_offset(), 6);
  EXPECT_EQ(partition().end_transaction(commit(1), Acks::kPublished), 7);
}

TEST_F(LogTransactionsDeletionTest, ATransactionDoesNotBecomeDoubtfulWhileRecordsAreDeleted) {
  append_in(partition(), 1, 0, 1'000);
  append_values(partition(), 1'000, 1'000);
  append_in(partition(), 1, 2'000, 1'000);
  append_values(partition(), 3'000, 1'000);
  LogOptions options;
  const auto files = std::make_shared<FakeFiles>();
  options.files = files;
  ASSERT_EQ(FileLayer().boot_id(&files->boot), 0);
  const auto other = Log::open(directory_.path(), options);
  const auto theirs = other->open_partition(test_options(0, 8192));
  int opened = 0;
  files->set_fail([&](const std::string& call, int) {
    if (call == "open" && ++opened == 2) partition().delete_records(2'000);
    return 0;
  });
  theirs->last_stable_offset();
  ASSERT_EQ(partition().ends().log_start_offset, 2'000);
  ASSERT_EQ(theirs->open_transactions().size(), 1u);
  EXPECT_FALSE(theirs->open_transactions()[0].is_doubtful);
  EXPECT_EQ(theirs->last_stable_offset(), 2'000);
}

TEST_F(LogTransactionsDeletionTest, RandomDeletionsLeaveOpenWhatAModelSays) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto pick = [&](int64_t below) { return static_cast<int64_t>(random() % below); };
    const TemporaryDirectory directory(Medium::kMemory);
    std::vector<std::shared_ptr<Log>> logs;
    std::vector<std::shared_ptr<Partition>> handles;
    for (int i = 0; i < 3; ++i) {
      logs.push_back(Log::open(directory.path()));
      handles.push_back(logs.back()->open_partition(test_options(0, 8192)));
    }
    struct Entry {
      int64_t begin, end, transaction;
    };
    std::vector<Entry> undecided;
    int64_t log_start = 0;
    int64_t log_end = 0;
    for (int step = 0; step < 150; ++step) {
      Partition& one = *handles[static_cast<size_t>(pick(3))];
      const int64_t what = pick(10);
      const int64_t id = 1 + pick(6) + step / 30 * 10;
      if (what < 2) {
        append_values(one, log_end, 300);
        log_end += 300;
      } else if (what < 6) {
        const int64_t count = 1 + pick(400);
        append_in(one, id, log_end, count);
        undecided.push_back({log_end, log_end + count, id});
        log_end += count;
      } else if (what < 8) {
        const bool is_open = std::any_of(
            undecided.begin(), undecided.end(),
            [&](const Entry& entry) { return entry.transaction == id && entry.end > log_start; });
        ASSERT_EQ(one.end_transaction(commit(id), Acks::kPublished).has_value(), is_open) << step;
        if (is_open) {
          ++log_end;
          std::erase_if(undecided, [&](const Entry& entry) { return entry.transaction == id; });
        }
      } else if (what < 9) {
        log_start += pick((log_end - log_start) / 2 + 1);
        one.delete_records(log_start);
      }
      std::erase_if(undecided, [&](const Entry& entry) { return entry.end <= log_start; });
      const int64_t stable =
          undecided.empty() ? log_end : std::max(log_start, undecided.front().begin);
      for (const auto& each : handles) {
        if (pick(2) == 0) continue;  // who looks seldom comes to the same
        const int64_t found = each->last_stable_offset();
        // Who knew the deleted records of a transaction stops at the log start.
        ASSERT_TRUE(found == stable || (found == log_start && found < stable && !undecided.empty()))
            << found << ", not " << stable << ", at step " << step;
      }
    }
  }
}

}  // namespace
}  // namespace pystream::storage
