#pragma once

#include <octet/kernels/channels_last.h>
#include <octet/kernels/isa.h>
#include <octet/kernels/pool.h>

#include <cstdint>

// What each ISA offers to the ISA-independent code around it. The files that are compiled with an ISA's flags include
// this header and templates over their own Simd type, and nothing that defines an inline function without that type:
// such a function could be emitted with the ISA's instructions and then be picked by the linker for everyone.

namespace octet::kernels {

constexpr int64_t kColumns = 16;   ///< PackedWeight::kPanelColumns
constexpr int64_t kRowBlock = 64;  ///< rows that one call of `accumulate` takes at most
/// What one call of `accumulate` sums at most: of few rows many panels, of kRowBlock rows two.
constexpr int64_t kSums = 2 * kRowBlock * kColumns;

/// One block of a GEMM: `sums[panel][row][column] = Σ_k a[row][k] * panels[panel][column][k]`, without zero points.
struct AccumulateArgs {
  const uint8_t* a;
  int64_t a_stride;
  int64_t rows;  ///< 1 .. kRowBlock
  const int8_t* panels;
  int64_t panel_count;  ///< rows * panel_count * kColumns <= kSums
  int64_t padded_k;
  int32_t* sums;               ///< [panel_count][rows][kColumns], 64-byte aligned
  const int32_t* column_sums;  ///< [panel_count][kColumns]: `Σ_k panels[panel][column][k]`
};

/// What the epilogue knows about the columns of a panel, an element for each.
struct ColumnTerms {
  const int32_t* weight_sum;
  const int32_t* zero_point;  ///< read only if affine
  const float* scale;
  const float* bias;
};

/// What the epilogue knows about a row.
struct RowTerms {
  int32_t zero_point;
  int32_t centered_sum;  ///< Σ_k (a - zero_point); read only if affine
  float scale;
};

/// The epilogue of one panel: `sum - zero_point_r * weight_sum_c - weight_zero_point_c * centered_sum_r`, and for float
/// output the scales, bias, relu and upper bound.
struct FinishArgs {
  const int32_t* sums;  ///< [rows][kColumns]
  int64_t rows;
  int64_t columns;  ///< 1 .. kColumns
  ColumnTerms column_terms;
  const RowTerms* row_terms;
  bool affine;  ///< some weight has a zero point
  bool relu;    ///< this and the bound are those of float output
  float upper_bound;
};

struct QuantizeArgs {
  float inverse_scale;
  int32_t zero_point;
  int32_t quant_min;
  int32_t quant_max;
};

/// Rows of quantized numbers, and where the same numbers go in another scale and zero point.
template <class Quantized>
struct RequantizeRowsArgs {
  const Quantized* x;
  int64_t x_stride;
  int64_t rows;
  int64_t columns;
  float scale;
  int32_t zero_point;
  uint8_t* y;  ///< gets the low 8 bits
  int64_t y_stride;
};

/// Of one channel. The bounds are those of the integers without the zero point.
struct FakeQuantizeArgs {
  float inverse_scale;
  float low;
  float high;
  float scale;
};

/// Of gradients times derivatives by the scale, and of gradients where x was clamped.
struct LearnableSums {
  float scale;
  float clamped;
};

/// Where requantized sums go, and what is added to them before.
struct RequantizeArgs {
  QuantizeArgs quantize;  ///< relu and the upper bound are in its range
  uint8_t* out;           ///< that of the first row and column; gets the low 8 bits
  int64_t out_stride;
  const uint8_t* residual = nullptr;  ///< likewise, or null
  int64_t residual_stride = 0;
  float residual_multiplier = 0.0f;
  int32_t residual_zero_point = 0;
};

/// What the sums of a column are requantized with where all rows have one zero point and scale and weights have no zero point:
/// `quantize(fma(float(start + Σ_k a[k] * w[k]), multiplier, bias))`. Whole panels of each.
struct RequantizedTerms {
  const int32_t* start;     ///< -zero_point * weight_sum
  const float* multiplier;  ///< scale * the weight's scale / the output's
  const float* bias;        ///< bias / the output's scale
  bool fits_int32 = false;  ///< what is quantized, whatever the activations are
};

/// A block of a GEMM that is requantized while its sums are in registers.
struct MultiplyRequantizedArgs {
  const uint8_t* a;
  int64_t a_stride;
  int64_t rows;  ///< 1 .. kRowBlock
  const int8_t* panels;
  int64_t columns;  ///< of all panels; the last one may have columns beyond them
  int64_t k, padded_k;
  RequantizedTerms terms;
  RequantizeArgs to;
};

/// The same of a panel's sums that are in memory.
struct RequantizeSumsArgs {
  const int32_t* sums;  ///< [rows][kColumns]
  int64_t rows;
  int64_t columns;  ///< 1 .. kColumns
  RequantizedTerms terms;
  RequantizeArgs to;
};

/// A depthwise convolution: some pixels in a row, all channels.
/// `sum[pixel][channel] = Σ (taps[t][pixel * pixel_step + channel] - zero_point) * weight[t / 2][channel][t % 2]`
struct DepthwiseArgs {
  const uint8_t* const* taps;  ///< [2 * pairs]: where the taps of the first pixel are
  int64_t pairs;
  int64_t pixel_step;  ///< bytes
  int64_t pixels;
  int64_t channels;
  const int16_t* weight;     ///< [pairs][channels][2]
  ColumnTerms column_terms;  ///< for each channel; the weight's zero points are in the weight
  int32_t zero_point;
  float scale;
  RequantizeArgs to;  ///< a row for each pixel
};

/// Arithmetic between quantized numbers. Sums: a * a_multiplier + b * b_multiplier; products: a * b * a_multiplier.
struct BinaryArgs {
  float a_multiplier;
  float b_multiplier;
  int32_t a_zero_point;
  int32_t b_zero_point;
  QuantizeArgs out;  ///< the multipliers have its inverse_scale in them
};

struct IntegerSums {
  int64_t sum;
  int64_t sum_of_squares;
};

/// `y = fma(fma(float(q - center), scale, shift), weight, bias)`, then quantized.
struct NormalizeArgs {
  int32_t center;
  float scale;
  float shift;
  const float* weight;
  const float* bias;
  bool one_channel;  ///< one weight and one bias for all elements, not one for each
  QuantizeArgs out;
};

/// One row of outputs of a pool.
template <class T>
struct PoolRow {
  const T* const* rows;  ///< [row_count]: the input rows, each [width][channels], of the windows' depth and height
  int64_t row_count;     ///< 1 or more
  int64_t width;
  int64_t channels;
  const PoolWindow* windows;  ///< [outputs], along the width
  int64_t outputs;
  T lowest;  ///< of the type
  T highest;
  int32_t zero_point;  ///< of averages
  int64_t divisor;     ///< of averages: that of the depth times that of the height
};

struct LstmRow {
  const float* x_gates;
  const float* h_gates;
  const float* c;
  float* c_out;
  float* h_out;
};

struct GruRow {
  const float* x_gates;
  const float* h_gates;
  const float* h;
  float* h_out;
};

/// A tile of half_gemm: all rows times `columns` (1 .. kHalfColumns) rows of the weight.
constexpr int64_t kHalfColumns = 4;
struct HalfGemmArgs {
  const float* x;
  int64_t x_stride;
  int64_t rows;
  const uint16_t* weight;
  int64_t weight_stride;
  int64_t columns;
  int64_t k;
  const float* bias;  ///< [columns]
  bool relu;
  float* out;
  int64_t out_stride;
};

/// A row of an embedding table: integers of 8, 4 or 2 bits that stand for fma(q, scale, bias).
struct EmbeddingRow {
  const uint8_t* q;
  int64_t dimension;
  float scale;
  float bias;
};

struct EmbeddingKernels {
  void (*copy)(const EmbeddingRow& row, float* out);               ///< out = row
  void (*add)(const EmbeddingRow& row, float weight, float* out);  ///< out = fma(weight, row, out)
  void (*max)(const EmbeddingRow& row, float* out);                ///< out = max(out, row)
};

struct ClippedKernels;
struct ClippedWeightKernels;
struct DepthwiseRowsKernel;
struct WinogradKernels;

/// What the nibbles of symmetric weights hold beyond the integer: PackedInt4Weight::kSymmetricOffset.
constexpr int32_t kInt4SymmetricOffset = 8;

/// One block of int4_gemm: for each group `sums[row][column] = fma(float(Σ_k x[row][k] * (w[column][k] - zero_point)), scale,
/// sums[row][column])`.
struct Int4Args {
  const uint8_t* x;           ///< as int4_quantize_row gives it
  int64_t x_stride;           ///< bytes
  const int32_t* group_sums;  ///< [rows][groups]: the sums of x
  int64_t groups;
  int64_t rows;  ///< 1 .. kRowBlock
  const uint8_t* panel;
  const float* scale;         ///< [groups][kColumns]
  const uint8_t* zero_point;  ///< likewise; null: those of symmetric weights
  int64_t padded_k;
  int64_t group_size;
  float* sums;  ///< [rows][kColumns]
};

struct Int4FinishArgs {
  const float* sums;  ///< [rows][kColumns]
  int64_t rows;
  int64_t columns;         ///< 1 .. kColumns
  const float* row_scale;  ///< [rows]
  const float* bias;       ///< [columns]
  bool relu;
  float upper_bound;
  float* out;
  int64_t out_stride;
};

/// Queries of one head that attention_block takes at most.
constexpr int64_t kAttentionQueries = 32;

struct AttentionArgs {
  const float* q;    ///< [dim][kAttentionQueries], scaled; what is beyond `queries` does not matter
  int64_t queries;   ///< 1 .. kAttentionQueries
  const float* k;    ///< [keys][dim]
  const float* v;    ///< [keys][v_stride]
  int64_t v_stride;  ///< value_dim, rounded up to kColumns
  int64_t keys;      ///< 1 or more
  int64_t dim;
  int64_t value_dim;
  const float* bias;  ///< added to the scores; or null
  int64_t bias_query_stride;
  int64_t bias_key_stride;
  float* scores;  ///< scratch: [keys][kAttentionQueries]
  float* out;     ///< [queries][value_dim]
  int64_t out_stride;
};

struct KernelTable {
  Isa isa;
  void (*accumulate)(const AccumulateArgs& args);
  const ClippedKernels* clipped = nullptr;  ///< for many rows, where that is faster than `accumulate`; or null
  const ClippedWeightKernels* clipped_weights = nullptr;  ///< likewise
  const WinogradKernels* winograd = nullptr;  ///< or null, where the direct kernel multiplies four times as fast as it anyway
  void (*finish_float)(const FinishArgs& args, float* out, int64_t out_stride);
  void (*finish_int32)(const FinishArgs& args, int32_t* out, int64_t out_stride);
  void (*finish_requantized)(const FinishArgs& args, const RequantizeArgs& to);
  void (*multiply_requantized)(const MultiplyRequantizedArgs& args) = nullptr;  ///< or null
  int64_t requantized_depth = INT64_MAX;                                       ///< the largest padded_k that it takes
  void (*depthwise)(const DepthwiseArgs& args);
  const DepthwiseRowsKernel* depthwise_rows = nullptr;  ///< or null; for weights without zero points, and no residual
  /// NaNs do not count; the return value says whether there are any. An empty range gives +inf, -inf.
  bool (*min_max)(const float* x, int64_t n, float* min, float* max);
  /// Writes the low 8 bits and returns the sum of the integers modulo 2^32.
  int32_t (*quantize)(const float* x, int64_t n, const QuantizeArgs& args, uint8_t* q);
  void (*requantize_u8)(const RequantizeRowsArgs<uint8_t>& args, QuantizeArgs to);
  void (*requantize_s8)(const RequantizeRowsArgs<int8_t>& args, QuantizeArgs to);
  void (*dequantize_u8)(const uint8_t* q, int64_t n, float scale, int32_t zero_point, float* x);
  void (*dequantize_s8)(const int8_t* q, int64_t n, float scale, int32_t zero_point, float* x);
  /// `out = clamp(nearbyint(x * inverse_scale), low, high) * scale`; mask: a bit for each element, whether it was not clamped.
  void (*fake_quantize)(const float* x, int64_t n, const FakeQuantizeArgs& args, float* out, uint8_t* mask);
  void (*fake_quantize_with_mask)(const float* x, int64_t n, const FakeQuantizeArgs& args, float* out, uint8_t* mask);
  LearnableSums (*fake_quantize_learnable_backward)(const float* x, const float* grad_out, int64_t n,
                                                    const FakeQuantizeArgs& args, float* grad_in);
  void (*keep_where_set)(const float* x, const uint8_t* mask, int64_t n, float* out);
  void (*add_u8)(const uint8_t* a, const uint8_t* b, int64_t n, const BinaryArgs& args, uint8_t* out);
  void (*add_s8)(const int8_t* a, const int8_t* b, int64_t n, const BinaryArgs& args, int8_t* out);
  void (*multiply_u8)(const uint8_t* a, const uint8_t* b, int64_t n, const BinaryArgs& args, uint8_t* out);
  void (*multiply_s8)(const int8_t* a, const int8_t* b, int64_t n, const BinaryArgs& args, int8_t* out);
  void (*integer_sums_u8)(const uint8_t* q, int64_t n, IntegerSums* sums);
  void (*integer_sums_s8)(const int8_t* q, int64_t n, IntegerSums* sums);
  void (*normalize_u8)(const uint8_t* q, int64_t n, const NormalizeArgs& args, uint8_t* out);
  void (*normalize_s8)(const int8_t* q, int64_t n, const NormalizeArgs& args, int8_t* out);
  void (*look_up)(const uint8_t* x, int64_t n, const uint8_t* table, uint8_t* y);
  /// For 1 to kMostPlanes channels.
  void (*interleave_planes[kMostPlanes])(const uint8_t* planes, int64_t pixels, int64_t begin, int64_t end, uint8_t* out);
  /// scratch: [width * channels]
  void (*max_pool_row_u8)(const PoolRow<uint8_t>& row, uint8_t* scratch, uint8_t* out);
  void (*max_pool_row_s8)(const PoolRow<int8_t>& row, int8_t* scratch, int8_t* out);
  void (*average_pool_row_u8)(const PoolRow<uint8_t>& row, int32_t* scratch, uint8_t* out);
  void (*average_pool_row_s8)(const PoolRow<int8_t>& row, int32_t* scratch, int8_t* out);
  void (*sigmoid)(const float* x, int64_t n, float* y);
  void (*tanh)(const float* x, int64_t n, float* y);
  void (*gelu)(const float* x, int64_t n, float* y);
  void (*attention_block)(const AttentionArgs& args);
  /// out = x + residual, or x if that is null. Returns the sum of out. Sums here are those of 16 partial sums.
  float (*add_and_sum)(const float* x, const float* residual, int64_t n, float* out);
  float (*sum_of_squares)(const float* x, int64_t n, float mean);  ///< Σ (x - mean)^2
  /// x = fma((x - mean) * multiplier, weight, bias)
  void (*normalize_floats)(float* x, int64_t n, float mean, float multiplier, const float* weight, const float* bias);
  void (*lstm_row)(const LstmRow& row, int64_t hidden);
  void (*gru_row)(const GruRow& row, int64_t hidden);
  void (*rnn_tanh_row)(const float* x_gates, const float* h_gates, int64_t hidden, float* h_out);
  void (*rnn_relu_row)(const float* x_gates, const float* h_gates, int64_t hidden, float* h_out);
  void (*float_to_half)(const float* x, int64_t n, uint16_t* y);
  void (*half_to_float)(const uint16_t* x, int64_t n, float* y);
  void (*half_gemm)(const HalfGemmArgs& args);
  /// Rounds x * inverse_scale to 16 bits: of each four integers first the low bytes, then the high ones. Writes whole eights.
  /// group_sums: those of the integers, for each group.
  void (*int4_quantize_row)(const float* x, int64_t k, int64_t group_size, float inverse_scale, uint8_t* q, int32_t* group_sums);
  void (*int4_accumulate)(const Int4Args& args);
  void (*int4_finish)(const Int4FinishArgs& args);
  EmbeddingKernels embedding_of_8_bits, embedding_of_4_bits, embedding_of_2_bits;
};

/// The tables that are built; each is defined in the file that is compiled with the ISA's flags.
const KernelTable& scalar_kernels();
const KernelTable& avx2_kernels();
const KernelTable& avx_vnni_kernels();
const KernelTable& avx512_vnni_kernels();
const KernelTable& amx_kernels();
const KernelTable& neon_dot_kernels();
const KernelTable& neon_i8mm_kernels();

/// The table of selected_isa(). Each public function asks once and so counts as one served call.
const KernelTable& kernels();

}  // namespace octet::kernels
