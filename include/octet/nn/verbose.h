#pragma once

namespace octet::nn {

/// Whether quantized convolutions say on the standard error what they do: the module's path, the algorithm and the ISA, the shapes
/// and the time of the kernel, a line for each call. At first as the environment says, where OCTET_VERBOSE=1 turns it on. Safe from
/// any thread.
bool is_verbose();
void set_verbose(bool verbose);

}  // namespace octet::nn
