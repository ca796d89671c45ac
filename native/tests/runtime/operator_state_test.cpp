// What operators say of their state; that of windows is tested with the windows.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/error.hpp"
#include "runtime/python_stage.hpp"
#include "runtime/source.hpp"
#include "runtime/stateless_operators.hpp"

namespace pystream::runtime {
namespace {

SchemaPtr one_column() {
  auto schema = std::make_shared<Schema>();
  schema->fields = {{"n", DataType::of(TypeId::kInt64)}};
  return schema;
}

state::Snapshot written(Operator* op) {
  state::StateWriter writer;
  op->write_state(&writer);
  return writer.finish();
}

TEST(OperatorState, IsRefusedByNameWhereItCannotBeWritten) {
  SourceOperator source("orders-1", "memory source", nullptr);
  EXPECT_FALSE(source.can_write_state());
  try {
    written(&source);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotSupported);
    EXPECT_NE(std::string(error.what()).find("'orders-1'"), std::string::npos);
  }
}

TEST(OperatorState, OfAnotherKindIsRefusedWithBoth) {
  PythonStageOperator stage("map-3", one_column());
  const state::Snapshot snapshot = written(&stage);
  CollectOperator collect("collect-4");
  collect.read_state(state::StateReader({written(&collect)}), {});
  try {
    collect.read_state(state::StateReader({snapshot}), {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCheckpoint);
    EXPECT_NE(std::string(error.what()).find("python stage: rows_emitted"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("collect: no state"), std::string::npos);
  }
}

TEST(OperatorState, OfOneThatKeepsNothingSaysSo) {
  ProjectOperator project("project-2", {}, one_column());
  const state::Snapshot snapshot = written(&project);
  ASSERT_EQ(snapshot.tables.size(), 1u);
  EXPECT_EQ(snapshot.tables[0].batches.at(0).columns[1].view(0), "no state");
  project.read_state(state::StateReader({snapshot}), {});

  state::StateWriter other;
  other.set_operator("window", "tumbling window of 10");
  try {
    project.read_state(state::StateReader({other.finish()}), {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCheckpoint);
    EXPECT_NE(std::string(error.what()).find("window: tumbling window of 10"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("project: no state"), std::string::npos);
  }
}

}  // namespace
}  // namespace pystream::runtime
