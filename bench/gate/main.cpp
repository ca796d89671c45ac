// The hot kernels, one per run: `gate_kernels NAME` prepares fixed input, then works inside
// gate_measured(), which is where the instruction counter is switched on. Without a name: a list.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "events.hpp"
#include "kernel.hpp"

extern "C" __attribute__((noinline)) void gate_measured(const pystream::gate::Work* work) {
  (*work)();
}

namespace {

using namespace pystream::gate;

// What the others are divided by: a plain loop that no change of ours can touch.
Work reference() {
  return [batch = events(1000, false)] {
    const auto* value = batch.columns[2].data<double>();
    const auto* key = batch.columns[1].data<int64_t>();
    std::vector<double> sums(1000);
    for (int64_t i = 0; i < kRows; ++i) sums[static_cast<size_t>(key[i])] += value[i];
    volatile double sink = sums[0];
    (void)sink;
  };
}

std::vector<Kernel> kernels() {
  std::vector<Kernel> all = {{"reference", reference}};
  for (const auto& room : {storage_kernels(), expression_kernels(), window_kernels(),
                           trigger_kernels(), job_kernels()}) {
    all.insert(all.end(), room.begin(), room.end());
  }
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  for (const Kernel& kernel : kernels()) {
    if (argc < 2) std::puts(kernel.name);
    if (argc < 2 || std::strcmp(argv[1], kernel.name) != 0) continue;
    const Work work = kernel.prepare();
    gate_measured(&work);
    return 0;
  }
  return argc < 2 ? 0 : 2;
}
