// Expression, BoundExpression, select_true. The contract is _core.pyi.

#include "base/error.hpp"
#include "bindings.hpp"
#include "expressions/expression.hpp"
#include "held_object.hpp"

namespace pystream::python {

namespace {

using expressions::Expression;
using expressions::Function;
using ExpressionHandle = std::shared_ptr<Expression>;

// A bound expression reads columns by index, so a batch of another schema must not reach it.
struct Bound {
  expressions::BoundExpressionPtr expression;
  Schema schema;
};

Function function_of(const std::string& name) {
  // The casts come last and have a constructor of their own.
  for (size_t i = 0; i < static_cast<size_t>(Function::kCast); ++i) {
    if (expressions::kFunctionNames[i] == name) return static_cast<Function>(i);
  }
  throw Error(ErrorCode::kNotSupported,
              "function '" + name + "' does not exist. Use one of those that Expression offers.");
}

struct Arity {
  size_t least;
  size_t most;
};

Arity arity_of(Function function) {
  switch (function) {
    case Function::kNegate:
    case Function::kAbs:
    case Function::kFloor:
    case Function::kCeil:
    case Function::kSqrt:
    case Function::kLn:
    case Function::kLog10:
    case Function::kExp:
    case Function::kSign:
    case Function::kHash:
    case Function::kNot:
    case Function::kIsNull:
    case Function::kIsNotNull:
    case Function::kIsNaN:
    case Function::kLength:
    case Function::kListLength:
    case Function::kLower:
    case Function::kUpper:
    case Function::kStrip:
    case Function::kLStrip:
    case Function::kRStrip:
      return {1, 1};
    case Function::kRound:
      return {1, 2};
    case Function::kGreatest:
    case Function::kLeast:
    case Function::kIsIn:
    case Function::kCoalesce:
      return {1, SIZE_MAX};
    case Function::kCase:
      return {2, SIZE_MAX};
    case Function::kRegexpExtract:
    case Function::kRegexpReplace:
    case Function::kSplitPart:
    case Function::kParse:
    case Function::kTryParse:
      return {3, 3};
    case Function::kFromZone:
      return {4, 4};
    case Function::kTruncate:
    case Function::kSubstring:
      return {2, 3};
    default:
      return {2, 2};
  }
}

// Arguments beyond what the function takes would be ignored, and missing ones read past the end.
void check_arity(Function function, size_t count) {
  const Arity arity = arity_of(function);
  if (arity.least <= count && count <= arity.most) return;
  throw Error(ErrorCode::kSchema, "function '" + std::string(name_of(function)) + "' got " +
                                      std::to_string(count) +
                                      " arguments. Pass as many as it takes.");
}

ExpressionHandle make(Expression::Kind kind) {
  auto expression = std::make_shared<Expression>();
  expression->kind = kind;
  return expression;
}

ExpressionHandle make_column(std::string name, std::string label) {
  ExpressionHandle expression = make(Expression::Kind::kColumn);
  expression->column = std::move(name);
  expression->label = std::move(label);
  return expression;
}

ExpressionHandle make_literal(expressions::Literal value, std::optional<DataType> type) {
  ExpressionHandle expression = make(Expression::Kind::kLiteral);
  expression->literal = std::move(value);
  expression->has_literal_type = type.has_value();
  if (type) expression->literal_type = *std::move(type);
  return expression;
}

ExpressionHandle make_zone(const std::string& name, const py::bytes& table) {
  ExpressionHandle expression = make(Expression::Kind::kLiteral);
  expression->literal = name;
  expression->zone_table = table;
  return expression;
}

ExpressionHandle make_call(const std::string& function, std::vector<ExpressionHandle> arguments) {
  ExpressionHandle expression = make(Expression::Kind::kCall);
  expression->function = function_of(function);
  check_arity(expression->function, arguments.size());
  expression->arguments.assign(arguments.begin(), arguments.end());
  return expression;
}

ExpressionHandle make_cast(ExpressionHandle child, DataType type, bool or_null) {
  ExpressionHandle expression = make(Expression::Kind::kCall);
  expression->function = or_null ? Function::kTryCast : Function::kCast;
  expression->arguments.push_back(std::move(child));
  expression->cast_type = std::move(type);
  return expression;
}

// A function of the user's, called with a list of the arguments and the number of rows.
class PythonFunction final : public expressions::ExternalFunction {
 public:
  PythonFunction(std::string name, const py::object& call, DataType type)
      : ExternalFunction(std::move(name), std::move(type)), call_(hold(call)) {}

