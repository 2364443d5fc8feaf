#ifndef LLAMA_SERVICES_MODEL_KERNELS_KERNEL_CHOICE_H_
#define LLAMA_SERVICES_MODEL_KERNELS_KERNEL_CHOICE_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/model/kernels/kernels.h"

namespace llama {

// The kernels that --instruction_set names; the processor's fastest, if the name is empty. Errors:
// INVALID_ARGUMENT, with the names of those that the processor has.
absl::StatusOr<const Kernels*> ChooseKernels(absl::string_view name);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_KERNELS_KERNEL_CHOICE_H_
