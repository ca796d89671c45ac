// Files of another format, older or newer: refused by name, and left as they are. A wrong version
// under a wrong checksum is damage.

#include <cstring>
#include <set>

#include "log_crash_testing.hpp"
#include "storage/control_page.hpp"
#include "storage/format_version.hpp"
#include "storage/header_crc.hpp"
#include "storage/order_file.hpp"
#include "storage/repair.hpp"
#include "storage/segment_header.hpp"
#include "storage/verify.hpp"

namespace pystream::storage {
namespace {

constexpr uint16_t kOlder = kOldestFormatVersion - 1;
constexpr uint16_t kNewer = kFormatVersion + 1;

template <typename Value>
Value value_at(const std::string& bytes, int64_t position) {
  Value value;
  std::memcpy(&value, bytes.data() + position, sizeof(value));
  return value;
}

template <typename Value>
void put(std::string* bytes, size_t position, Value value) {
  std::memcpy(bytes->data() + position, &value, sizeof(value));
}

const uint8_t* at(const std::string& bytes, size_t position = 0) {
  return reinterpret_cast<const uint8_t*>(bytes.data()) + position;
}

// A log of one partition with three batches of ten, whose writer was killed.
class LogFormatVersionTest : public ::testing::TestWithParam<uint16_t> {
 protected:
  LogFormatVersionTest() {
    EXPECT_TRUE(run_and_die([&] {
      const auto log = Log::open(directory_.path(), boot(1));
      leak(log);
      const auto partition = log->open_partition(test_options());
      for (int64_t first = 0; first < 30; first += 10) append_values(*partition, first, 10);
      partition->sync();
    }));
  }

  static LogOptions boot(uint8_t number) {
    LogOptions options;
    const auto files = std::make_shared<FakeFiles>();
    files->boot = {number};
    options.files = files;
    return options;
  }
  std::string order() const { return directory_ / "order"; }
  std::string control() const { return partition_directory(directory_.path()) + "/control"; }
  std::string segment() const { return segment_file(directory_.path(), 0); }

  // Gives a file a field of another value, and the checksum of its header with it.
  void falsify_page(const std::string& path, size_t length) {
    std::string bytes = read_bytes(path);
    put(&bytes, 8, GetParam());
    put(&bytes, 4, crc32c(0, at(bytes, 8), length - 8));
    write_bytes(path, 0, bytes);
  }
  template <typename Value>
  void falsify_segment(size_t position, Value value) {
    std::string bytes = read_bytes(segment());
    put(&bytes, position, value);
    const auto length = value_at<uint32_t>(bytes, offsetof(SegmentHeader, schema_length));
    const std::span<const uint8_t> head(at(bytes), static_cast<size_t>(kSegmentHeaderBytes));
    put(&bytes, 4, segment_head_crc(head, {at(bytes, kSegmentHeaderBytes), length}));
    write_bytes(segment(), 0, bytes);
  }
  void falsify_batch(int64_t position) {
    std::string bytes = read_bytes(segment());
    const auto salt = value_at<uint64_t>(bytes, offsetof(SegmentHeader, salt));
    const auto header = value_at<BatchHeader>(bytes, position);
    const auto begin = static_cast<size_t>(position);
    put(&bytes, begin + offsetof(BatchHeader, version), static_cast<uint8_t>(GetParam()));
    put(&bytes, begin + 4, header_crc(at(bytes, begin), header.header_length, salt, position));
    write_bytes(segment(), 0, bytes);
  }
  int64_t position_of(int64_t offset) {
    const auto log = Log::open(directory_.path(), boot(1));
    const auto partition = log->open_partition(test_options());
    return partition->reader(offset)->next()->place().file_position;
  }

  // Every file of the partition, and the order file.
  std::map<std::string, std::string> contents() const {
    std::map<std::string, std::string> result;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_.path())) {
      if (entry.is_regular_file()) result[entry.path()] = read_bytes(entry.path());
    }
    return result;
  }

  std::string refusal(const std::string& what) const {
    return what + " has format version " + std::to_string(GetParam()) +
           ", but this pystream reads version 1. Use the pystream that wrote it" +
           (GetParam() > kFormatVersion ? ", or a newer one." : ".");
  }

  // Whoever comes to the segment, in this boot or after another, meets the refusal, and the file
  // stays what it is.
  void expect_segment_refused(const std::string& message) {
    const auto before = contents();
    for (const uint8_t number : {uint8_t{1}, uint8_t{2}}) {
      for (const bool read_only : {true, false}) {
        expect_error(ErrorCode::kLog, message, [&] {
          LogOptions options = boot(number);
          options.read_only = read_only;
          const auto log = Log::open(directory_.path(), options);
          const auto partition = log->open_partition(test_options());
          const auto reader = partition->reader(0);
          reader->set_on_corruption(OnCorruption::kSkip);
          while (reader->next()) {
          }
        });
      }
      expect_error(ErrorCode::kLog, message, [&] {
        PartitionVerifier verifier(directory_.path(), "orders", test_options().topic_id, 0,
                                   boot(number).files);
        while (verifier.step(1 << 20)) {
        }
      });
    }
    const std::string quarantine = directory_ / "quarantine";
    std::filesystem::create_directory(quarantine);
    {
      LogRepair repair(directory_.path(), quarantine, boot(2).files);
      expect_error(ErrorCode::kLog, message,
                   [&] { repair.repair_partition("orders", test_options().topic_id, 0); });
    }
    std::set<std::string> names;
    for (const auto& [path, bytes] : contents()) {
      if (path != order()) {
        EXPECT_EQ(before.at(path), bytes) << path;
      }
      names.insert(path);
    }
    EXPECT_EQ(names.size(), before.size());
  }

