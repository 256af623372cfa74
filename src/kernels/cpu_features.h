#pragma once

#include <octet/kernels/isa.h>

namespace octet::kernels {

/// Whether this processor has what a path needs and the operating system saves the registers it uses.
bool processor_supports(Isa isa);

}  // namespace octet::kernels
