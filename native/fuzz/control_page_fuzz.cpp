// Arbitrary bytes as the control page of a partition that has records: it is opened read-only and
// verified, which reads all that the page promises. Nothing may be read outside the files, and no
// record may be delivered that was not appended, whatever the page says.
//
// Random bytes never pass the checks of the identity, a slot or the lease, so these are put right
// when the input asks for it: what lies behind them must hold on its own.
//
// Every page is read; the log is opened when the page says what none before it did, and now and
// then anyway, should there be something that `what_it_says` does not know of. Most pages are
// damaged alike, and opening costs a hundred times as much as reading.

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>

#include "base/crc32c.hpp"
#include "base/error.hpp"
#include "columns/builder.hpp"
#include "remembered_files.hpp"
#include "storage/control_page.hpp"
#include "storage/verify.hpp"

namespace {

using namespace pystream;
using namespace pystream::storage;

constexpr int64_t kRecords = 60;
constexpr size_t kWordsBegin = 1216;
constexpr size_t kWordsEnd = 1616;
constexpr uint64_t kOpenedAnyway = 1024;  // one page of so many
constexpr size_t kKnown = size_t{1} << 24;

PartitionOptions options() {
  PartitionOptions options;
  options.topic = "fuzz";
  options.segment_bytes = 16 << 10;
  options.schema_id = 1;
  options.schema =
      std::make_shared<const Schema>(Schema{{Field{"value", DataType::of(TypeId::kInt64), false}}});
  return options;
}

// What a batch of ten belongs to, by its number: to nobody, to a producer with a name, or to one of
// three transactions. The first is committed, the second aborted, the third stays open.
EncodeOptions belongings(int64_t number) {
  EncodeOptions encode;
  encode.schema_id = 1;
  if (number % 2 == 0 && number != 4) return encode;
  encode.producer_id = number == 4 ? 4712 : 4711;
  encode.producer_epoch = 0;
  encode.base_sequence = 0;
  if (number == 4) return encode;
  encode.flags = kFlagTransactional;
  encode.transaction_id = number / 2;
  return encode;
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
      const EncodeOptions encode = belongings(first / 10);
      EncodedBatch batch =
          encode_batch({options().schema, 10, {values.finish()}}, {}, nullptr, encode);
      partition->append(&batch, Acks::kPublished);
      const int64_t transaction = encode.transaction_id;
      if (transaction != 0 && transaction != 1) continue;
      const TransactionMarker marker{transaction, encode.producer_id, 1, transaction == 0};
      if (!partition->end_transaction(marker, Acks::kPublished)) std::abort();
    }
    log->close();
    const std::string path = directory_ + "/topics/00000000000000000000000000000000/0/control";
    const File control = File::open(std::make_shared<FileLayer>(), path, O_RDWR);
    page_.resize(kControlPageBytes);
    control.read(page_, 0);
    mapped_ = ControlPage(control, true);
    bytes_ = Mapping(control, kControlPageBytes, true);
    files_ = std::make_shared<RememberedFiles>(path);
  }
  ~Fixture() {
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  const std::string& directory() const { return directory_; }
  const std::shared_ptr<RememberedFiles>& files() const { return files_; }
  // The file as it is, in two ways.
  std::span<uint8_t> bytes() const { return {bytes_.data(), bytes_.length()}; }
  ControlPage& mapped() { return mapped_; }
  const std::vector<uint8_t>& page() const { return page_; }  // as it was

 private:
  std::string directory_;
  std::shared_ptr<RememberedFiles> files_;
  Mapping bytes_;
  ControlPage mapped_;
  std::vector<uint8_t> page_;
};

Fixture& fixture() {
  static Fixture made;
  return made;
}

// Publishes what stands in the selected slot, so that its check is right.
void put_slot_right(std::span<uint8_t> page) {
  PublishedState state;
  uint64_t words[8];
  const uint64_t version = page[1024] & 1;
  std::memcpy(words, page.data() + 1088 + 64 * version, sizeof(words));
  state.segment_base_offset = static_cast<int64_t>(words[0]);
  state.end_position = static_cast<int64_t>(words[1]);
  state.log_end_offset = static_cast<int64_t>(words[2]);
  state.data_end_offset = static_cast<int64_t>(words[3]);
  state.last_batch_position = static_cast<int64_t>(words[4]);
  state.last_append_sequence = words[5];
  state.last_header_crc = static_cast<uint32_t>(words[6]);
  state.must_roll = (words[6] >> 32 & 1) != 0;
  fixture().mapped().publish(state);
}

