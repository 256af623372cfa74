#include <octet/nn/batch_norm_folding.h>
#include <octet/kernels/channels_last.h>
#include <octet/kernels/isa.h>
#include <octet/nn/conv_packed_params.h>
#include <octet/nn/verbose.h>
#include <octet/tensor/error.h>
#include <octet/tensor/module_path.h>
#include <octet/tensor/parallel.h>
#include <octet/tensor/quantized_tensor.h>

#include <nn/quantized_weight.h>
#include <tensor/activation_memory.h>
#include <tensor/integers.h>
#include <tensor/quantized_tensor_impl.h>

#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace octet::nn::quantized {
namespace {

using kernels::ConvolutionGeometry;
using kernels::Spatial;

std::vector<int64_t> kernel_sizes(const ConvolutionOptions& options) {
  return {options.geometry.kernel.end() - options.dimensions, options.geometry.kernel.end()};
}

/// To be printed.
struct KernelSizes {
  const ConvolutionOptions& options;
};
std::ostream& operator<<(std::ostream& stream, const KernelSizes& sizes) {
  return stream << at::IntArrayRef(kernel_sizes(sizes.options));
}

/// [rows, columns, kernel...]
std::vector<int64_t> with_kernel(const ConvolutionOptions& options, std::vector<int64_t> sizes) {
  const std::vector<int64_t> kernel = kernel_sizes(options);
  sizes.insert(sizes.end(), kernel.begin(), kernel.end());
  return sizes;
}

/// What torch.nn gives a weight as its shape.
std::vector<int64_t> weight_sizes(const ConvolutionOptions& options) {
  const ConvolutionGeometry& g = options.geometry;
  return g.transposed ? with_kernel(options, {g.in_channels, g.out_channels / g.groups})
                      : with_kernel(options, {g.out_channels, g.in_channels / g.groups});
}

WeightLayout layout_of(const ConvolutionOptions& options) { return {options.geometry.transposed ? options.geometry.groups : 0}; }

/// [first, channels, sizes...] as the kernels read weights and images: memory with the channels of a pixel side by side. What is so
/// already stays as it is.
at::Tensor channels_last(const at::Tensor& integers) {
  if (integers.is_contiguous(integers.dim() == 5 ? at::MemoryFormat::ChannelsLast3d : at::MemoryFormat::ChannelsLast)) {
    return integers;
  }
  const at::Tensor view = integers.movedim(1, -1);
  const int64_t channels = integers.size(1);
  if (view.is_contiguous() || !integers.is_contiguous() || channels > kernels::kMostPlanes || channels == 0) {
    return view.contiguous();
  }
  const at::Tensor out = empty_activation(view.sizes(), integers.scalar_type());
  const int64_t images = integers.size(0), pixels = images == 0 ? 0 : integers.numel() / (images * channels);
  kernels::channels_last(static_cast<const uint8_t*>(integers.const_data_ptr()), images, channels, pixels,
                         static_cast<uint8_t*>(out.data_ptr()), parallel_for);
  return out;
}

/// [batch, channels, sizes...], channels last.
at::Tensor empty_channels_last(int64_t batch, int64_t channels, const Spatial& size, int64_t dimensions, at::ScalarType dtype) {
  c10::SmallVector<int64_t, 5> sizes{batch, channels};
  sizes.append(size.end() - dimensions, size.end());
  if (dimensions > 1) {
    return empty_activation(sizes, dtype, dimensions == 2 ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::ChannelsLast3d);
  }
  return empty_activation({batch, sizes[2], channels}, dtype).transpose(1, 2);
}

kernels::PackedConvolution pack(const at::Tensor& integers, const ConvolutionGeometry& geometry, const std::string& where) {
  try {
    return {channels_last(integers).const_data_ptr<int8_t>(), geometry};
  } catch (const std::invalid_argument& error) {
    fail(where, ": ", error.what(), "; keep this module in float with a null qconfig");
  }
}

/// Which element of a dimension stands at each place of the padded one.
at::Tensor padded_index(int64_t size, int64_t before, int64_t after, const std::string& mode) {
  check(mode == "replicate" || std::max(before, after) < size + (mode == "circular" ? 1 : 0), ModulePathScope::current(),
        ": got an input of size ", size, " along a dimension that is padded by ", std::max(before, after), " in the mode ", mode,
        ", which takes no more than it has");
  std::vector<int64_t> index;
  for (int64_t i = -before; i < size + after; ++i) {
    if (mode == "circular") {
      index.push_back((i + size) % size);
    } else if (mode == "reflect") {
      index.push_back(i < 0 ? -i : i < size ? i : 2 * (size - 1) - i);
    } else {
      index.push_back(std::clamp<int64_t>(i, 0, size - 1));
    }
  }
  return at::tensor(index);
}

/// @param integers  [batch, channels, sizes...]
at::Tensor pad(at::Tensor integers, const ConvolutionOptions& options, int64_t zero_point) {
  const std::vector<int64_t>& widths = options.explicit_padding;
  if (options.padding_mode == "zeros") {
    std::vector<int64_t> last_first;
    for (int64_t i = options.dimensions - 1; i >= 0; --i) last_first.insert(last_first.end(), {widths[2 * i], widths[2 * i + 1]});
    return at::constant_pad_nd(integers, last_first, zero_point);
  }
  for (int64_t i = 0; i < options.dimensions; ++i) {
    integers =
        integers.index_select(2 + i, padded_index(integers.size(2 + i), widths[2 * i], widths[2 * i + 1], options.padding_mode));
  }
  return integers;
}

/// One line in one piece: threads may run convolutions at once.
void say(kernels::ConvolutionAlgorithm algorithm, at::IntArrayRef input, at::IntArrayRef output, double milliseconds) {
  std::ostringstream line;
  line << "octet: " << ModulePathScope::current() << ": convolution by " << kernels::name(algorithm) << " on "
       << kernels::name(kernels::selected_isa()) << ", " << input << " -> " << output << ", " << milliseconds << " ms\n";
  std::cerr << line.str();
}

}  // namespace

