// What operators say of their state; that of windows is tested with the windows.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/error.hpp"
#include "runtime/processing_time_operator.hpp"
#include "runtime/python_stage.hpp"
#include "runtime/stateless_operators.hpp"
#include "runtime/union_operator.hpp"

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

// Its results wait for a time.
class Waiting final : public Forgetful<Operator> {
 public:
  Waiting() : Forgetful("waiting", "waiting") {}
  std::optional<int64_t> next_timer() const override { return 5; }

 protected:
  void process(Rows&&, Lane&) override {}
};

TEST(OperatorState, OfAClockIsWhatItHasFired) {
  Waiting below;
  Lane lane;
  ProcessingTimeOperator clock("time-5", one_column(), false);
  clock.connect(0, &below);
  ASSERT_TRUE(clock.pass_time(100, lane));
  ProcessingTimeOperator other("time-5", one_column(), false);
  other.connect(0, &below);
  EXPECT_EQ(other.next_timer(), 5);
  other.read_state(state::StateReader({written(&clock)}), {});
  EXPECT_EQ(other.next_timer(), 100);  // behind the millisecond that has passed
  clock.advance(windows::kMaxWatermark, lane);
  other.read_state(state::StateReader({written(&clock)}), {});
  EXPECT_EQ(other.next_timer(), std::nullopt);  // it has ended with the input
}

TEST(OperatorState, OfAUnionIsHowManyRowsItHasMerged) {
  state::StateWriter writer;
  writer.set_operator("union", kRowsEmitted);
  writer.set_fact(kRowsEmitted, 7);
  UnionOperator op("union-6", {one_column(), {{0}, {0}}, 0, nullptr, 1});
  op.read_state(state::StateReader({writer.finish()}), {});
  EXPECT_EQ(state::StateReader({written(&op)}).fact(kRowsEmitted), 7);
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
