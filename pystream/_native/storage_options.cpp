#include "storage_options.hpp"

#include <cstring>
#include <string_view>

#include "base/error.hpp"

namespace pystream::python {

namespace {

[[noreturn]] void throw_setting(const std::string& name, const std::string& got,
                                const std::string& accepted) {
  throw Error(ErrorCode::kConfig, name + " is '" + got + "'. Use " + accepted + ".",
              {{"setting", name}, {"got", got}});
}

}  // namespace

storage::Acks parse_acks(const std::string& text) {
  if (text == "published") return storage::Acks::kPublished;
  if (text == "interval") return storage::Acks::kInterval;
  if (text == "durable") return storage::Acks::kDurable;
  throw_setting("acks", text, "'published', 'interval' or 'durable'");
}

storage::Codec parse_codec(const std::string& text) {
  if (text == "none") return storage::Codec::kNone;
  if (text == "lz4") return storage::Codec::kLz4;
  throw_setting("codec", text, "'none' or 'lz4'");
}

storage::OnCorruption parse_on_corruption(const std::string& text) {
  if (text == "raise") return storage::OnCorruption::kRaise;
  if (text == "skip") return storage::OnCorruption::kSkip;
  throw_setting("on_corruption", text, "'raise' or 'skip'");
}

storage::Isolation parse_isolation(const std::string& text) {
  if (text == "everything") return storage::Isolation::kEverything;
  if (text == "read_committed") return storage::Isolation::kReadCommitted;
  if (text == "read_uncommitted") return storage::Isolation::kReadUncommitted;
  throw_setting("isolation_level", text, "'read_committed' or 'read_uncommitted'");
}

storage::TopicId parse_topic_id(const py::bytes& bytes) {
  const std::string_view given = bytes;
  storage::TopicId id;
  if (given.size() != sizeof(id.bytes)) {
    throw_setting("topic_id", std::to_string(given.size()) + " bytes", "16 bytes");
  }
  std::memcpy(id.bytes, given.data(), sizeof(id.bytes));
  return id;
}

storage::EncodeOptions encode_options(const std::string& codec, bool dictionary) {
  storage::EncodeOptions options;
  options.codec = parse_codec(codec);
  options.dictionary =
      dictionary ? storage::DictionaryPolicy::kAuto : storage::DictionaryPolicy::kNever;
  return options;
}

storage::Timestamps timestamps_of(const TimestampsArgument& given,
                                  const std::optional<Array>& headers, const RecordBatch& batch) {
  storage::Timestamps timestamps;
  if (const auto* constant = std::get_if<int64_t>(&given)) {
    timestamps.constant_us = *constant;
  } else {
    timestamps.per_record = std::get<Array>(given);
  }
  const bool fits = (!timestamps.per_record || timestamps.per_record->length == batch.num_rows) &&
                    (!headers || headers->length == batch.num_rows);
  if (!fits) {
    throw Error(ErrorCode::kSchema, "timestamps and headers need one value for each of " +
                                        std::to_string(batch.num_rows) + " records.");
  }
  return timestamps;
}

}  // namespace pystream::python
