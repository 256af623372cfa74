#pragma once

#include <octet/kernels/matrix.h>

#include <cstdint>

#include "kernels/kernel_table.h"

namespace octet::kernels {

class ClippedRows;

/// At most kRowBlock rows of activations.
struct RowBlock {
  Matrix<const uint8_t> q;
  int64_t rows;
  const RowTerms* terms;
  const ClippedRows* clipped = nullptr;  ///< the same rows, if they were clipped; the terms are then those of the clipped ones
  const uint8_t* transposed = nullptr;   ///< the same rows, if they are to meet the weight's clipped form: see ClippedWeightArgs
};

}  // namespace octet::kernels
