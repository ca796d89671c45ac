#pragma once
// Python objects whose memory the core refers to.

#include <memory>

#include "bindings.hpp"

namespace pystream::python {

// An owner for Buffers that keeps `object` alive. It may be dropped on any thread, with or without
// the interpreter lock, and never waits for the lock: a thread of the core that did would stand
// still behind every busy Python thread, and would deadlock with one that holds the lock while it
// joins that thread. Objects dropped without the lock are released by Python's main thread, or by
// the next call of hold(), whichever comes first.
std::shared_ptr<const void> hold(const py::object& object);

// The object that hold() was given, or None. With the interpreter lock.
py::object object_of(const std::shared_ptr<const void>& held);

}  // namespace pystream::python
