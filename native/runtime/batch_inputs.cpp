#include "runtime/batch_inputs.hpp"

#include <memory>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "columns/cast.hpp"

namespace pystream::runtime {

namespace {

// Shared, because functions are copied.
struct Stream {
  ArrowArrayStream stream{};
  ArrowSchema schema{};
  SchemaPtr target;

  ~Stream() {
    if (schema.release != nullptr) schema.release(&schema);
    if (stream.release != nullptr) stream.release(&stream);
  }
};

// A stream that never gives a batch must be found out as well.
void check_columns(const Stream& input) {
  RecordBatch none{import_schema(input.schema, input.target.get()), 0, {}};
  for (const Field& field : none.schema->fields) none.columns.push_back(make_nulls(field.type, 0));
  cast_to(none, input.target, "");
}

}  // namespace

std::function<bool(RecordBatch*)> read_batches(std::vector<RecordBatch> batches) {
  auto held = std::make_shared<std::vector<RecordBatch>>(std::move(batches));
  return [held, next = size_t{0}](RecordBatch* out) mutable {
    if (next == held->size()) return false;
    *out = (*held)[next++];
    return true;
  };
}

std::function<bool(RecordBatch*)> read_stream(ArrowArrayStream* stream, SchemaPtr target) {
  auto input = std::make_shared<Stream>();
  input->target = std::move(target);
  input->stream = std::exchange(*stream, ArrowArrayStream{});
  const int code = input->stream.get_schema(&input->stream, &input->schema);
  if (code != 0) {
    const char* message = input->stream.get_last_error(&input->stream);
    throw Error(ErrorCode::kSchema,
                "the Arrow stream gave no schema (code " + std::to_string(code) +
                    "): " + (message == nullptr ? "no message" : message) + ". Check its source.");
  }
  check_columns(*input);
  return [input](RecordBatch* out) {
    RecordBatch batch;
    if (!import_next(&input->stream, input->schema, &batch, input->target.get())) return false;
    *out = cast_to(batch, input->target, "");
    return true;
  };
}

}  // namespace pystream::runtime
