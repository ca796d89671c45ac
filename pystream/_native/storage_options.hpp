#pragma once
// Settings of the log as Python spells them. Each throws kConfig naming what is accepted.

#include <optional>
#include <string>
#include <variant>

#include "bindings.hpp"
#include "storage/batch_encoder.hpp"
#include "storage/log.hpp"

namespace pystream::python {

storage::Acks parse_acks(const std::string& text);
storage::Codec parse_codec(const std::string& text);
storage::OnCorruption parse_on_corruption(const std::string& text);
storage::Isolation parse_isolation(const std::string& text);
storage::TopicId parse_topic_id(const py::bytes& bytes);

// How batches are stored; key columns and schema id are left at their defaults.
storage::EncodeOptions encode_options(const std::string& codec, bool dictionary);

// Record timestamps: microseconds for all records, or a column of them.
using TimestampsArgument = std::variant<int64_t, Array>;

// Throws kSchema when timestamps or headers have another length than `batch`.
storage::Timestamps timestamps_of(const TimestampsArgument& given,
                                  const std::optional<Array>& headers, const RecordBatch& batch);

}  // namespace pystream::python
