#include <octet/tensor/error.h>
#include <octet/tensor/quantize.h>
#include <octet/tensor/quantized_tensor.h>

#include <nn/int4_weight.h>
#include <nn/sub_byte_rows.h>
#include <observe/group_rows.h>

#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <utility>

namespace octet::nn {
namespace {

using kernels::PackedInt4Weight;

constexpr int kBits = 4;
constexpr std::array<int64_t, 3> kGroupSizes{32, 64, 128};

/// One byte for each integer: what goes into and comes out of the kernels' layout.
struct Int4Weight {
  at::Tensor integers;           // uint8, [out_features, in_features], 0 .. 15
  at::Tensor scale, zero_point;  // float32 and uint8 (0 .. 15), [out_features, groups]
};

int64_t divided_up(int64_t k, int64_t size) { return k / size + (k % size != 0); }

/// The smallest group size that cuts k inputs into so many groups. A larger one that does too, makes one group of all.
std::optional<int64_t> group_size_of(int64_t k, int64_t groups) {
  const auto* const found = std::ranges::find_if(kGroupSizes, [&](int64_t size) { return divided_up(k, size) == groups; });
  return found == kGroupSizes.end() ? std::nullopt : std::optional(*found);
}

PackedInt4Weight packed(const Int4Weight& weight, int64_t group_size) {
  constexpr int32_t kOffset = PackedInt4Weight::kSymmetricOffset;
  const bool symmetric = (weight.zero_point == kOffset).all().item<bool>();
  const auto plain = [&](const at::Tensor& integers) {
    const at::Tensor wide = integers.to(at::kChar);
    return (symmetric ? wide - kOffset : wide).contiguous();
  };
  const at::Tensor integers = plain(weight.integers), scale = weight.scale.contiguous(), zero_point = plain(weight.zero_point);
  return {integers.const_data_ptr<int8_t>(),
          integers.size(0),
          integers.size(1),
          group_size,
          scale.const_data_ptr<float>(),
          symmetric ? nullptr : zero_point.const_data_ptr<int8_t>()};
}

Int4Weight unpacked(const PackedInt4Weight& weight) {
  at::Tensor integers = at::empty({weight.n(), weight.k()}, at::kChar),
             scale = at::empty({weight.n(), weight.groups()}, at::kFloat),
             zero_point = at::empty({weight.n(), weight.groups()}, at::kChar);
  weight.unpack(integers.data_ptr<int8_t>(), scale.data_ptr<float>(), zero_point.data_ptr<int8_t>());
  if (weight.symmetric()) {
    integers += PackedInt4Weight::kSymmetricOffset;
    zero_point += PackedInt4Weight::kSymmetricOffset;
  }
  return {integers.to(at::kByte), scale, zero_point.to(at::kByte)};
}

}  // namespace

PackedInt4Weight quantize_int4_weight(const at::Tensor& weight, const WeightObserver& observer, const std::string& where) {
  const QuantizationTarget& target = observer.target();
  const bool has_kernels = std::ranges::find(kGroupSizes, target.group_size) != kGroupSizes.end();
  check(target.dtype == quint4x2 && has_kernels, where, ": got a weight observer of dtype ", target.dtype, " in groups of ",
        target.group_size, ", expected quint4x2 in groups of 32, 64 or 128, as int4_weight_only_qconfig() has it");
  const at::Tensor values = weight.detach().to(at::kFloat).contiguous();
  const int64_t n = values.size(0), k = values.size(1), groups = divided_up(k, target.group_size);
  const auto [scale, zero_point] = observer.qparams_for(values, where);
  check(at::isfinite(scale).all().item<bool>(), where,
        ": the values of a group lie so far apart that float32 cannot hold their range");
  const at::Tensor rows = quantize_per_channel(groups_as_rows(values, target.group_size), scale, zero_point, 0, quint8);
  const at::Tensor integers = octet::int_repr(rows).clamp(target.quant_min, target.quant_max);
  return packed({integers.reshape({n, groups * target.group_size}).slice(1, 0, k), scale.reshape({n, groups}),
                 zero_point.to(at::kByte).reshape({n, groups})},
                *group_size_of(k, groups));
}

void append_int4_weight(StateDict& state, const std::string& name, const PackedInt4Weight& weight) {
  const auto [integers, scale, zero_point] = unpacked(weight);
  state.insert(name, pack_rows(integers, kBits));
  state.insert(name + "_shape", at::tensor({weight.n(), weight.k()}));
  state.insert(name + "_scale", at::Tensor(scale));
  state.insert(name + "_zero_point", at::Tensor(zero_point));
}

PackedInt4Weight int4_weight_from(const StateDict& state, const std::string& name, const std::string& where) {
  const auto tensor = [&](const char* suffix, at::ScalarType dtype, at::IntArrayRef shape) {
    const at::Tensor* const found = state.find(name + suffix);
    check(found != nullptr, where, ": the tensor \"", name, suffix, "\" is missing");
    check(found->scalar_type() == dtype && found->sizes() == shape, where, ": \"", name, suffix, "\" is a ", found->scalar_type(),
          " tensor of shape ", found->sizes(), ", expected ", dtype, " of shape ", shape);
    return *found;
  };
  const at::Tensor shape = tensor("_shape", at::kLong, {2}).contiguous();
  const int64_t n = shape.const_data_ptr<int64_t>()[0], k = shape.const_data_ptr<int64_t>()[1];
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  check(0 <= n && n <= kMost && 0 <= k && k <= kMost, where, ": \"", name, "_shape\" says [", n, ", ", k,
        "], expected [out_features, in_features]");
  const at::Tensor bytes = tensor("", at::kByte, {n, divided_up(k, 2)});

  const at::Tensor* const scale = state.find(name + "_scale");
  check(scale != nullptr, where, ": the tensor \"", name, "_scale\" is missing");
  const auto group_size = scale->dim() == 2 ? group_size_of(k, scale->size(1)) : std::nullopt;
  check(scale->scalar_type() == at::kFloat && group_size && scale->size(0) == n, where, ": \"", name, "_scale\" is a ",
        scale->scalar_type(), " tensor of shape ", scale->sizes(), ", expected Float of shape [", n,
        ", groups] for groups of 32, 64 or 128 of the ", k, " inputs");
  check((*scale > 0).logical_and(at::isfinite(*scale)).all().item<bool>(), where, ": \"", name,
        "_scale\" holds values that are not positive and finite");
  const at::Tensor zero_point = tensor("_zero_point", at::kByte, scale->sizes());
  check((zero_point <= info(quint4x2).quant_max).all().item<bool>(), where, ": \"", name,
        "_zero_point\" holds values outside of 0 .. 15");
  return packed({unpack_rows(bytes, k, kBits), *scale, zero_point}, *group_size);
}

at::Tensor dequantize(const PackedInt4Weight& weight) {
  const auto [integers, scale, zero_point] = unpacked(weight);
  const auto of_inputs = [&](const at::Tensor& of_groups) {
    return of_groups.to(at::kFloat).repeat_interleave(weight.group_size(), 1).slice(1, 0, weight.k());
  };
  return (integers.to(at::kFloat) - of_inputs(zero_point)) * of_inputs(scale);
}

}  // namespace octet::nn
