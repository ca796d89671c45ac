#pragma once
// What variances are made of: the number of values, their mean, and the sum of their squared
// distances from it. (Welford, "Note on a method for calculating corrected sums of squares and
// products", 1962; Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing
// sample variances", 1979.)
//
// Nothing is subtracted that is much larger than the result, so values far from zero lose no
// digits. NaN and infinities make the squares NaN.

namespace pystream::windows {

struct Moments {
  double count = 0;
  double mean = 0;
  double squares = 0;

  void add(double value) {
    count += 1;
    const double before = value - mean;
    mean += before / count;
    squares += before * (value - mean);
  }

  void add(const Moments& other) {
    if (other.count == 0) return;
    if (count == 0) {  // the distance would be squared, which may be more than a double holds
      *this = other;
      return;
    }
    const double both = count + other.count;
    const double distance = other.mean - mean;
    mean += distance * (other.count / both);
    squares += other.squares + distance * distance * (count * other.count / both);
    count = both;
  }
};

}  // namespace pystream::windows
