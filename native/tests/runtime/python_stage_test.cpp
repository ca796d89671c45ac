#include "runtime/python_stage.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "columns/builder.hpp"

namespace pystream::runtime {
namespace {

const SchemaPtr kSchema =
    std::make_shared<Schema>(Schema{{{"value", DataType::of(TypeId::kInt64), true}}});

RecordBatch batch_of(const std::vector<int64_t>& values, const SchemaPtr& schema = kSchema) {
  FixedBuilder<int64_t> builder(DataType::of(TypeId::kInt64));
  for (const int64_t value : values) builder.append(value);
  return {schema, static_cast<int64_t>(values.size()), {builder.finish()}};
}

// Writes down what comes out: "5@10" for a row 5 with watermark 10, "w20" for a watermark.
class Recorder final : public Forgetful<Operator> {
 public:
  Recorder() : Forgetful("recorder", "recorder") {}
  std::vector<std::string> events;
  std::vector<int64_t> arrivals;  // of the first row of each batch

 protected:
  void process(Rows&& rows, Lane&) override {
    arrivals.push_back(rows.watermarks.first_arrival);
    for (int64_t i = 0; i < rows.batch.num_rows; ++i) {
      const int64_t own =
          rows.watermarks.per_row ? rows.watermarks.per_row.as<int64_t>()[i] : rows.watermarks.all;
      events.push_back(std::to_string(rows.batch.columns[0].data<int64_t>()[i]) + "@" +
                       std::to_string(own));
    }
  }
  void on_watermark(int64_t watermark, Lane&) override {
    events.push_back("w" + std::to_string(watermark));
  }
};

class PythonStage : public testing::Test {
 protected:
  PythonStage() { stage.connect(0, &recorder); }

  void input(const std::vector<int64_t>& values, int64_t watermark) {
    Rows rows{batch_of(values), {}};
    rows.watermarks.all = watermark;
    stage.push(std::move(rows), lane);
  }

  PythonStageOperator stage{"double", kSchema};
  Recorder recorder;
  Lane lane;
};

using Events = std::vector<std::string>;

TEST_F(PythonStage, KeepsTheOrderOfOutputsAndWatermarks) {
  input({1}, 10);
  stage.advance(20, lane);
  input({2, 3}, 20);
  input({4}, 25);
  stage.advance(30, lane);
  EXPECT_TRUE(stage.has_input());

  EXPECT_EQ(stage.take()->num_rows, 1);
  stage.give({batch_of({10}), batch_of({11})});
  EXPECT_EQ(stage.take()->num_rows, 2);
  stage.give({});
  stage.drain(lane);
  EXPECT_EQ(recorder.events, (Events{"10@10", "11@10", "w20"}));
  EXPECT_EQ(stage.take()->num_rows, 1);
  stage.give({batch_of({40})});
  EXPECT_FALSE(stage.has_input());
  EXPECT_FALSE(stage.is_empty());
  stage.drain(lane);
  EXPECT_EQ(recorder.events, (Events{"10@10", "11@10", "w20", "40@25", "w30"}));
  EXPECT_TRUE(stage.is_empty());
}

TEST_F(PythonStage, RestoredGoesOnCountingItsRows) {
  input({1, 2, 3}, 10);
  stage.take();
  stage.give({batch_of({1, 2, 3})});
  stage.drain(lane);
  state::StateWriter writer;
  stage.write_state(&writer);

  PythonStageOperator other{"double", kSchema};
  other.connect(0, &recorder);
  other.read_state(state::StateReader({writer.finish()}), {});
  Rows rows{batch_of({4}), {}};
  other.push(std::move(rows), lane);
  other.take();
  other.give({batch_of({4}), batch_of({5})});
  other.drain(lane);
  EXPECT_EQ(recorder.arrivals, (std::vector<int64_t>{0, 3, 4}));
}

TEST_F(PythonStage, WatermarkWaitsForTheBatchThatIsOut) {
  input({1}, 0);
  ASSERT_TRUE(stage.take());
  stage.advance(5, lane);
  stage.drain(lane);
  EXPECT_EQ(recorder.events, Events{});
  stage.give({batch_of({7})});
  stage.drain(lane);
  EXPECT_EQ(recorder.events, (Events{"7@0", "w5"}));
}

TEST_F(PythonStage, WatermarkPassesAnEmptyStage) {
  stage.advance(5, lane);
  stage.advance(6, lane);
  EXPECT_EQ(stage.take(), std::nullopt);
  stage.drain(lane);
  EXPECT_EQ(recorder.events, (Events{"w5", "w6"}));
}

TEST_F(PythonStage, RowsKeepTheirWatermarksOnlyWhereTheStageKeepsRows) {
  for (const bool keeps_rows : {false, true}) {
    PythonStageOperator keeper{"keeper", kSchema, keeps_rows};
    Recorder out;
    keeper.connect(0, &out);
    Rows rows{batch_of({1, 2}), {}};
    rows.watermarks.all = 10;
    MutableBuffer marks;
    for (const int64_t mark : {int64_t{11}, int64_t{12}}) marks.append(&mark, sizeof mark);
    rows.watermarks.per_row = marks.freeze();
    keeper.push(std::move(rows), lane);
    ASSERT_TRUE(keeper.take());
    if (keeps_rows) {
      EXPECT_THROW(keeper.give({batch_of({5})}), Error);
      EXPECT_THROW(keeper.give({}), Error);
    }
    keeper.give({batch_of({5, 6})});
    keeper.drain(lane);
    EXPECT_EQ(out.events, keeps_rows ? (Events{"5@11", "6@12"}) : (Events{"5@10", "6@10"}));
  }
}

TEST_F(PythonStage, RefusesToBeUsedOutOfTurn) {
  input({1}, 0);
  input({2}, 0);
  EXPECT_THROW(stage.give({}), Error);
  ASSERT_TRUE(stage.take());
  EXPECT_THROW(stage.take(), Error);
}

TEST_F(PythonStage, RefusesOutputOfAnotherSchema) {
  input({1}, 0);
  ASSERT_TRUE(stage.take());
  const auto other =
      std::make_shared<Schema>(Schema{{{"other", DataType::of(TypeId::kInt64), true}}});
  try {
    stage.give({batch_of({1}, other)});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kSchema);
    EXPECT_NE(std::string(error.what()).find("other"), std::string::npos);
  }
  stage.give({batch_of({1})});  // still to be answered
}

}  // namespace
}  // namespace pystream::runtime
