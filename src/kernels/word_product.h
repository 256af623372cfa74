#pragma once

#include <cstdint>

#include "kernels/kernel_table.h"

// Products of 16-bit integers. Rows and weights hold quads of k: of each four, the even and the odd ones make pairs, as bytes are
// widened fastest that way.

namespace octet::kernels {

struct WordRows {
  int64_t begin, end;
};

/// Some products at once, each of a range of rows: `sums[position][row][column] (+)= Σ_k rows[position][row][k] * weight[position][k][column]`, modulo
/// 2^32.
struct WordProductArgs {
  int64_t positions;
  const int16_t* rows_of_words;  ///< [positions][rows][even, odd][...]
  int64_t position_stride;
  int64_t row_stride;
  int64_t odd;  ///< where a row's odd pairs begin
  const WordRows* rows;   ///< [positions]
  const int16_t* weight;  ///< [positions][quads][even, odd][kColumns][2], aligned to 64 bytes
  int64_t weight_position_stride;
  int64_t quads;
  bool add;       ///< to what the sums are
  int32_t* sums;  ///< [positions][row][kColumns], aligned to 64 bytes
  int64_t sums_position_stride;
};

void multiply_words_avx2(const WordProductArgs& args);
void multiply_words_avx512_vnni(const WordProductArgs& args);

// Products of many rows of bytes, for which rows and weights are widened: these once for all rows, those once for all panels.
void accumulate_many_avx2(const AccumulateArgs& args);
constexpr int64_t kRequantizedDepth = 2304;  ///< the largest padded_k
void multiply_requantized_avx2(const MultiplyRequantizedArgs& args);

}  // namespace octet::kernels
