#include <octet/kernels/quantize.h>
#include <octet/tensor/error.h>
#include <octet/tensor/parallel.h>

#include <tensor/integers.h>

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>

namespace octet {
namespace {

constexpr int64_t kGrainSize = 1 << 14;  // elements that are worth a thread

// The scale and zero point of one channel.
struct Channel {
  double scale;       // a float32, but for the scales of channels, which ATen keeps in float64
  double zero_point;  // an int32, or a float32
};

Channel the_only_channel(const Quantizer& quantizer) {
  return {static_cast<float>(quantizer.scale), static_cast<double>(quantizer.zero_point)};
}

// A dense tensor as its memory lies: [outer][channels][inner].
struct Runs {
  int64_t channels = 1;
  int64_t inner;

  Runs(const at::Tensor& dense, const Quantizer& quantizer) : inner(dense.numel()) {
    if (!quantizer.is_per_channel() || quantizer.scales.numel() == 1) return;
    channels = quantizer.scales.numel();
    inner = dense.stride(quantizer.axis);
  }
};

// Calls run(channel, begin) for each run of `inner` elements that share one scale and zero point.
template <class Run>
void for_each_run(const at::Tensor& dense, const Quantizer& quantizer, const Run& run) {
  if (dense.numel() == 0) return;
  const Runs runs(dense, quantizer);
  if (!quantizer.is_per_channel()) {
    return run(the_only_channel(quantizer), 0, runs.inner);
  }
  const at::Tensor scales = quantizer.scales.to(at::kDouble);
  const at::Tensor zero_points = quantizer.zero_points.to(at::kDouble);
  const auto* scale = scales.const_data_ptr<double>();
  const auto* zero_point = zero_points.const_data_ptr<double>();
  const int64_t grain_size = std::max<int64_t>(1, kGrainSize / runs.inner);
  parallel_for(0, dense.numel() / runs.inner, grain_size, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t c = i % runs.channels;
      run(Channel{scale[c], zero_point[c]}, i * runs.inner, runs.inner);
    }
  });
}

// The sub-byte dtypes round as float qparams do, whatever their scheme; so does ATen.
bool rounds_after_zero_point(const Quantizer& quantizer) {
  return quantizer.qscheme == per_channel_affine_float_qparams || quantizer.is_packed();
}

double round_to_integer(float x, Channel channel, bool after_zero_point) {
  const float scaled = x * (1.0F / static_cast<float>(channel.scale));
  if (after_zero_point) return std::nearbyint(scaled + static_cast<float>(channel.zero_point));
  return static_cast<double>(std::nearbyint(scaled)) + channel.zero_point;
}

template <class T>
T clamp_to_integer(double rounded, const DTypeInfo& dtype) {
  if (!(rounded > static_cast<double>(dtype.quant_min))) return static_cast<T>(dtype.quant_min);  // NaN too
  return static_cast<T>(std::min(rounded, static_cast<double>(dtype.quant_max)));
}

kernels::AffineQParams kernel_qparams(Channel channel, const DTypeInfo& dtype) {
  return {static_cast<float>(channel.scale), static_cast<int32_t>(channel.zero_point), static_cast<int32_t>(dtype.quant_min),
          static_cast<int32_t>(dtype.quant_max)};
}

// The kernels serve the dtypes and the schemes that activations and weights have.
template <class T>
void quantize_run(const float* values, int64_t n, Channel channel, const Quantizer& quantizer, T* integers) {
  const DTypeInfo& dtype = info(quantizer.dtype);
  if constexpr (sizeof(T) == 1) {
    if (!rounds_after_zero_point(quantizer)) {
      return kernels::quantize(values, n, kernel_qparams(channel, dtype), integers, parallel_for);
    }
  }
  const bool after_zero_point = rounds_after_zero_point(quantizer);
  parallel_for(0, n, kGrainSize, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      integers[i] = clamp_to_integer<T>(round_to_integer(values[i], channel, after_zero_point), dtype);
    }
  });
}