  // What Python raised is kept by `call`, for whoever runs the job; the core gets the words.
  Array call(std::span<const Array> arguments, int64_t rows) const override {
    const py::gil_scoped_acquire lock;
    try {
      py::list columns;
      for (const Array& argument : arguments) columns.append(py::cast(argument));
      return object_of(call_)(columns, rows).cast<Array>();
    } catch (py::error_already_set& error) {
      const bool is_schema =
          error.matches(py::module_::import("pystream.errors").attr("SchemaError"));
      throw Error(is_schema ? ErrorCode::kSchema : ErrorCode::kOperator,
                  py::str(error.value()).cast<std::string>());
    }
  }

 private:
  std::shared_ptr<const void> call_;
};

ExpressionHandle make_external(std::string name, const py::object& call,
                               const std::vector<ExpressionHandle>& arguments, DataType type) {
  ExpressionHandle expression = make(Expression::Kind::kExternal);
  expression->external = std::make_shared<PythonFunction>(std::move(name), call, std::move(type));
  expression->arguments.assign(arguments.begin(), arguments.end());
  return expression;
}

Array evaluate(const Bound& bound, const RecordBatch& batch) {
  const py::gil_scoped_release release;
  if (!(*batch.schema == bound.schema)) {
    throw Error(ErrorCode::kSchema, "the batch has the columns " + batch.schema->to_string() +
                                        ", but the expression is bound to " +
                                        bound.schema.to_string() + ". Bind it again.");
  }
  return bound.expression->evaluate(batch);
}

py::array_t<int32_t> select_true(const Array& condition) {
  if (!condition.type.is_bool()) {
    throw Error(ErrorCode::kSchema, "select_true got a column of " + condition.type.to_string() +
                                        ". Pass a bool column.");
  }
  auto* rows = new std::vector<int32_t>();
  const py::capsule owner(rows,
                          [](void* vector) { delete static_cast<std::vector<int32_t>*>(vector); });
  {
    const py::gil_scoped_release release;
    expressions::select_true(condition, rows);
  }
  return py::array_t<int32_t>(static_cast<py::ssize_t>(rows->size()), rows->data(), owner);
}

}  // namespace

void bind_expressions(py::module_& module) {
  py::class_<Expression, ExpressionHandle>(module, "Expression")
      .def_static("column", &make_column, py::arg("name"), py::arg("label") = "")
      .def_static("literal", &make_literal, py::arg("value"), py::arg("type") = py::none())
      .def_static("zone", &make_zone, py::arg("name"), py::arg("table"))
      .def_static("call", &make_call, py::arg("function"), py::arg("arguments"))
      .def_static("external", &make_external, py::arg("name"), py::arg("call"),
                  py::arg("arguments"), py::arg("type"))
      .def_static("cast", &make_cast, py::arg("child"), py::arg("type"), py::kw_only(),
                  py::arg("or_null") = false)
      .def(
          "bind",
          [](const Expression& self, const Schema& schema) {
            return Bound{expressions::bind(self, schema), schema};
          },
          py::arg("schema"))
      .def("__str__", &Expression::to_string)
      .def("__repr__",
           [](const Expression& self) { return "Expression(" + self.to_string() + ")"; });

  py::class_<Bound>(module, "BoundExpression")
      .def_property_readonly("type", [](const Bound& self) { return self.expression->type(); })
      .def_property_readonly("nullable",
                             [](const Bound& self) { return self.expression->nullable(); })
      .def("evaluate", &evaluate, py::arg("batch"));

  module.def("select_true", &select_true, py::arg("condition"));
}

}  // namespace pystream::python
