// The schemas of a partition. A topic's schema only ever gets more nullable columns at its end, so
// that of two schemas one extends the other, and the widest one describes all batches.
//
// Segments carry the schema of their time. A batch may be narrower than its segment, when its
// writer knew less, and is never wider.

#include <algorithm>

#include "base/error.hpp"
#include "storage/partition_state.hpp"

namespace pystream::storage {

bool Partition::State::learn_schema(uint32_t id, const SchemaPtr& schema) {
  std::lock_guard guard(options_mutex);
  if (!options.schema) options.schema = schema;  // who only looks at files knows none before
  const bool is_wider = schema->extends(*options.schema);
  if (!is_wider && !options.schema->extends(*schema)) return false;
  if (std::find(schema_ids.begin(), schema_ids.end(), id) == schema_ids.end()) {
    schema_ids.push_back(id);
  }
  if (is_wider && schema->size() > options.schema->size()) {
    options.schema = schema;
    options.schema_id = id;
    schema_changes.fetch_add(1, std::memory_order_release);
  }
  return true;
}

bool Partition::State::is_known_schema(uint32_t id) const {
  std::lock_guard guard(options_mutex);
  return std::find(schema_ids.begin(), schema_ids.end(), id) != schema_ids.end();
}

SchemaPtr Partition::State::reading_schema(uint32_t id, const SchemaPtr& stored) {
  // One that does not belong to the others is none of the topic's; its batches are read as they
  // are.
  return learn_schema(id, stored) ? append_schema().schema : stored;
}

void Partition::set_schema(uint32_t schema_id, SchemaPtr schema) {
  check_schema(state_->place->name(), schema);
  if (state_->learn_schema(schema_id, schema)) return;
  throw Error(ErrorCode::kSchema,
              state_->place->name() + " has the columns (" + options().schema->to_string() +
                  "), so it cannot have (" + schema->to_string() +
                  "). Only nullable columns can be added, at the end.",
              {{"topic", state_->place->topic}, {"partition", int64_t{state_->place->partition}}});
}

}  // namespace pystream::storage