  TemporaryDirectory directory_;
};

TEST_P(LogFormatVersionTest, OfTheOrderFileIsRefused) {
  falsify_page(order(), sizeof(OrderHeader));
  const auto before = contents();
  const std::string message = refusal("the log's file " + order());
  expect_error(ErrorCode::kLog, message, [&] { Log::open(directory_.path(), boot(1)); });
  expect_error(ErrorCode::kLog, message, [&] { Log::open(directory_.path(), boot(2)); });
  expect_error(ErrorCode::kLog, message, [&] { verify_order(directory_.path(), boot(1).files); });
  EXPECT_EQ(contents(), before);
}

TEST_P(LogFormatVersionTest, OfTheOrderFileUnderAWrongChecksumIsDamage) {
  write_bytes(order(), 8, std::string(1, static_cast<char>(GetParam())));
  expect_error(ErrorCode::kLog, "is damaged", [&] { Log::open(directory_.path(), boot(1)); });
  EXPECT_EQ(verify_order(directory_.path(), boot(1).files).findings.at(0).kind, "order-damaged");
}

TEST_P(LogFormatVersionTest, OfTheControlPageIsRefused) {
  falsify_page(control(), sizeof(ControlIdentity));
  const std::string before = read_bytes(control());
  const std::string message = refusal("the control page " + control() + " of orders-0");
  for (const uint8_t number : {uint8_t{1}, uint8_t{2}}) {
    const auto log = Log::open(directory_.path(), boot(number));
    expect_error(ErrorCode::kLog, message, [&] { log->open_partition(test_options()); });
  }
  expect_error(ErrorCode::kLog, "has format version", [&] {
    PartitionVerifier(directory_.path(), "orders", test_options().topic_id, 0, boot(1).files);
  });
  EXPECT_EQ(read_bytes(control()), before);
}

TEST_P(LogFormatVersionTest, OfTheControlPageUnderAWrongChecksumIsDamageThatIsRebuilt) {
  write_bytes(control(), 8, std::string(1, static_cast<char>(GetParam())));
  const auto log = Log::open(directory_.path(), boot(1));
  EXPECT_EQ(read_values(*log->open_partition(test_options())), iota(0, 30));
}

TEST_P(LogFormatVersionTest, OfASegmentIsRefusedAndTheFileStays) {
  falsify_segment(offsetof(SegmentHeader, version), GetParam());
  expect_segment_refused(refusal("the segment " + segment()));
}

TEST_P(LogFormatVersionTest, OfASegmentUnderAWrongChecksumIsDamage) {
  write_bytes(segment(), 8, std::string(1, static_cast<char>(GetParam())));
  const auto log = Log::open(directory_.path(), boot(1));
  const auto reader = log->open_partition(test_options())->reader(0);
  expect_error(ErrorCode::kCorruptRecord, "the checksum of its header is wrong",
               [&] { reader->next(); });
}

TEST_P(LogFormatVersionTest, OfABatchIsRefusedAndTheFileStays) {
  const int64_t position = position_of(10);
  falsify_batch(position);
  expect_segment_refused(
      refusal("the record batch at byte " + std::to_string(position) + " of " + segment()));
}

TEST_P(LogFormatVersionTest, OfABatchUnderAWrongChecksumIsDamage) {
  const int64_t position = position_of(10) + static_cast<int64_t>(offsetof(BatchHeader, version));
  write_bytes(segment(), position, std::string(1, static_cast<char>(GetParam())));
  const auto log = Log::open(directory_.path(), boot(2));
  const auto partition = log->open_partition(test_options());
  EXPECT_EQ(partition->recovery().corrupt_records, 10);
  const auto reader = partition->reader(10);
  expect_error(ErrorCode::kCorruptRecord, "from offset 10 up to 20", [&] { reader->next(); });
}

INSTANTIATE_TEST_SUITE_P(OlderAndNewer, LogFormatVersionTest, ::testing::Values(kOlder, kNewer),
                         [](const auto& info) {
                           return info.param < kFormatVersion ? "Older" : "Newer";
                         });

using LogFeaturesTest = LogFormatVersionTest;
INSTANTIATE_TEST_SUITE_P(Written, LogFeaturesTest, ::testing::Values(kFormatVersion));

TEST_P(LogFeaturesTest, OfASegmentThatAreNotKnownAreRefusedAndTheFileStays) {
  falsify_segment(offsetof(SegmentHeader, incompatible_features), uint32_t{1} << 31);
  expect_segment_refused("the segment " + segment() + " uses features that this pystream does not");
}

TEST_P(LogFeaturesTest, ASchemaOfAnotherFormatIsRefusedAndTheFileStays) {
  falsify_segment(static_cast<size_t>(kSegmentHeaderBytes) + 4, uint16_t{2});
  expect_segment_refused("the segment " + segment() +
                         " has a schema that cannot be read: the schema has format version 2");
}

}  // namespace
}  // namespace pystream::storage
