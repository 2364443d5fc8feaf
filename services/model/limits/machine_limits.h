#ifndef LLAMA_SERVICES_MODEL_LIMITS_MACHINE_LIMITS_H_
#define LLAMA_SERVICES_MODEL_LIMITS_MACHINE_LIMITS_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "services/model/kernels/kernels.h"
#include "services/model/tensor/tensor.h"
#include "services/model/threads/thread_team.h"

namespace llama {

// What bounds the speed of a model on this machine, over all threads of a team together. A virtual
// machine's change from minute to minute: they mean something next to what was measured within the
// same seconds.
struct MachineLimits {
  double read_bytes_per_second = 0;
  double flops_per_second = 0;  // Of the multiply-adds that matrix products use.
};

// The most bytes per second that the team reads from `memory`, which should be larger than the
// caches: rows side by side, the best of several lengths of row and of `passes` passes each. 0
// if there are not four rows of a kilobyte for each thread.
double MeasureReadSpeed(const Kernels& kernels, ThreadTeam& team, std::span<const std::byte> memory,
                        int passes);

// The most floating-point operations per second of the team, on registers, with activations of that
// type. Takes some milliseconds.
double MeasureFlops(const Kernels& kernels, ThreadTeam& team, DataType activations);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_LIMITS_MACHINE_LIMITS_H_