ConvPackedParams::ConvPackedParams(const QuantizedWeight& weight, const at::Tensor& bias, const ConvolutionOptions& options,
                                   const std::string& where)
    : options_(options),
      packed_(pack(weight.integers, options.geometry, where)),
      scale_(weight.scale),
      zero_point_(weight.zero_point),
      bias_(float_bias(bias)) {
  for (size_t i = 0; i < options.geometry.kernel.size(); ++i) {
    const int64_t limit = std::max(options.geometry.stride[i], options.geometry.dilation[i]);
    check(options.geometry.output_padding[i] < limit, where, ": got output_padding ", options.geometry.output_padding[i],
          ", expected less than ", limit, ", the larger of stride and dilation");
  }
  check(zero_point_.empty() || packed_.depth() <= kernels::PackedWeight::kMaxAffineDepth, where, ": sums over ", packed_.depth(),
        " products of weights with zero points may overflow int32; use a symmetric weight observer");
}

ConvPackedParams ConvPackedParams::from_float(const at::Tensor& weight, const at::Tensor& bias, const ConvolutionOptions& options,
                                              const WeightObserver& observer, const std::string& where) {
  check_float_weight(weight, bias, options.geometry.out_channels, where);
  check(weight.sizes() == weight_sizes(options), where, ": got a weight of shape ", weight.sizes(), ", expected ",
        at::IntArrayRef(weight_sizes(options)));
  return {quantize_weight(layout_of(options).outputs_first(weight), observer, where), bias, options, where};
}

ConvPackedParams ConvPackedParams::from_state(const StateDict& state, const Attributes& attributes, const std::string& where) {
  const ConvolutionOptions options = ConvolutionOptions::from(attributes, where);
  const at::Tensor* const weight = state.find("weight");
  check(weight != nullptr, where, ": the tensor \"weight\" is missing");
  check(weight->scalar_type() == at::kChar && weight->sizes() == weight_sizes(options), where, ": \"weight\" is a ",
        weight->scalar_type(), " tensor of shape ", weight->sizes(), ", expected int8 of shape ",
        at::IntArrayRef(weight_sizes(options)));
  const int64_t channels = options.geometry.out_channels;
  return {quantized_weight_from(layout_of(options).outputs_first(*weight), channels, state, "weight", where),
          bias_from(state, "bias", channels, where), options, where};
}

void ConvPackedParams::append_to(StateDict& state) const {
  state.insert("weight", integers());
  append_qparams(state, "weight", scale_, zero_point_);
  if (bias_.defined()) state.insert("bias", at::Tensor(bias_));
}

int64_t ConvPackedParams::weight_bytes() const {
  return packed_.bytes() + static_cast<int64_t>(scale_.size() * sizeof(float) + zero_point_.size() * sizeof(int32_t)) +
         (bias_.defined() ? static_cast<int64_t>(bias_.nbytes()) : 0);
}

at::Tensor ConvPackedParams::integers() const {
  const ConvolutionGeometry& g = options_.geometry;
  std::vector<int64_t> sizes{g.out_channels};
  for (const int64_t size : kernel_sizes(options_)) sizes.push_back(size);
  sizes.push_back(g.in_channels / g.groups);
  const at::Tensor channels_last = at::empty(sizes, at::kChar);
  packed_.unpack(channels_last.data_ptr<int8_t>());
  return layout_of(options_).inputs_first(channels_last.movedim(-1, 1)).contiguous();
}

