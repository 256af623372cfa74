#pragma once

#include <octet/observe/default_observers.h>
#include <octet/observe/fake_quantize.h>

namespace octet {

// The factories of torch.ao.quantization.fake_quantize under their names there, with its options.

namespace detail {
inline MovingAverageMinMaxObserverOptions unsigned_activations() {
  return MovingAverageMinMaxObserverOptions().quant_min(0).quant_max(255);
}
inline MovingAverageMinMaxObserverOptions signed_weights(int64_t quant_min = -128) {
  return MovingAverageMinMaxObserverOptions().dtype(qint8).qscheme(per_tensor_symmetric).quant_min(quant_min).quant_max(127);
}
inline MovingAveragePerChannelMinMaxObserverOptions signed_weights_per_channel(int64_t quant_min = -128) {
  return MovingAveragePerChannelMinMaxObserverOptions()
      .dtype(qint8)
      .qscheme(per_channel_symmetric)
      .quant_min(quant_min)
      .quant_max(127);
}
inline MovingAveragePerChannelMinMaxObserverOptions embedding_rows() {
  return MovingAveragePerChannelMinMaxObserverOptions().qscheme(per_channel_affine_float_qparams).averaging_constant(1);
}
}  // namespace detail

inline const ObserverFactory default_fake_quant =
    FakeQuantize::with_args(MovingAverageMinMaxObserver::with_args(detail::unsigned_activations().reduce_range(true)));

inline const ObserverFactory default_weight_fake_quant =
    FakeQuantize::with_args(MovingAverageMinMaxObserver::with_args(detail::signed_weights()));

inline const ObserverFactory default_dynamic_fake_quant = FakeQuantize::with_args(
    MovingAverageMinMaxObserver::with_args(detail::unsigned_activations().is_dynamic(true).averaging_constant(1)));

inline const ObserverFactory default_fixed_qparams_range_neg1to1_fake_quant =
    FixedQParamsFakeQuantize::with_args(default_fixed_qparams_range_neg1to1_observer);

inline const ObserverFactory default_fixed_qparams_range_0to1_fake_quant =
    FixedQParamsFakeQuantize::with_args(default_fixed_qparams_range_0to1_observer);

inline const ObserverFactory default_per_channel_weight_fake_quant =
    FakeQuantize::with_args(MovingAveragePerChannelMinMaxObserver::with_args(detail::signed_weights_per_channel()));

inline const ObserverFactory default_embedding_fake_quant = FakeQuantize::with_args(
    MovingAveragePerChannelMinMaxObserver::with_args(detail::embedding_rows().quant_min(0).quant_max(255)));

inline const ObserverFactory default_embedding_fake_quant_4bit =
    FakeQuantize::with_args(MovingAveragePerChannelMinMaxObserver::with_args(detail::embedding_rows().dtype(quint4x2)));

inline const ObserverFactory default_histogram_fake_quant = FakeQuantize::with_args(
    HistogramObserver::with_args(HistogramObserverOptions().quant_min(0).quant_max(255).reduce_range(true)));

inline const ObserverFactory default_fused_act_fake_quant =
    FusedMovingAvgObsFakeQuantize::with_args(MovingAverageMinMaxObserver::with_args(detail::unsigned_activations()));

inline const ObserverFactory default_fused_wt_fake_quant =
    FusedMovingAvgObsFakeQuantize::with_args(MovingAverageMinMaxObserver::with_args(detail::signed_weights()));

inline const ObserverFactory default_fused_per_channel_wt_fake_quant = FusedMovingAvgObsFakeQuantize::with_args(
    MovingAveragePerChannelMinMaxObserver::with_args(detail::signed_weights_per_channel()));

inline const ObserverFactory fused_wt_fake_quant_range_neg_127_to_127 =
    FusedMovingAvgObsFakeQuantize::with_args(MovingAverageMinMaxObserver::with_args(detail::signed_weights(-127).eps(0x1p-12)));

inline const ObserverFactory fused_per_channel_wt_fake_quant_range_neg_127_to_127 = FusedMovingAvgObsFakeQuantize::with_args(
    MovingAveragePerChannelMinMaxObserver::with_args(detail::signed_weights_per_channel(-127).eps(0x1p-12)));

}  // namespace octet
