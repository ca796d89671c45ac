// UserAggregate: the core's calls for a user's aggregate function. The contract is _core.pyi.

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings.hpp"
#include "held_object.hpp"
#include "numpy_export.hpp"
#include "python_objects.hpp"
#include "windows/user_aggregate.hpp"

namespace pystream::python {

namespace {

using windows::UserColumn;
using windows::UserStates;

py::array values_of(const UserColumn& column, const std::vector<uint8_t>& values) {
  py::array copy(
      dtype_of(column.type),
      std::vector<py::ssize_t>{static_cast<py::ssize_t>(values.size() / column.initial.size())});
  if (!values.empty()) std::memcpy(copy.mutable_data(), values.data(), values.size());
  return copy;
}

std::vector<uint8_t> bytes_of(const UserColumn& column, const py::handle& given, size_t count) {
  const auto array = given.cast<py::array>();
  const size_t bytes = count * column.initial.size();
  if (static_cast<size_t>(array.nbytes()) != bytes || (array.flags() & py::array::c_style) == 0 ||
      !array.dtype().equal(dtype_of(column.type))) {
    throw windows::UserAggregateError(
        ErrorCode::kSchema, "accumulator '" + column.name + "' came back in another form", -1);
  }
  const auto* data = static_cast<const uint8_t*>(array.data());
  return {data, data + bytes};
}

class PythonAggregate final : public windows::UserAggregate {
 public:
  PythonAggregate(const py::object& calls, std::vector<UserColumn> columns, DataType result_type)
      : UserAggregate(std::move(columns), std::move(result_type)), calls_(hold(calls)) {}

  void add(UserStates* states, std::span<const uint32_t> groups,
           std::span<const Array> arguments) const override {
    guarded([&] {
      py::array_t<int64_t> numbers(static_cast<py::ssize_t>(groups.size()));
      std::copy(groups.begin(), groups.end(), numbers.mutable_data());
      py::list columns;
      for (const Array& argument : arguments) columns.append(py::cast(argument));
      give_back(call("add")(to_python(*states), shared(*states), numbers, columns), states);
    });
  }

  void merge(UserStates* states, const UserStates& others) const override {
    guarded([&] {
      give_back(call("merge")(to_python(*states), shared(*states), to_python(others)), states);
    });
  }

  Array results(const UserStates& states) const override {
    Array results;
    guarded([&] { results = call("results")(to_python(states), states.count).cast<Array>(); });
    if (results.length != states.count || results.type != result_type()) {
      throw windows::UserAggregateError(ErrorCode::kSchema, "results came in another form", -1);
    }
    return results;
  }

  Array write_objects(const UserStates& states) const override {
    Array column;
    guarded([&] { column = binary_column(call("dump")(to_python(states))); });
    return column;
  }

  UserStates read_objects(const Array& column) const override {
    UserStates states;
    states.count = column.length;
    guarded([&] {
      for (const py::handle object : py::list(call("load")(to_objects(column)))) {
        const auto own = py::reinterpret_borrow<py::object>(object);
        states.objects.push_back(own.is_none() ? nullptr : hold(own));
      }
    });
    return states;
  }

 private:
  py::object call(const char* name) const { return object_of(calls_).attr(name); }

  // With the interpreter lock: the core holds none of its own. What Python raised is kept by the
  // calls, for whoever runs the job; the core gets the words.
  template <typename Work>
  static void guarded(Work work) {
    const py::gil_scoped_acquire lock;
    try {
      work();
    } catch (py::error_already_set& error) {
      const py::object raised = error.value();
      const py::module_ errors = py::module_::import("pystream.errors");
      ErrorCode code = ErrorCode::kOperator;
      if (error.matches(errors.attr("SchemaError"))) code = ErrorCode::kSchema;
      if (error.matches(errors.attr("NotSupportedError"))) code = ErrorCode::kNotSupported;
      const py::object at = py::getattr(raised, "at", py::none());
      throw windows::UserAggregateError(code, py::str(raised).cast<std::string>(),
                                        at.is_none() ? -1 : at.cast<int64_t>());
    }
  }

  py::list to_python(const UserStates& states) const {
    py::list result;
    for (size_t i = 0; i < columns().size(); ++i) {
      result.append(values_of(columns()[i], states.columns[i]));
    }
    for (const auto& held : states.objects) result.append(object_of(held));
    return result;
  }

  // Of each object, whether something else refers to it, so that it must not change.
  static py::list shared(const UserStates& states) {
    py::list result;
    for (const auto& held : states.objects) result.append(py::bool_(held.use_count() > 1));
    return result;
  }

  void give_back(const py::list& given, UserStates* states) const {
    for (size_t i = 0; i < columns().size(); ++i) {
      states->columns[i] = bytes_of(columns()[i], given[i], static_cast<size_t>(states->count));
    }
    for (size_t i = 0; i < states->objects.size(); ++i) {
      const py::object object = given[i];
      if (object.ptr() != states->objects[i].get()) states->objects[i] = hold(object);
    }
  }

  std::shared_ptr<const void> calls_;
};

using ColumnTuple = std::tuple<std::string, DataType, py::bytes>;

std::shared_ptr<windows::UserAggregate> make_user_aggregate(const py::object& calls,
                                                            const std::vector<ColumnTuple>& given,
                                                            const DataType& returns) {
  std::vector<UserColumn> columns;
  for (const auto& [name, type, initial] : given) {
    const auto bytes = initial.cast<std::string>();
    columns.push_back({name, type, {bytes.begin(), bytes.end()}});
  }
  return std::make_shared<PythonAggregate>(calls, std::move(columns), returns);
}

}  // namespace

void bind_user_aggregate(py::module_& module) {
  py::class_<windows::UserAggregate, std::shared_ptr<windows::UserAggregate>>(module,
                                                                              "UserAggregate")
      .def(py::init(&make_user_aggregate), py::arg("calls"), py::arg("columns"),
           py::arg("returns"));
}

}  // namespace pystream::python
