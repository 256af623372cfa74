#pragma once

#include <octet/observe/fake_quantize.h>

#include <torch/arg.h>

#include <utility>

namespace octet {

/// A factory of observers, as of other fake quantizers, and how the step size learns.
class LearnableFakeQuantizeOptions {
 public:
  /* implicit */ LearnableFakeQuantizeOptions(ObserverFactory observer = MovingAverageMinMaxObserver::with_args())
      : observer_(std::move(observer)) {}

  /// Makes the observer of which the first scale and zero point come; of any scheme but per_channel_affine_float_qparams.
  TORCH_ARG(ObserverFactory, observer);

  /// Divide the gradients of scale and zero point by sqrt(numel * quant_max), numel being the elements of the input. The paper
  /// does, torch.ao does not unless told to: with many elements the scale then needs a learning rate of its own.
  TORCH_ARG(bool, use_grad_scaling) = false;

 public:
  Arguments arguments() const;
};

/// Fake quantization with a learned step size (LSQ: Esser et al., "Learned Step Size Quantization", arXiv 1902.08153), for low
/// bit widths: torch.ao's _LearnableFakeQuantize. `scale` and `zero_point` are parameters, float32 of [1] or [channels].
///
/// 1. At first they are the observer's, batch by batch, and do not learn (static estimate).
/// 2. enable_param_learning() stops that; from then on they learn by the gradients
///      d out / d scale      = round(x / scale) - x / scale where x was rounded only, the bound minus zero_point where it was
///      clamped, d out / d zero_point = -scale where x was clamped, else 0.
///    Symmetric schemes keep their zero point.
///
/// Both stay the same tensors for the module's life: an optimizer that was made of the model's parameters before the first batch,
/// when the number of channels is not yet known, need not be made anew. Give them no weight decay. Unlike in torch.ao, the
/// gradients are computed with the integer zero point that the forward pass rounds with, negative ones included.
///
/// Buffers beside FakeQuantizeBase's: `static_enabled` (what enable_observer() and disable_observer() switch; `observer_enabled`
/// is of no effect and there for the sake of Python's checkpoints), `learning_enabled` and `eps` [1], the lowest scale.
class LearnableFakeQuantize : public ObserverOf<LearnableFakeQuantize, LearnableFakeQuantizeOptions, FakeQuantizeBase> {
 public:
  /// @throws Error for an observer that computes no integer zero points
  explicit LearnableFakeQuantize(const Options& options = {});

  /// Scale and zero point learn, the observer rests. @throws Error if there is nothing to begin with: nothing was seen yet
  void enable_param_learning();
  /// They are the observer's again.
  void enable_static_estimate();
  /// The observer sees what passes through, which is not fake-quantized.
  void enable_static_observation();

  bool learns() const { return learning_enabled_.item<bool>(); }

  /// The learned ones: a scale of eps or more and an integer zero point in range. @throws Error if nothing was seen yet
  QParams calculate_qparams() const override;

  /// The observer's state; scale and zero point follow it unless they learn.
  void reduce_over_ranks(RankReduction& reduction) override;

 protected:
  at::Tensor fake_quantize(const at::Tensor& x) override;
  void copy_unregistered_state(const ObserverBase& other) override;

 private:
  void set_learning(bool enabled);
  at::Tensor integer_zero_point() const;

  at::Tensor learning_enabled_;
  at::Tensor eps_;
};

/// For `model->apply(octet::enable_param_learning)`: lets the module learn if it is a LearnableFakeQuantize, else does nothing.
void enable_param_learning(torch::nn::Module& module);
void enable_static_estimate(torch::nn::Module& module);

}  // namespace octet
