#pragma once

namespace octet::kernels {

/// Whether weights that are packed from now on keep to one form of a byte for each element. Otherwise they may get a second one,
/// of a byte and about a quarter more, when they first meet many rows on an ISA on which it is faster: AVX2 without VNNI. False,
/// unless the environment variable OCTET_COMPACT_WEIGHTS (read once) is 1. Results are the same. Thread-safe.
bool compact_weights();
void set_compact_weights(bool compact);

}  // namespace octet::kernels
