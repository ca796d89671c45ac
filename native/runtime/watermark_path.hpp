#pragma once
// The way of a source's watermark through one round: every value that it took, in their order.
//
// What a window shows exists from the first watermark on that closes it; operators below see it at
// the watermark before that. A round moves the watermark many times, but windows fire behind it,
// all at once. So they ask here: of a value that lies just below the moment at which something
// fires, the last watermark at or below it is the one that was in force.
//
// Nothing is computed per record, unless a batch is asked for: then its running maxima, by block.
//
// Owned by the executor, one per source; serial phase only.

#include <cstdint>
#include <vector>

#include "runtime/source.hpp"

namespace pystream::runtime {

class WatermarkPath {
 public:
  WatermarkPath(const SourceReader* reader, int64_t delay) : reader_(reader), delay_(delay) {}

  // Starts over, at a watermark that was in force before.
  void begin(int64_t watermark);
  // Goes on. Batches stay where they are until begin().
  void add(const WatermarkStep& step);
  void add(const SourceBatch& batch);

  // The last watermark at or below `moment`. What lies below the start of the path stays itself.
  int64_t last_until(int64_t moment) const;
  // The same for each row; moments do not get less from row to row.
  windows::RowWatermarks last_until(const windows::RowWatermarks& moments, int64_t rows) const;

 private:
  struct Piece {
    int64_t after;             // watermark behind it; more than before it
    bool is_gradual;           // it took every value between
    const SourceBatch* batch;  // whose rows moved it; null when nothing lies between
    // Found on demand: how far each row lets event time progress, and the largest of it up to the
    // end of each block of rows.
    mutable Array progress = {};
    mutable std::vector<int64_t> maxima = {};
  };

  int64_t last_in(const Piece& piece, int64_t moment) const;
  void look_into(const Piece& piece) const;

  const SourceReader* reader_;
  int64_t delay_;
  int64_t start_ = windows::kMinWatermark;
  std::vector<Piece> pieces_;
};

}  // namespace pystream::runtime
