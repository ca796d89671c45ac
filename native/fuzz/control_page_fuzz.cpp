// Arbitrary bytes as the control page of a partition that has records: it is opened read-only and
// verified, which reads all that the page promises. Nothing may be read outside the files, and no
// record may be delivered that was not appended, whatever the page says.
//
// Random bytes never pass the checks of the identity, a slot or the lease, so these are put right
// when the input asks for it: what lies behind them must hold on its own.

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/crc32c.hpp"
#include "base/error.hpp"
#include "columns/builder.hpp"
#include "storage/control_page.hpp"
#include "storage/verify.hpp"

namespace {

using namespace pystream;
using namespace pystream::storage;

constexpr int64_t kRecords = 60;

PartitionOptions options() {
  PartitionOptions options;
  options.topic = "fuzz";
  options.segment_bytes = 16 << 10;
  options.schema_id = 1;
  options.schema =
      std::make_shared<const Schema>(Schema{{Field{"value", DataType::of(TypeId::kInt64), false}}});
  return options;
}

// A log of a few records in two segments, closed; removed at exit.
class Fixture {
 public:
  Fixture() {
    std::string pattern = std::filesystem::temp_directory_path() / "pystream-fuzz-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    directory_ = pattern;
    const auto log = Log::open(directory_);
    const auto partition = log->open_partition(options());
    for (int64_t first = 0; first < kRecords; first += 10) {
      FixedBuilder<int64_t> values(DataType::of(TypeId::kInt64));
      for (int64_t i = first; i < first + 10; ++i) values.append(i);
      EncodeOptions encode;
      encode.schema_id = 1;
      EncodedBatch batch =
          encode_batch({options().schema, 10, {values.finish()}}, {}, nullptr, encode);
      partition->append(&batch, Acks::kPublished);
    }
    log->close();
    control_ =
        File::open(std::make_shared<FileLayer>(),
                   directory_ + "/topics/00000000000000000000000000000000/0/control", O_RDWR);
    page_.resize(kControlPageBytes);
    control_.read(page_, 0);
  }
  ~Fixture() {
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  const std::string& directory() const { return directory_; }
  const File& control() const { return control_; }
  const std::vector<uint8_t>& page() const { return page_; }

 private:
  std::string directory_;
  File control_;
  std::vector<uint8_t> page_;
};

Fixture& fixture() {
  static Fixture made;
  return made;
}

// Publishes what stands in the selected slot, so that its check is right.
void put_slot_right(std::vector<uint8_t>* page) {
  PublishedState state;
  uint64_t words[8];
  const uint64_t version = (*page)[1024] & 1;
  std::memcpy(words, page->data() + 1088 + 64 * version, sizeof(words));
  state.segment_base_offset = static_cast<int64_t>(words[0]);
  state.end_position = static_cast<int64_t>(words[1]);
  state.log_end_offset = static_cast<int64_t>(words[2]);
  state.data_end_offset = static_cast<int64_t>(words[3]);
  state.last_batch_position = static_cast<int64_t>(words[4]);
  state.last_append_sequence = words[5];
  state.last_header_crc = static_cast<uint32_t>(words[6]);
  state.must_roll = (words[6] >> 32 & 1) != 0;
  fixture().control().write(std::span<const uint8_t>(*page), 0);
  ControlPage mapped(fixture().control(), true);
  mapped.publish(state);
  fixture().control().read(*page, 0);
}

void put_identity_right(std::vector<uint8_t>* page) {
  ControlIdentity identity;
  std::memcpy(&identity, fixture().page().data(), sizeof(identity));
  std::memcpy(page->data(), &identity, sizeof(identity));
}

// Gives what a program that believes the page would read.
void open_and_read() {
  try {
    PartitionVerifier verifier(fixture().directory(), "fuzz", TopicId{}, 0);
    while (verifier.step(1 << 20)) {
    }
    const int64_t seen = verifier.summary().records;
    if (seen > kRecords) __builtin_trap();
  } catch (const Error& error) {
    const bool is_expected = error.code() == ErrorCode::kCorruptRecord ||
                             error.code() == ErrorCode::kLog ||
                             error.code() == ErrorCode::kOffsetOutOfRange;
    if (!is_expected) throw;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  if (size < 2) return 0;
  // The first byte says what is put right; the rest is laid over the sound page, from a place that
  // the second byte chooses, so that short inputs reach everything.
  const uint8_t mode = input[0];
  const size_t at = input[1] * size_t{16};
  std::vector<uint8_t> page = fixture().page();
  std::memcpy(page.data() + at, input + 2, std::min(size - 2, page.size() - at));
  if ((mode & 1) != 0) put_identity_right(&page);
  if ((mode & 2) != 0) put_slot_right(&page);
  fixture().control().write(std::span<const uint8_t>(page), 0);
  open_and_read();
  return 0;
}