template <class T>
void dequantize_run(const T* integers, int64_t n, Channel channel, const Quantizer& quantizer, float* values) {
  if constexpr (sizeof(T) == 1) {
    if (!quantizer.is_per_channel() && !quantizer.is_packed()) {
      return kernels::dequantize(integers, n, kernel_qparams(channel, info(quantizer.dtype)), values, parallel_for);
    }
  }
  parallel_for(0, n, kGrainSize, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto difference = static_cast<float>(static_cast<double>(integers[i]) - channel.zero_point);
      values[i] = static_cast<float>(difference * channel.scale);  // of a float32 scale this is the float32 product
    }
  });
}

at::Tensor pack(const at::Tensor& integers, int bits) {
  const int64_t n = integers.numel();
  const int in_a_byte = 8 / bits;
  at::Tensor packed = at::empty({packed_size(n, bits)}, at::kByte).zero_();
  const auto* from = integers.const_data_ptr<uint8_t>();
  auto* to = packed.mutable_data_ptr<uint8_t>();
  for (int64_t i = 0; i < n; ++i) to[i / in_a_byte] |= static_cast<uint8_t>(from[i] << (i % in_a_byte * bits));
  return packed;
}

at::Tensor unpack(const at::Tensor& packed, int bits, at::IntArrayRef sizes) {
  at::Tensor integers = at::empty(sizes, at::kByte);
  const int64_t n = integers.numel();
  const int in_a_byte = 8 / bits;
  const auto* from = packed.const_data_ptr<uint8_t>();
  auto* to = integers.mutable_data_ptr<uint8_t>();
  for (int64_t i = 0; i < n; ++i) {
    to[i] = static_cast<uint8_t>((from[i / in_a_byte] >> (i % in_a_byte * bits)) & ((1 << bits) - 1));
  }
  return integers;
}

}  // namespace

at::Tensor quantize_to_integers(const at::Tensor& values, const Quantizer& quantizer) {
  const DTypeInfo& dtype = info(quantizer.dtype);
  const auto memory_format = quantizer.is_packed() ? at::MemoryFormat::Contiguous : values.suggest_memory_format();
  const at::Tensor dense = values.contiguous(memory_format);
  const at::Tensor integers = at::empty(values.sizes(), at::TensorOptions(dtype.storage), memory_format);
  with_integer_type(quantizer.dtype, [&]<class T>() {
    const auto* from = dense.const_data_ptr<float>();
    auto* to = integers.mutable_data_ptr<T>();
    for_each_run(dense, quantizer, [&](Channel channel, int64_t begin, int64_t n) {
      quantize_run<T>(from + begin, n, channel, quantizer, to + begin);
    });
  });
  return quantizer.is_packed() ? pack(integers, dtype.bits) : integers;
}

at::Tensor dequantize_integers(const at::Tensor& integers, const Quantizer& quantizer, at::IntArrayRef sizes) {
  const at::Tensor unpacked = quantizer.is_packed() ? unpack(integers, info(quantizer.dtype).bits, sizes) : integers;
  const auto memory_format = unpacked.suggest_memory_format();
  const at::Tensor dense = unpacked.contiguous(memory_format);
  at::Tensor values = at::empty(sizes, at::TensorOptions(at::kFloat), memory_format);
  with_integer_type(quantizer.dtype, [&]<class T>() {
    const auto* from = dense.const_data_ptr<T>();
    auto* to = values.mutable_data_ptr<float>();
    for_each_run(dense, quantizer, [&](Channel channel, int64_t begin, int64_t n) {
      dequantize_run<T>(from + begin, n, channel, quantizer, to + begin);
    });
  });
  return values;
}

int64_t quantize_value(double value, const Quantizer& quantizer) {
  const double rounded =
      round_to_integer(static_cast<float>(value), the_only_channel(quantizer), rounds_after_zero_point(quantizer));
  return clamp_to_integer<int64_t>(rounded, info(quantizer.dtype));
}

ShiftedIntegers stored_as(const at::Tensor& integers, at::ScalarType storage) {
  if (integers.scalar_type() == storage) return {integers, 0};
  return {integers.view(at::kByte).bitwise_xor(0x80).view(storage), storage == at::kByte ? 128 : -128};  // 128 is that one bit
}

}  // namespace octet
