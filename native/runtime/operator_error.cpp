#include "runtime/operator_error.hpp"

#include <algorithm>
#include <new>
#include <string>
#include <utility>
#include <vector>

namespace pystream::runtime {

namespace {

void add_fact(const char* key, std::variant<int64_t, std::string> value,
              std::vector<ErrorFact>* facts) {
  const bool is_known = std::any_of(facts->begin(), facts->end(),
                                    [&](const ErrorFact& fact) { return fact.first == key; });
  if (!is_known) facts->emplace_back(key, std::move(value));
}

Error locate(ErrorCode code, const std::string& what, std::vector<ErrorFact> facts,
             const Operator* failed, const SourceBatch* batch) {
  const bool is_located = std::any_of(
      facts.begin(), facts.end(), [](const ErrorFact& fact) { return fact.first == "operator"; });
  std::string message = what;
  std::string place;
  if (batch != nullptr && batch->stored) {
    const storage::BatchPlace& at = batch->stored->place();
    place = " at " + at.topic + "-" + std::to_string(at.partition) + " offset " +
            std::to_string(batch->stored->base_offset());
    add_fact("topic", at.topic, &facts);
    add_fact("partition", int64_t{at.partition}, &facts);
    add_fact("offset", batch->stored->base_offset(), &facts);
  }
  if (failed != nullptr && !is_located) {
    message = "operator '" + failed->name() + "' failed" + place + ": " + what;
    add_fact("operator", failed->name(), &facts);
  }
  return Error(code, message, std::move(facts));
}

}  // namespace

Error located_error(const std::exception_ptr& failure, const Operator* failed,
                    const SourceBatch* batch) {
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) {
    return locate(error.code(), error.what(), error.facts(), failed, batch);
  } catch (const std::bad_alloc&) {
    return locate(ErrorCode::kOperator,
                  "out of memory. Use smaller windows, fewer keys or smaller batches.", {}, failed,
                  batch);
  } catch (const std::exception& error) {
    return locate(ErrorCode::kOperator, error.what(), {}, failed, batch);
  }
}

}  // namespace pystream::runtime