void put_identity_right(std::span<uint8_t> page) {
  std::memcpy(page.data(), fixture().page().data(), sizeof(ControlIdentity));
}

// Of a record that begins with a magic number and the checksum of all that follows.
template <typename Record>
void put_record_right(uint8_t* at, uint32_t magic) {
  Record record;
  std::memcpy(&record, at, sizeof(record));
  record.magic = magic;
  record.crc = crc32c(0, reinterpret_cast<const uint8_t*>(&record) + 8, sizeof(record) - 8);
  std::memcpy(at, &record, sizeof(record));
}

// Gives what a program that believes the page would read.
void open_and_read() {
  try {
    PartitionVerifier verifier(fixture().directory(), "fuzz", TopicId{}, 0, fixture().files());
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

template <typename Value>
void add(const Value& value, std::string* out) {
  static_assert(std::has_unique_object_representations_v<Value>);
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

// All that a program takes from the page; pages of which this is equal are the same to it.
std::string what_it_says(const ControlPage& page, std::span<const uint8_t> bytes) {
  std::string said;
  const auto identity = page.identity();
  said += identity ? 'I' : '-';
  if (identity) add(*identity, &said);
  const auto lease = page.lease();
  said += lease ? 'L' : '-';
  if (lease) add(*lease, &said);
  for (const auto& offset :
       {page.checked_log_start(), page.stored_log_start(), page.checked_stable()}) {
    said += offset ? 'O' : '-';
    if (offset) add(*offset, &said);
  }
  const auto published = page.try_read();
  said += published ? 'P' : '-';
  if (published) {
    add(published->segment_base_offset, &said);
    add(published->end_position, &said);
    add(published->log_end_offset, &said);
    add(published->data_end_offset, &said);
    add(published->last_batch_position, &said);
    add(published->last_append_sequence, &said);
    add(published->last_header_crc, &said);
    add(published->incarnation, &said);
    add(published->must_roll, &said);
  }
  // The words that stand behind the slots are believed together or not at all.
  said += page.is_consistent() ? 'C' : '-';
  if (page.is_consistent()) {
    said.append(reinterpret_cast<const char*>(bytes.data()) + kWordsBegin, kWordsEnd - kWordsBegin);
  }
  return said;
}

// Remembers the last page of each kind. One that was forgotten is opened again, which does no harm.
// Zeroed memory is not there before it is used, and a known page does not look like a leak, for
// which libFuzzer would run it again.
bool is_to_be_opened(std::span<const uint8_t> bytes) {
  static auto* const known = static_cast<size_t*>(std::calloc(kKnown, sizeof(size_t)));
  static uint64_t executions = 0;
  const size_t said = std::hash<std::string>{}(what_it_says(fixture().mapped(), bytes));
  const bool is_new = std::exchange(known[said % kKnown], said) != said;
  return ++executions % kOpenedAnyway == 0 || is_new;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  if (size < 2) return 0;
  // The first byte says what is put right; the rest is laid over the sound page, from a place that
  // the second byte chooses, so that short inputs reach everything.
  const uint8_t mode = input[0];
  const size_t at = input[1] * size_t{16};
  const std::span<uint8_t> page = fixture().bytes();
  std::memcpy(page.data(), fixture().page().data(), page.size());
  std::memcpy(page.data() + at, input + 2, std::min(size - 2, page.size() - at));
  if ((mode & 1) != 0) put_identity_right(page);
  if ((mode & 4) != 0) put_record_right<LeaseRecord>(page.data() + kLeaseSector, kLeaseMagic);
  if ((mode & 8) != 0) put_record_right<StartRecord>(page.data() + kStartRecord, kStartMagic);
  if ((mode & 2) != 0) put_slot_right(page);
  if (is_to_be_opened(page)) open_and_read();
  return 0;
}
