// Transactions in a partition: what readers of each level are given, where they stop, markers that
// are written once whoever writes them, and how far all is decided.

#include <barrier>
#include <random>
#include <set>

#include "storage/partition_state.hpp"
#include "storage/topic_writer.hpp"
#include "storage/verify.hpp"
#include "transaction_testing.hpp"

namespace pystream::storage {
namespace {

TEST_F(LogTransactionsTest, CommittedRecordsAreGivenAndAbortedOnesLeftOut) {
  append_in(partition(), 1, 10);
  append_in(partition(), 2, 20);
  append_values(partition(), 30);
  append_in(partition(), 1, 11);
  EXPECT_EQ(partition().end_transaction(abort(2), Acks::kPublished), 4);
  EXPECT_EQ(partition().end_transaction(commit(1), Acks::kPublished), 5);
  EXPECT_EQ(committed(partition()), (Values{10, 30, 11}));
  EXPECT_EQ(rest_of(*reader_of(partition(), Isolation::kReadUncommitted)),
            (Values{10, 20, 30, 11}));
}

TEST_F(LogTransactionsTest, AReaderStopsAtTheFirstUndecidedBatchAndGoesOnWhenItIsDecided) {
  append_values(partition(), 1);
  append_in(partition(), 7, 2);
  append_values(partition(), 3);
  const auto reader = reader_of(partition(), Isolation::kReadCommitted);
  EXPECT_EQ(rest_of(*reader), Values{1});
  ASSERT_TRUE(reader->undecided());
  EXPECT_EQ(reader->undecided()->transaction_id, 7);
  EXPECT_EQ(reader->undecided()->offset, 1);
  EXPECT_EQ(reader->undecided()->end_offset, 3);
  EXPECT_EQ(reader->position(), 1);
  append_values(partition(), 4);
  EXPECT_EQ(rest_of(*reader), Values{});
  partition().end_transaction(commit(7), Acks::kPublished);
  EXPECT_EQ(rest_of(*reader), (Values{2, 3, 4}));
  EXPECT_FALSE(reader->undecided());
  EXPECT_EQ(reader->position(), 5);  // behind the marker
}

TEST_F(LogTransactionsTest, AMarkerIsWrittenOnceAndOnlyWhereTheTransactionHasRecords) {
  EXPECT_EQ(partition().end_transaction(commit(1), Acks::kPublished), std::nullopt);
  append_in(partition(), 1, 10);
  EXPECT_EQ(partition().end_transaction(commit(1), Acks::kPublished), 1);
  EXPECT_EQ(partition().end_transaction(commit(1), Acks::kPublished), std::nullopt);
  EXPECT_EQ(partition().ends().log_end_offset, 2);
}

TEST_F(LogTransactionsTest, AnyoneWritesTheMarkerAndManyAtOnceWriteOne) {
  constexpr int kThreads = 4;
  constexpr int64_t kRounds = 200;
  std::barrier<> together(kThreads);
  std::atomic<int64_t> written{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      const auto log = Log::open(directory_.path());
      const auto partition = log->open_partition(test_options(0, 8192));
      for (int64_t id = 1; id <= kRounds; ++id) {
        if (i == 0) append_in(*partition, id, id);
        together.arrive_and_wait();
        if (partition->end_transaction(commit(id), Acks::kPublished)) ++written;
        together.arrive_and_wait();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(written, kRounds);
  EXPECT_EQ(committed(partition()), iota(1, kRounds));
}

// Who found it open before he had the lock looks again when he has it.
TEST_F(LogTransactionsTest, WhoComesTooLateForTheLockWritesNoSecondMarker) {
  append_in(partition(), 1, 10);
  partition().end_transaction(commit(1), Acks::kPublished);
  const TransactionMarker late = abort(1);
  EncodedBatch batch = encode_values(0, 1);
  const AppendResult result =
      PartitionVerifier::state_of(partition()).append(&batch, Acks::kPublished, nullptr, &late);
  EXPECT_EQ(result.base_offset, -1);
  EXPECT_EQ(partition().ends().log_end_offset, 2);
}

TEST_F(LogTransactionsTest, TheLastStableOffsetIsThatOfTheFirstOpenTransaction) {
  EXPECT_EQ(partition().last_stable_offset(), 0);
  append_values(partition(), 1);
  EXPECT_EQ(partition().last_stable_offset(), 1);
  append_in(partition(), 1, 2);
  append_in(partition(), 2, 3);
  EXPECT_EQ(partition().last_stable_offset(), 1);
  partition().end_transaction(commit(1), Acks::kPublished);
  EXPECT_EQ(partition().last_stable_offset(), 2);
  ASSERT_EQ(partition().open_transactions().size(), 1u);
  EXPECT_EQ(partition().open_transactions()[0].transaction_id, 2);
  EXPECT_EQ(partition().open_transactions()[0].first_offset, 2);
  partition().end_transaction(abort(2), Acks::kPublished);
  EXPECT_EQ(partition().last_stable_offset(), 5);
  EXPECT_TRUE(partition().open_transactions().empty());
}

TEST_F(LogTransactionsTest, ThePageSaysHowFarAllIsStableWithoutALook) {
  const auto stable = [&] { return control_page().checked_stable(); };
  append_values(partition(), 1, 3);
  EXPECT_EQ(stable(), 3);
  append_in(partition(), 1, 2);
  append_values(partition(), 1, 3);
  EXPECT_EQ(stable(), 3);
  partition().end_transaction(commit(1), Acks::kPublished);
  EXPECT_EQ(stable(), 8);
  append_values(partition(), 1);
  EXPECT_EQ(stable(), 9);
}

TEST_F(LogTransactionsTest, APageThatDoesNotKnowCostsNothingButALook) {
  append_values(partition(), 1);
  append_in(partition(), 1, 2);
  control_page().words().stable_check.store(0);
  EXPECT_EQ(partition().last_stable_offset(), 1);
  partition().end_transaction(commit(1), Acks::kPublished);
  EXPECT_EQ(partition().last_stable_offset(), 3);
}

TEST_F(LogTransactionsTest, OpenTransactionsAreFoundAgainInAnotherProcessAndAfterAPowerLoss) {
  append_in(partition(), 1, 1);
  append_in(partition(), 2, 2);
  partition().end_transaction(commit(1), Acks::kPublished);
  partition().sync();
  log_->close();
  open();
  EXPECT_EQ(partition().last_stable_offset(), 1);
  log_->close();
  LogOptions options;
  auto files = std::make_shared<FakeFiles>();
  files->boot = BootId{9, 9, 9};
  options.files = files;
  log_ = Log::open(directory_.path(), options);
  partition_ = log_->open_partition(test_options(0, 8192));
  ASSERT_EQ(partition().recovery().kind, RecoveryReport::Kind::kRecovered);
  EXPECT_EQ(partition().last_stable_offset(), 1);
  EXPECT_EQ(committed(partition()), Values{1});
  ASSERT_TRUE(partition().end_transaction(abort(2), Acks::kPublished));
  EXPECT_EQ(partition().last_stable_offset(), partition().ends().log_end_offset);
}

TEST_F(LogTransactionsTest, AMarkerThatAFailedSyncTakesAwayIsMissedAgain) {
  log_->close();
  LogOptions options;
  const auto files = std::make_shared<FakeFiles>();
  files->boot = BootId{4, 4, 4};
  options.files = files;
  log_ = Log::open(directory_.path(), options);
  partition_ = log_->open_partition(test_options(0, 8192));
  append_in(partition(), 1, 1);
  partition().sync();
  partition().end_transaction(commit(1), Acks::kPublished);
  files->set_fail([](const std::string& call, int) { return call == "sync_data" ? EIO : 0; });
  EXPECT_THROW(partition().sync(), Error);
  EXPECT_ANY_THROW(log_->close());
  files->set_fail(nullptr);
  log_ = Log::open(directory_.path(), options);
  partition_ = log_->open_partition(test_options(0, 8192));
  EXPECT_EQ(partition().last_stable_offset(), 0);
  ASSERT_EQ(partition().open_transactions().size(), 1u);
  ASSERT_TRUE(partition().end_transaction(commit(1), Acks::kPublished));
  EXPECT_EQ(committed(partition()), Values{1});
}

// Between the walk and the word of the page that says what it found.
TEST_F(LogTransactionsTest, WhatWasStableBeforeACutIsNotStoredBehindIt) {
  append_in(partition(), 1, 0, 5'000);
  append_in(partition(), 1, 5'000, 5'000);  // in a segment of its own
  partition().end_transaction(commit(1), Acks::kPublished);
  control_page().words().durable_offset.store(5'000);
  control_page().forget_stable();
  LogOptions options;
  const auto files = std::make_shared<FakeFiles>();
  options.files = files;
  ASSERT_EQ(FileLayer().boot_id(&files->boot), 0);
  const auto other = Log::open(directory_.path(), options);
  const auto theirs = other->open_partition(test_options(0, 8192));
  std::shared_ptr<Log> next;
  files->set_fail([&](const std::string& call, int) {
    if (call != "open" || next) return 0;
    control_page().words().sync_failed.store(EIO);
    next = Log::open(directory_.path());
    next->open_partition(test_options(0, 8192));
    return 0;
  });
  expect_error(ErrorCode::kStorage, "was opened anew after a failed sync",
               [&] { theirs->last_stable_offset(); });
  ASSERT_TRUE(next);
  partition_ = next->open_partition(test_options(0, 8192));
  EXPECT_EQ(partition().last_stable_offset(), 0);
  EXPECT_TRUE(partition().end_transaction(commit(1), Acks::kPublished));
  EXPECT_EQ(committed(partition()), iota(0, 5'000));
}

// A segment that goes while its neighbour is looked at was deleted, and is no damage.
TEST_F(LogTransactionsTest, AReaderThatBeginsInsideATransactionFindsItsMarker) {
  append_in(partition(), 1, 1);
  append_in(partition(), 1, 2);
  append_in(partition(), 1, 3);
  EXPECT_EQ(committed(partition(), 2), Values{});
  partition().end_transaction(commit(1), Acks::kPublished);
  EXPECT_EQ(committed(partition(), 2), Values{3});
}

// Its marker stands behind all of its records, and so was not among what was damaged.
TEST_F(LogTransactionsTest, ATransactionWithRecordsBehindDamageIsOpenAndIsDecided) {
  append_in(partition(), 1, 1);
  append_values(partition(), 2);
  append_in(partition(), 1, 3);
  damage_second_of_three();
  EXPECT_EQ(partition().last_stable_offset(), 2);
  append_in(partition(), 2, 4);
  partition().end_transaction(commit(2), Acks::kPublished);
  EXPECT_EQ(partition().last_stable_offset(), 2);
  EXPECT_TRUE(partition().end_transaction(commit(1), Acks::kPublished));
  const auto reader = reader_of(partition(), Isolation::kReadCommitted);
  reader->set_on_corruption(OnCorruption::kSkip);
  EXPECT_EQ(rest_of(*reader), (Values{1, 3, 4}));
}

TEST_F(LogTransactionsTest, ADecisionAmongDamagedRecordsIsDamage) {
  append_in(partition(), 1, 1);
  partition().end_transaction(commit(1), Acks::kPublished);
  append_values(partition(), 3);
  damage_second_of_three();
  const auto reader = reader_of(partition(), Isolation::kReadCommitted);
  try {
    reader->next();
    FAIL() << "an undecidable batch was passed over in silence";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCorruptRecord);
    EXPECT_NE(std::string(error.what()).find("transaction 1"), std::string::npos);
  }
  reader->set_on_corruption(OnCorruption::kSkip);
  EXPECT_EQ(rest_of(*reader), Values{3});
  EXPECT_EQ(partition().last_stable_offset(), 3);  // it holds up nobody
}

TEST_F(LogTransactionsTest, AWriterWhoseTransactionWasEndedByAnotherIsFenced) {
  TopicWriterOptions options;
  options.producer = {kProducer, 0, "payments", true};
  options.positions.resize(1);
  TopicWriter writer({partition_}, options);
  const auto append = [&](int64_t value) {
    TopicAppendResult result;
    const RecordBatch batch{test_schema(), 1, {int64_array({value})}};
    writer.append(batch, {}, nullptr, 0, Acks::kPublished, &result);
  };
  writer.set_transaction(1, 5);
  append(10);
  const auto other = Log::open(directory_.path());
  const auto rescuer = other->open_partition(test_options(0, 8192));
  ASSERT_TRUE(rescuer->end_transaction({1, kProducer, 6, false}, Acks::kPublished));
  try {
    append(11);
    FAIL() << "it appended behind the marker of its transaction";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kFenced);
  }
  writer.set_transaction(2, 6);  // the next one
  append(12);
  partition().end_transaction({2, kProducer, 7, true}, Acks::kPublished);
  EXPECT_EQ(committed(partition()), Values{12});
}

TEST_F(LogTransactionsTest, RandomInterleavingsAreReadAsAModelSays) {
  for (unsigned seed = 0; seed < 40; ++seed) {
    std::mt19937 random(seed);
    const auto pick = [&](int below) {
      return static_cast<int>(random() % static_cast<unsigned>(below));
    };
    TemporaryDirectory directory(Medium::kMemory);
    auto log = Log::open(directory.path());
    auto partition = log->open_partition(test_options(0, 8192));
    struct Entry {
      int64_t value, transaction;  // transaction 0: none; value -1: a marker
    };
    std::vector<Entry> model;
    std::set<int64_t> open;
    std::map<int64_t, bool> decided;
    int64_t next_id = 1;
    const auto follower = reader_of(*partition, Isolation::kReadCommitted);
    Values followed;
    for (int step = 0; step < 120; ++step) {
      const int what = pick(10);
      if (what < 3) {
        append_values(*partition, step);
        model.push_back({step, 0});
      } else if (what < 7) {
        int64_t id = next_id;
        if (!open.empty() && pick(3) > 0) {
          id = *std::next(open.begin(), pick(static_cast<int>(open.size())));
        } else {
          ++next_id;
        }
        open.insert(id);
        append_in(*partition, id, step);
        model.push_back({step, id});
      } else if (what < 9 && !open.empty()) {
        const int64_t id = *std::next(open.begin(), pick(static_cast<int>(open.size())));
        decided[id] = pick(2) == 0;
        ASSERT_TRUE(
            partition->end_transaction(decided[id] ? commit(id) : abort(id), Acks::kPublished));
        open.erase(id);
        model.push_back({-1, id});
      } else {
        for (const int64_t value : rest_of(*follower)) followed.push_back(value);
      }
    }
    Values expected;
    int64_t stable = static_cast<int64_t>(model.size());
    for (size_t i = 0; i < model.size(); ++i) {
      if (open.contains(model[i].transaction)) {
        stable = static_cast<int64_t>(i);
        break;
      }
      if (model[i].value < 0) continue;
      if (model[i].transaction == 0 || decided.at(model[i].transaction)) {
        expected.push_back(model[i].value);
      }
    }
    for (const int64_t value : rest_of(*follower)) followed.push_back(value);
    ASSERT_EQ(followed, expected) << "seed " << seed;
    ASSERT_EQ(committed(*partition), expected) << "seed " << seed;
    ASSERT_EQ(partition->last_stable_offset(), stable) << "seed " << seed;
  }
}

// Whoever deletes records and whoever looks: what is open has records from the log start on.
}  // namespace
}  // namespace pystream::storage
