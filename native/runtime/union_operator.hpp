#pragma once
// The rows of several inputs as one stream. Its watermark is that of a scope of its own: of all
// sources above (see watermark_scope.hpp).
//
// Where every input comes straight from its sources, and no source comes in twice, rows pass in the
// parallel phase, each with the watermark of the union when it came. Otherwise results, rows that
// come back from Python, or the same row by several ways have to be put in order: inputs are held
// until the round is complete, then merged by position, of equal positions in the order of inputs.
//
// Its consumers are told of the watermark by the executor, when all inputs have brought what they
// have.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/operator.hpp"

namespace pystream::runtime {

class UnionOperator final : public Operator {
 public:
  struct Plan {
    SchemaPtr schema;
    std::vector<std::vector<int>> columns;  // of the schema, by index in each input
    int scope = 0;
    Timeline* timeline = nullptr;  // of its inputs; null where rows pass
    int64_t chunk_rows = 0;        // that merged rows leave in
  };
  UnionOperator(std::string name, Plan plan);

  Operator* entry(int input) override { return inputs_[static_cast<size_t>(input)].get(); }
  int scope() const { return plan_.scope; }
  // Serial phase: all rows of the round are here. They leave in order.
  void complete(Lane& lane);
  void write_state(state::StateWriter* writer) override {
    write_number(kRowsEmitted, arrivals_, writer);
  }
  void read_state(const state::StateReader& reader, state::KeyGroupRange) override {
    arrivals_ = read_number(kRowsEmitted, reader);
  }

 protected:
  void process(Rows&&, Lane&) override {}  // rows enter by the inputs

 private:
  class Passing;
  class Merging;
  struct Place;

  Rows select(int input, Rows&& rows) const;
  void count(const Rows& rows);
  void pass(int input, Rows&& rows, Lane& lane);
  void hold(int input, Rows&& rows);
  void emit_merged(const std::vector<Place>& places, size_t begin, size_t end, Lane& lane);

  Plan plan_;
  std::vector<std::unique_ptr<Operator>> inputs_;
  std::vector<std::pair<int, Rows>> held_;  // of this round, with their input
  int64_t arrivals_ = 0;                    // rows merged; state that is checkpointed
};

}  // namespace pystream::runtime
