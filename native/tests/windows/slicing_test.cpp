#include "windows/slicing.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/error.hpp"

namespace pystream::windows {
namespace {

Slicing slicing(int64_t size, int64_t slide, int64_t offset = 0) {
  return Slicing({size, slide, offset}, INT64_MIN, INT64_MAX);
}

TEST(Slicing, TumblingWindowIsOneSlice) {
  const Slicing minutes = slicing(60, 60);
  EXPECT_EQ(minutes.slices_per_window(), 1);
  EXPECT_EQ(minutes.slice_of(0), 0);
  EXPECT_EQ(minutes.slice_of(59), 0);
  EXPECT_EQ(minutes.slice_of(60), 1);
  EXPECT_EQ(minutes.window_start(1), 60);
  EXPECT_EQ(minutes.window_end(1), 120);
}

TEST(Slicing, FloorsTimesBefore1970) {
  const Slicing minutes = slicing(60, 60);
  EXPECT_EQ(minutes.slice_of(-1), -1);
  EXPECT_EQ(minutes.slice_of(-60), -1);
  EXPECT_EQ(minutes.slice_of(-61), -2);
}

TEST(Slicing, WindowClosesWhenTheWatermarkReachesItsLastTick) {
  const Slicing minutes = slicing(60, 60);
  EXPECT_EQ(minutes.last_closed_window(58), -1);
  EXPECT_EQ(minutes.last_closed_window(59), 0);
  EXPECT_EQ(minutes.last_closed_window(118), 0);
  EXPECT_EQ(minutes.last_closed_window(119), 1);
}

TEST(Slicing, MovesWindowsByTheOffset) {
  const Slicing later = slicing(60, 60, 7);
  EXPECT_EQ(later.window_start(later.slice_of(6)), -53);
  EXPECT_EQ(later.window_start(later.slice_of(7)), 7);
  const Slicing earlier = slicing(60, 60, -53);
  EXPECT_EQ(earlier.window_start(earlier.slice_of(7)), 7);
}

// Windows, slices and closing against their definition, for every shape of window up to 12 ticks.
TEST(Slicing, AgreesWithTheDefinition) {
  for (int64_t size = 1; size <= 12; ++size) {
    for (int64_t slide = 1; slide <= size + 5; ++slide) {
      for (int64_t offset = -slide + 1; offset < slide; ++offset) {
        const Slicing s = slicing(size, slide, offset);
        for (int64_t time = -40; time <= 40; ++time) {
          std::set<int64_t> expected;
          for (int64_t start = -80; start <= 80; ++start) {
            if ((start - offset) % slide == 0 && start <= time && time < start + size) {
              expected.insert(start);
            }
          }
          const int64_t slice = s.slice_of(time);
          const SliceBounds bounds = s.bounds(slice);
          ASSERT_LE(bounds.begin, time);
          ASSERT_LT(time, bounds.begin + bounds.length);
          std::set<int64_t> starts;
          for (int64_t w = s.first_window(slice); w <= s.last_window(slice); ++w) {
            starts.insert(s.window_start(w));
            ASSERT_LE(s.first_slice(w), slice);
            ASSERT_LT(slice, s.end_slice(w));
          }
          ASSERT_EQ(s.is_gap(slice), expected.empty());
          ASSERT_EQ(starts, expected) << size << " " << slide << " " << offset << " " << time;
          const int64_t closed = s.last_closed_window(time);
          ASSERT_LE(s.window_end(closed) - 1, time);
          ASSERT_GT(s.window_end(closed + 1) - 1, time);
        }
      }
    }
  }
}

// The same of cumulative windows.
TEST(Slicing, CumulativeWindowsAgreeWithTheDefinition) {
  for (int64_t step = 1; step <= 4; ++step) {
    for (int64_t size = step; size <= 12; size += step) {
      for (int64_t offset = -size + 1; offset < size; ++offset) {
        const Slicing s({size, step, offset, true}, INT64_MIN, INT64_MAX);
        for (int64_t time = -40; time <= 40; ++time) {
          std::set<std::pair<int64_t, int64_t>> expected;
          for (int64_t start = -80; start <= 80; ++start) {
            if ((start - offset) % size != 0 || start > time || time >= start + size) continue;
            for (int64_t end = start + step; end <= start + size; end += step) {
              if (time < end) expected.insert({start, end});
            }
          }
          const int64_t slice = s.slice_of(time);
          const SliceBounds bounds = s.bounds(slice);
          ASSERT_LE(bounds.begin, time);
          ASSERT_LT(time, bounds.begin + bounds.length);
          std::set<std::pair<int64_t, int64_t>> windows;
          for (int64_t w = s.first_window(slice); w <= s.last_window(slice); ++w) {
            windows.insert({s.window_start(w), s.window_end(w)});
            ASSERT_LE(s.first_slice(w), slice);
            ASSERT_LT(slice, s.end_slice(w));
          }
          ASSERT_EQ(windows, expected) << size << " " << step << " " << offset << " " << time;
          const int64_t closed = s.last_closed_window(time);
          ASSERT_LE(s.window_end(closed) - 1, time);
          ASSERT_GT(s.window_end(closed + 1) - 1, time);
        }
      }
    }
  }
}

TEST(Slicing, CumulativeWindowsFitTheType) {
  const Slicing s({9, 3, 2, true}, -100, 100);
  EXPECT_EQ(s.lowest_time(), -97);
  EXPECT_EQ(s.highest_time(), 91);
  EXPECT_EQ(s.window_start(s.first_window(s.slice_of(s.lowest_time()))), -97);
  EXPECT_EQ(s.window_end(s.last_window(s.slice_of(s.highest_time()))), s.highest_time() + 1);
}

TEST(Slicing, NamesTheTimesWhoseWindowsFitTheType) {
  const Slicing s({10, 4, 1}, -100, 100);
  for (int64_t time = -100; time <= 100; ++time) {
    bool fits = true;
    for (int64_t start = -200; start <= 200; ++start) {
      const bool is_window = (start - 1) % 4 == 0 && start <= time && time < start + 10;
      if (is_window && (start < -100 || start + 10 > 100)) fits = false;
    }
    EXPECT_EQ(s.lowest_time() <= time && time <= s.highest_time(), fits) << time;
  }
}

TEST(Slicing, StaysInRangeAtTheEndsOfTime) {
  for (const int64_t offset : {-6, 0, 6}) {
    for (const int64_t slide : {7, 10}) {
      const Slicing s = slicing(10, slide, offset);
      const int64_t first = s.first_window(s.slice_of(s.lowest_time()));
      EXPECT_LE(s.window_start(first), s.lowest_time());
      const int64_t last = s.last_window(s.slice_of(s.highest_time()));
      EXPECT_GT(s.window_end(last), s.highest_time());
      EXPECT_GE(s.last_closed_window(INT64_MAX), last);
      EXPECT_LT(s.last_closed_window(INT64_MIN), first);
    }
  }
  const Slicing sparse = slicing(10, 27);
  EXPECT_TRUE(sparse.is_gap(sparse.slice_of(sparse.lowest_time())));
  EXPECT_LE(sparse.window_end(sparse.slice_of(sparse.highest_time()) >> 1), sparse.highest_time());
  const Slicing ticks = slicing(1, 1);
  EXPECT_EQ(ticks.lowest_time(), INT64_MIN);
  EXPECT_EQ(ticks.highest_time(), INT64_MAX - 1);
  EXPECT_EQ(ticks.slice_of(INT64_MIN), INT64_MIN);
  const Slicing all = slicing(INT64_MAX, INT64_MAX);
  EXPECT_EQ(all.slice_of(0), 0);
  EXPECT_EQ(all.slice_of(-1), -1);
  EXPECT_EQ(all.window_end(0), INT64_MAX);
}

TEST(Slicing, RefusesWindowsThatDoNotExist) {
  struct Case {
    int64_t size, slide, offset;
    const char* word;
    bool is_cumulative = false;
  };
  for (const Case& c : {Case{0, 1, 0, "size"}, Case{-5, 1, 0, "size"}, Case{5, 0, 0, "slide"},
                        Case{5, 5, 5, "offset"}, Case{5, 3, -3, "offset"},
                        Case{5, 3, 0, "step", true}, Case{6, 3, 6, "offset", true}}) {
    try {
      Slicing({c.size, c.slide, c.offset, c.is_cumulative}, INT64_MIN, INT64_MAX);
      FAIL() << c.size << " " << c.slide << " " << c.offset;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kConfig);
      EXPECT_NE(std::string(error.what()).find(c.word), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace pystream::windows
