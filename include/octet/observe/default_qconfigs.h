#pragma once

#include <octet/observe/default_fake_quantize.h>
#include <octet/observe/default_observers.h>
#include <octet/observe/per_group_min_max_observer.h>
#include <octet/observe/qconfig.h>

#include <string_view>

namespace octet {

// The QConfigs of torch.ao.quantization.qconfig under their names there; those that torch.ao lacks say so.

/// Static quantization, for debugging: activations in 0..127.
inline const QConfig default_qconfig{default_observer, default_weight_observer};
inline const QConfig default_debug_qconfig{default_debug_observer, default_weight_observer};
inline const QConfig default_per_channel_qconfig{default_observer, default_per_channel_weight_observer};

/// Dynamic quantization: weights per tensor, or per output channel.
inline const QConfig default_dynamic_qconfig{default_dynamic_quant_observer, default_weight_observer};
inline const QConfig per_channel_dynamic_qconfig{default_dynamic_quant_observer, default_per_channel_weight_observer};

/// Not in torch.ao: as per_channel_dynamic_qconfig, with a scale and zero point for each row of the activations. A row's result
/// does not depend on the rest of its batch, and transformers, whose tokens differ in range, keep their accuracy.
inline const QConfig per_row_dynamic_qconfig{
    PlaceholderObserver::with_args(
        PlaceholderObserverOptions().dtype(quint8).quant_min(0).quant_max(255).is_dynamic(true).per_row(true)),
    default_per_channel_weight_observer};

/// Halves: weights only, or activations too.
inline const QConfig float16_dynamic_qconfig{
    PlaceholderObserver::with_args(PlaceholderObserverOptions().dtype(float16).is_dynamic(true)),
    PlaceholderObserver::with_args(PlaceholderObserverOptions().dtype(float16))};
inline const QConfig float16_static_qconfig{PlaceholderObserver::with_args(PlaceholderObserverOptions().dtype(float16)),
                                            PlaceholderObserver::with_args(PlaceholderObserverOptions().dtype(float16))};

/// Embedding tables in 8, 4 and 2 bits (the last is not in torch.ao).
inline const QConfig float_qparams_weight_only_qconfig{default_placeholder_observer, default_float_qparams_observer};
inline const QConfig float_qparams_weight_only_qconfig_4bit{default_placeholder_observer, default_float_qparams_observer_4bit};
inline const QConfig float_qparams_weight_only_qconfig_2bit{default_placeholder_observer, default_float_qparams_observer_2bit};

/// Not in torch.ao: Linear, LinearReLU and recurrent modules with weights of 4 bits, in groups along the inputs that have a scale
/// each; activations stay floats. torchao's Int4WeightOnlyConfig. For modules that take longer to read their weights than to
/// multiply: batches of a few rows.
/// @param group_size  32, 64 or 128. Where it does not divide the number of inputs, the last group is shorter
/// @param qscheme     per_channel_affine: a zero point for each group as well; per_channel_symmetric: none
/// @throws Error for other values
QConfig int4_weight_only_qconfig(int64_t group_size = 128, QScheme qscheme = per_channel_affine);

/// Quantization-aware training; v2 with fused fake quantizers.
inline const QConfig default_qat_qconfig{default_fake_quant, default_weight_fake_quant};
inline const QConfig default_qat_qconfig_v2{default_fused_act_fake_quant, default_fused_wt_fake_quant};
inline const QConfig default_dynamic_qat_qconfig{default_dynamic_fake_quant, default_weight_fake_quant};
inline const QConfig default_weight_only_qconfig{ObserverFactory(), default_weight_fake_quant};
inline const QConfig default_activation_only_qconfig{default_fake_quant, ObserverFactory()};
inline const QConfig default_embedding_qat_qconfig{NoopObserver::with_args(NoopObserverOptions().dtype(float32)),
                                                   default_embedding_fake_quant};
inline const QConfig default_embedding_qat_qconfig_4bit{NoopObserver::with_args(NoopObserverOptions().dtype(float32)),
                                                        default_embedding_fake_quant_4bit};

/// Operators that keep the qparams of their input, and those with unsigned weights.
inline const QConfig default_reuse_input_qconfig{default_reuse_input_observer, NoopObserver::with_args()};
inline const QConfig default_quint8_weight_qconfig{HistogramObserver::with_args(), MinMaxObserver::with_args()};

namespace detail {
inline const ObserverFactory signed_histogram_observer =
    HistogramObserver::with_args(HistogramObserverOptions().dtype(qint8).eps(0x1p-12));
inline const ObserverFactory signed_fused_act_fake_quant =
    FusedMovingAvgObsFakeQuantize::with_args(MovingAverageMinMaxObserver::with_args(
        MovingAverageMinMaxObserverOptions().dtype(qint8).quant_min(-128).quant_max(127).eps(0x1p-12)));
}  // namespace detail

/// Signed activations and weights in -127..127, as XNNPACK likes them.
inline const QConfig default_symmetric_qnnpack_qconfig{detail::signed_histogram_observer, weight_observer_range_neg_127_to_127};
inline const QConfig default_per_channel_symmetric_qnnpack_qconfig{detail::signed_histogram_observer,
                                                                   per_channel_weight_observer_range_neg_127_to_127};
inline const QConfig default_symmetric_qnnpack_qat_qconfig{detail::signed_fused_act_fake_quant,
                                                           fused_wt_fake_quant_range_neg_127_to_127};
inline const QConfig default_per_channel_symmetric_qnnpack_qat_qconfig{detail::signed_fused_act_fake_quant,
                                                                       fused_per_channel_wt_fake_quant_range_neg_127_to_127};

/// The QConfig of static quantization for a backend: "x86", "fbgemm", "qnnpack" and "onednn" have torch.ao's observers and
/// options. "octet" is for the engine here, which needs no reduced range: 8-bit activations by their histogram, weights per
/// channel in -128..127.
/// @param version  0, the only one
/// @throws Error for an unknown backend or version, which lists the known ones
QConfig get_default_qconfig(std::string_view backend = "x86", int version = 0);

/// The QConfig of quantization-aware training for a backend.
/// @param version  0 for observers with separate fake quantization, 1 for fused ones
/// @throws Error for an unknown backend or version, which lists the known ones
QConfig get_default_qat_qconfig(std::string_view backend = "x86", int version = 1);

}  // namespace octet
