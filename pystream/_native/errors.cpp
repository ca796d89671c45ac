#include "errors.hpp"

#include <Python.h>

#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <variant>

namespace pystream::python {

namespace {

const char* class_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::kConfig:
      return "ConfigError";
    case ErrorCode::kNotSupported:
      return "NotSupportedError";
    case ErrorCode::kLog:
      return "LogError";
    case ErrorCode::kUnknownTopic:
      return "UnknownTopicError";
    case ErrorCode::kOffsetOutOfRange:
      return "OffsetOutOfRangeError";
    case ErrorCode::kRecordTooLarge:
      return "RecordTooLargeError";
    case ErrorCode::kCorruptRecord:
      return "CorruptRecordError";
    case ErrorCode::kStorage:
      return "StorageError";
    case ErrorCode::kBufferFull:
      return "BufferFullError";
    case ErrorCode::kRequestTimeout:
      return "RequestTimeoutError";
    case ErrorCode::kFenced:
      return "FencedError";
    case ErrorCode::kOperator:
      return "OperatorError";
    case ErrorCode::kSchema:
      return "SchemaError";
    case ErrorCode::kCheckpoint:
      return "CheckpointError";
    case ErrorCode::kClosed:
      return "ClosedError";
  }
  return "StreamError";
}

// A reference that is dropped at the end of its scope; null after a failed call.
struct Reference {
  explicit Reference(PyObject* object) : object(object) {}
  Reference(const Reference&) = delete;
  Reference& operator=(const Reference&) = delete;
  ~Reference() { Py_XDECREF(object); }
  explicit operator bool() const { return object != nullptr; }
  PyObject* object;
};

PyObject* fact_value(const ErrorFact& fact) {
  if (const auto* number = std::get_if<int64_t>(&fact.second)) return PyLong_FromLongLong(*number);
  const auto& text = std::get<std::string>(fact.second);
  return PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace");
}

}  // namespace

// Where making the exception fails, that failure is what Python sees: each early return leaves it
// set.
void set_python_error(const Error& error) {
  const Reference module(PyImport_ImportModule("pystream.errors"));
  if (!module) return;
  const Reference type(PyObject_GetAttrString(module.object, class_name(error.code())));
  if (!type) return;
  const std::string what = error.what();
  const Reference message(
      PyUnicode_DecodeUTF8(what.data(), static_cast<Py_ssize_t>(what.size()), "replace"));
  if (!message) return;
  const Reference exception(PyObject_CallOneArg(type.object, message.object));
  if (!exception) return;
  for (const ErrorFact& fact : error.facts()) {
    const Reference value(fact_value(fact));
    if (!value) return;
    if (PyObject_SetAttrString(exception.object, fact.first.c_str(), value.object) != 0) return;
  }
  PyErr_SetObject(type.object, exception.object);
}

void translate_exception() {
  try {
    throw;
  } catch (const Error& error) {
    set_python_error(error);
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::out_of_range& error) {
    PyErr_SetString(PyExc_IndexError, error.what());
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_SystemError, error.what());
  }
}

}  // namespace pystream::python
