// Random lives of a compacted partition, compared with a model record by record.

#include <random>

#include "log_compaction_testing.hpp"
#include "torture.hpp"

namespace pystream::storage {
namespace {

struct Model {
  struct Entry : Row {
    int64_t transaction = -1;
    bool is_committed = true;
    int64_t first_compacted_us = -1;
  };
  std::vector<Entry> entries;  // without markers

  // As compaction is said to work, record by record.
  void compact(int64_t horizon, int64_t now_us, int64_t delete_retention_us) {
    std::map<std::string, int64_t> last;
    for (const Entry& entry : entries) {
      if (entry.offset < horizon && entry.is_committed && entry.key)
        last[*entry.key] = entry.offset;
    }
    std::erase_if(entries, [&](const Entry& entry) {
      if (entry.offset >= horizon) return false;
      const bool is_old =
          entry.first_compacted_us >= 0 && now_us - entry.first_compacted_us >= delete_retention_us;
      return !entry.is_committed || (entry.key && last[*entry.key] > entry.offset) ||
             (!entry.value && entry.key && is_old);
    });
    for (Entry& entry : entries) {
      if (entry.offset < horizon && entry.first_compacted_us < 0) entry.first_compacted_us = now_us;
    }
  }

  std::vector<Row> committed() const {
    std::vector<Row> rows;
    for (const Entry& entry : entries) {
      if (entry.is_committed) rows.push_back(entry);
    }
    return rows;
  }
};

// A random life, compared with the model after each compaction.
class Life : public LogCompactionTest {
 protected:
  void TestBody() override {}

 public:
  void live(uint64_t seed) {
    SetUp();
    random_.seed(seed);
    codec_ = seed % 2 == 0 ? Codec::kLz4 : Codec::kNone;
    uint8_t boot = 10;
    LogOptions options = after_boot(boot);
    open(options);
    for (int step = 0; step < 120 && !::testing::Test::HasFailure(); ++step) {
      const uint64_t choice = random_() % 100;
      if (choice < 45) append_some(-1);
      if (choice >= 45 && choice < 60) append_some(transactions_ * 100);
      if (choice >= 60 && choice < 70) end_open(random_() % 2 == 0);
      if (choice >= 70 && choice < 85) seal();
      if (choice >= 85 && choice < 95) compact();
      if (choice >= 95) {
        partition_->sync();
        open(random_() % 2 == 0 ? options : after_boot(++boot));
      }
    }
    end_open(true);
    seal();
    append_some(-1);
    compact();
    expect_clean(directory_.path(), log_files());
  }

 private:
  std::shared_ptr<FileLayer> log_files() { return nullptr; }

  void append_some(int64_t transaction) {
    std::vector<Row> rows;
    const auto count = static_cast<int64_t>(1 + random_() % 6);
    for (int64_t i = 0; i < count; ++i) {
      Row row{end() + i, "key " + std::to_string(random_() % 12),
              static_cast<int64_t>(random_() % 1000)};
      if (random_() % 5 == 0) row.value.reset();
      if (random_() % 15 == 0) row.key.reset();
      rows.push_back(row);
      Model::Entry entry;
      static_cast<Row&>(entry) = row;
      entry.transaction = transaction;
      entry.is_committed = transaction < 0;
      model_.entries.push_back(entry);
    }
    append(rows, transaction);
    has_open_ = has_open_ || transaction >= 0;
  }

  void end_open(bool is_commit) {
    if (!has_open_) return;
    const int64_t id = transactions_ * 100;
    partition_->end_transaction({id, kProducer, 1, is_commit}, Acks::kPublished);
    for (Model::Entry& entry : model_.entries) {
      if (entry.transaction == id) entry.is_committed = is_commit;
    }
    has_open_ = false;
    ++transactions_;
  }

  void compact() {
    now_us_ += static_cast<int64_t>(random_() % 100);
    int64_t horizon = 0;
    for (const SegmentFacts& facts : partition_->segment_facts()) {
      if (facts.is_active || facts.end_offset > partition_->last_stable_offset()) break;
      horizon = facts.end_offset;
    }
    CompactionOptions options = at(now_us_, 150);
    if (random_() % 3 == 0) options.most_key_bytes = 1;
    const auto behind = committed_reader(*partition_, 0);
    behind->next();
    partition_->compact(options);
    model_.compact(horizon, now_us_, 150);
    const int64_t stable = partition_->last_stable_offset();
    std::vector<Row> wanted = model_.committed();
    std::erase_if(wanted, [&](const Row& row) { return row.offset >= stable; });
    EXPECT_EQ(read_from(*partition_, 0), wanted);
    const auto from = static_cast<int64_t>(random_() % static_cast<uint64_t>(stable + 1));
    std::vector<Row> rest = wanted;
    std::erase_if(rest, [&](const Row& row) { return row.offset < from; });
    EXPECT_EQ(read_from(*partition_, from), rest) << "from " << from;
    read_on(*behind);
    EXPECT_EQ(behind->position() >= stable || behind->undecided().has_value(), true);
  }

  std::mt19937_64 random_;
  Model model_;
  int64_t transactions_ = 1;
  bool has_open_ = false;
  int64_t now_us_ = 1'000;
};

TEST(LogCompactionModelTest, ARandomLifeIsWhatTheModelSays) {
  for (Torture torture(60); torture.goes_on(); torture.count()) {
    const uint64_t seed = torture.next_seed();
    SCOPED_TRACE("seed " + std::to_string(seed));
    Life().live(seed);
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace pystream::storage
