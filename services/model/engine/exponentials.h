#ifndef LLAMA_SERVICES_MODEL_ENGINE_EXPONENTIALS_H_
#define LLAMA_SERVICES_MODEL_ENGINE_EXPONENTIALS_H_

#include <span>

namespace llama {

// out[i] = e^((x[i] - shift) * factor), within 1e-13 of it; 0 where the exponent is below -700. The
// result is the same with every instruction set of a processor, and does not depend on the place.
// REQUIRES: exponents of at most 700, -infinity among them; out.size() == x.size(); out
// may be x.
void Exponentials(std::span<const double> x, double shift, double factor, std::span<double> out);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_ENGINE_EXPONENTIALS_H_
