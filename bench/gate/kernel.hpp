#pragma once
// What the gate counts: kernels by name, each of which prepares fixed input before its work.

#include <functional>
#include <vector>

namespace pystream::gate {

using Work = std::function<void()>;

struct Kernel {
  const char* name;
  std::function<Work()> prepare;
};

std::vector<Kernel> storage_kernels();
std::vector<Kernel> expression_kernels();
std::vector<Kernel> window_kernels();
std::vector<Kernel> trigger_kernels();  // windows that fire other than on close
std::vector<Kernel> job_kernels();

}  // namespace pystream::gate