at::Tensor ConvPackedParams::weight() const {
  StateDict qparams;
  append_qparams(qparams, "weight", scale_, zero_point_);
  const at::Tensor &scale = qparams["weight_scale"], &zero_point = qparams["weight_zero_point"];
  if (scale_.size() == 1) return make_per_tensor_quantized(integers(), scale.item<double>(), zero_point.item<int64_t>());
  check(!options_.geometry.transposed || options_.geometry.groups == 1,
        "weight(): a transposed convolution with groups and one scale for each output channel has no axis that its channels run ",
        "along; state_dict() has the integers and the scales");
  return make_per_channel_quantized(integers(), scale, zero_point, options_.geometry.transposed ? 1 : 0);
}

at::Tensor ConvPackedParams::apply(const at::Tensor& input, const OutputQParams& output, bool relu,
                                   const at::Tensor* residual) const {
  const std::string_view path = ModulePathScope::current();
  const ConvolutionGeometry& geometry = options_.geometry;
  const int64_t dimensions = options_.dimensions;
  check_quantized_activation(input, "the input");
  const bool has_batch = input.dim() == dimensions + 2;
  check((has_batch || input.dim() == dimensions + 1) && input.size(has_batch ? 1 : 0) == geometry.in_channels, path,
        ": got an input of shape ", input.sizes(), ", expected [batch, ", geometry.in_channels, "] and ", dimensions,
        " sizes, or the same without the batch");

  auto [integers, offset] = stored_as(octet::int_repr(input), at::kByte);
  const int64_t zero_point = octet::q_zero_point(input) + offset;
  if (!has_batch) integers = integers.unsqueeze(0);
  if (!options_.explicit_padding.empty()) integers = pad(integers, options_, zero_point);
  const at::Tensor images = channels_last(integers);

  kernels::ConvolutionInput in{images.const_data_ptr<uint8_t>(),
                               integers.size(0),
                               {1, 1, 1},
                               static_cast<float>(octet::q_scale(input)),
                               static_cast<int32_t>(zero_point)};
  std::copy(integers.sizes().begin() + 2, integers.sizes().end(), in.size.end() - dimensions);
  const Spatial size = geometry.output_size(in.size);
  check(std::all_of(size.begin(), size.end(), [](int64_t extent) { return extent > 0; }), path, ": got an input of shape ",
        input.sizes(), ", on which a kernel of ", KernelSizes{options_}, " does not fit");
  const at::Tensor result = empty_channels_last(in.batch, geometry.out_channels, size, dimensions, info(output.dtype).storage);

  kernels::Epilogue epilogue{bias_.defined() ? bias_.const_data_ptr<float>() : nullptr, relu};
  at::Tensor residual_images;
  kernels::Residual added;
  if (residual) {
    check_quantized_activation(*residual, "the residual");
    check(residual->sizes() == (has_batch ? result : result.squeeze(0)).sizes(), path, ": got a residual of shape ",
          residual->sizes(), ", expected ", (has_batch ? result : result.squeeze(0)).sizes());
    const auto [values, residual_offset] = stored_as(octet::int_repr(*residual), at::kByte);
    residual_images = channels_last(has_batch ? values : values.unsqueeze(0));
    added = {{residual_images.const_data_ptr<uint8_t>(), geometry.out_channels},
             static_cast<float>(octet::q_scale(*residual)),
             static_cast<int32_t>(octet::q_zero_point(*residual)) + residual_offset};
    epilogue.residual = &added;
  }
  const kernels::WeightQParams qparams{scale_.data(), scale_.size() > 1, zero_point_.empty() ? nullptr : zero_point_.data()};
  using Clock = std::chrono::steady_clock;
  const bool verbose = is_verbose();
  const auto started = verbose ? Clock::now() : Clock::time_point();
  with_byte_type(output.dtype, [&]<class T>() {
    kernels::convolution(in, packed_, qparams, epilogue, output.affine(), result.data_ptr<T>(), parallel_for);
  });
  if (verbose) {
    const std::chrono::duration<double, std::milli> elapsed = Clock::now() - started;
    say(kernels::convolution_algorithm(in, packed_, !zero_point_.empty()), input.sizes(), result.sizes(), elapsed.count());
  }
  return wrap(has_batch ? result : result.squeeze(0), std::make_shared<const Quantizer>(output.quantizer()));
}

kernels::ConvolutionAlgorithm ConvPackedParams::algorithm(at::IntArrayRef input_sizes) const {
  check(static_cast<int64_t>(input_sizes.size()) == options_.dimensions + 2,
        "ConvPackedParams::algorithm: got an input of shape ", input_sizes, ", expected [batch, channels] and ",
        options_.dimensions, " sizes");
  kernels::ConvolutionInput input{.batch = input_sizes[0]};
  for (int64_t i = 0; i < options_.dimensions; ++i) {
    const int64_t padding =
        options_.explicit_padding.empty() ? 0 : options_.explicit_padding[2 * i] + options_.explicit_padding[2 * i + 1];
    input.size[input.size.size() - options_.dimensions + i] = input_sizes[2 + i] + padding;
  }
  return kernels::convolution_algorithm(input, packed_, !zero_point_.empty());
}

}  // namespace octet::nn::quantized
