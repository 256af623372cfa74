// What the tests of this layer share: the same tensor quantized by us and by ATen, and how to compare the two.
#pragma once

#include <octet/tensor/quantize.h>
#include <octet/tensor/quantized_tensor.h>

#include <gtest/gtest.h>
#include <support/errors.h>
#include <torch/torch.h>

#include <functional>
#include <string>
#include <vector>

namespace octet::test {

/// Equal dtype, sizes and bits; NaN equals itself, 0 differs from -0.
inline bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  if (a.scalar_type() != b.scalar_type() || a.sizes() != b.sizes()) return false;
  if (a.scalar_type() == at::kFloat) return a.contiguous().view(at::kInt).equal(b.contiguous().view(at::kInt));
  return a.equal(b);
}

inline void expect_error(const std::function<void()>& call, const std::string& part) {
  const std::string text = error_text(call);
  EXPECT_NE(text.find(part), std::string::npos) << "expected: " << part << "\nthe text is: " << text;
}

inline at::ScalarType aten_dtype(DType dtype) {
  switch (dtype) {
    case quint8:
      return at::kQUInt8;
    case qint8:
      return at::kQInt8;
    case qint32:
      return at::kQInt32;
    case quint4x2:
      return at::kQUInt4x2;
    default:
      return at::kQUInt2x4;
  }
}

/// The same integers, scale and zero point, as our tensor and as ATen's. Not for sub-byte dtypes.
struct Twins {
  at::Tensor ours;
  at::Tensor atens;

  Twins(const at::Tensor& values, double scale, int64_t zero_point, DType dtype)
      : ours(quantize_per_tensor(values, scale, zero_point, dtype)),
        atens(at::_make_per_tensor_quantized_tensor(octet::int_repr(ours).contiguous(), scale, zero_point)
                  .contiguous(values.suggest_memory_format())) {}
};

/// Sizes, scale, zero point and every integer are ATen's; integers may differ by `tolerance`.
inline void expect_twins(const at::Tensor& ours, const at::Tensor& atens, const std::string& what, int64_t tolerance = 0) {
  ASSERT_TRUE(is_quantized(ours)) << what;
  ASSERT_EQ(ours.sizes(), atens.sizes()) << what;
  EXPECT_EQ(octet::q_scale(ours), atens.q_scale()) << what;
  EXPECT_EQ(octet::q_zero_point(ours), atens.q_zero_point()) << what;
  if (ours.numel() == 0) return;
  const auto difference = (octet::int_repr(ours).to(at::kLong) - atens.int_repr().to(at::kLong)).abs().max().item<int64_t>();
  EXPECT_LE(difference, tolerance) << what;
}

using Op = std::function<at::Tensor(const at::Tensor&)>;

/// An op, and sizes of tensors that it takes.
struct Case {
  std::string name;
  std::vector<int64_t> sizes;
  Op op;
};

/// Random tensors of these sizes in all layouts that they can have: contiguous, channels last, transposed.
inline std::vector<at::Tensor> in_all_layouts(const std::vector<int64_t>& sizes) {
  const at::Tensor values = torch::randn(sizes) * 4;
  std::vector<at::Tensor> layouts{values};
  if (sizes.size() == 4) layouts.push_back(values.contiguous(at::MemoryFormat::ChannelsLast));
  if (sizes.size() == 5) layouts.push_back(values.contiguous(at::MemoryFormat::ChannelsLast3d));
  if (sizes.size() >= 2) layouts.push_back(values.transpose(-1, -2).contiguous().transpose(-1, -2));
  return layouts;
}

/// Runs each case on our tensor and on ATen's, over dtypes, layouts and several qparams.
inline void expect_atens_results(const std::vector<Case>& cases, const std::vector<DType>& dtypes, int64_t tolerance = 0) {
  torch::manual_seed(8);
  for (const Case& one : cases) {
    for (const at::Tensor& values : in_all_layouts(one.sizes)) {
      for (const DType dtype : dtypes) {
        for (const auto& [scale, zero_point] : {std::pair{0.05, 3}, std::pair{0.11, 64}, std::pair{0.0078125, 101}}) {
          const Twins twins(values, scale, zero_point, dtype);
          const std::string what = one.name + c10::str(" of ", dtype, " scale ", scale, " strides ", values.strides());
          expect_twins(one.op(twins.ours), one.op(twins.atens), what, tolerance);
        }
      }
    }
  }
}

}  // namespace octet::test
