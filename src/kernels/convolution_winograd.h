#pragma once

#include <octet/kernels/convolution_algorithm.h>
#include <octet/kernels/parallel.h>

#include "kernels/convolution_call.h"

namespace octet::kernels {

/// Whether F(m x m, 3x3) computes such a convolution on this ISA, and exactly. @param outputs  m: 2 or 4
bool has_winograd(const KernelTable& table, const PackedConvolution& weight, bool affine, int64_t outputs);

/// What it would cost, in products of the direct kernel.
double winograd_cost(const KernelTable& table, const PackedConvolution& weight, const Spatial& out_size, int64_t batch,
                     int64_t outputs);

/// convolution_algorithm() on an ISA.
ConvolutionAlgorithm choose_algorithm(const KernelTable& table, const ConvolutionInput& input, const PackedConvolution& weight,
                                      bool affine);

/// Runs the only phase of such a convolution.
void run_winograd_phase(const ConvolutionCall& call, const PackedConvolution& weight, int64_t outputs, ParallelFor parallel_for);

}  // namespace octet::kernels
