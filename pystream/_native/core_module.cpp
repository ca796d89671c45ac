// pystream._native._core: handles with coarse methods over the core. The contract is _core.pyi.

#include "bindings.hpp"
#include "errors.hpp"

namespace py = pybind11;

PYBIND11_MODULE(_core, module) {
  module.doc() = "The compiled core: see _core.pyi.";
  py::register_local_exception_translator([](std::exception_ptr thrown) {
    try {
      if (thrown) std::rethrow_exception(thrown);
    } catch (const pystream::Error& error) {
      pystream::python::set_python_error(error);
    }
  });
  pystream::python::bind_types(module);
  pystream::python::bind_array(module);
  pystream::python::bind_record_batch(module);
  pystream::python::bind_expressions(module);
  pystream::python::bind_reader(module);
  pystream::python::bind_tail_watch(module);
  pystream::python::bind_storage(module);
  pystream::python::bind_topic_writer(module);
  pystream::python::bind_verify(module);
  pystream::python::bind_repair(module);
  pystream::python::bind_user_aggregate(module);
  pystream::python::bind_trigger(module);
  pystream::python::bind_runtime(module);
  pystream::python::bind_executor(module);
}
