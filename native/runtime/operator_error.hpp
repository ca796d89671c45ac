#pragma once
// Errors of a running job say where: operator, and topic, partition and offset of the batch.

#include <exception>

#include "base/error.hpp"
#include "runtime/source.hpp"

namespace pystream::runtime {

// The Error to throw for `failure`, with what is known and the original does not say already.
// Foreign exceptions become kOperator. `failed` and `batch` may be null.
Error located_error(const std::exception_ptr& failure, const Operator* failed,
                    const SourceBatch* batch);

}  // namespace pystream::runtime
