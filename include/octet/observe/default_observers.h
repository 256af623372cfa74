#pragma once

#include <octet/observe/fixed_qparams_observer.h>
#include <octet/observe/histogram_observer.h>
#include <octet/observe/min_max_observer.h>
#include <octet/observe/placeholder_observer.h>

namespace octet {

// The factories of torch.ao.quantization.observer under their names there, with its options.

/// Unsigned activations in 0..127.
inline const ObserverFactory default_observer = MinMaxObserver::with_args(MinMaxObserverOptions().quant_min(0).quant_max(127));

inline const ObserverFactory default_placeholder_observer = PlaceholderObserver::with_args();

inline const ObserverFactory default_debug_observer = RecordingObserver::with_args();

/// Signed symmetric weights, one scale for all.
inline const ObserverFactory default_weight_observer =
    MinMaxObserver::with_args(MinMaxObserverOptions().dtype(qint8).qscheme(per_tensor_symmetric));

/// The same in -127..127.
inline const ObserverFactory weight_observer_range_neg_127_to_127 = MinMaxObserver::with_args(
    MinMaxObserverOptions().dtype(qint8).qscheme(per_tensor_symmetric).quant_min(-127).quant_max(127).eps(0x1p-12));

/// Unsigned activations in 0..127 by their histogram.
inline const ObserverFactory default_histogram_observer =
    HistogramObserver::with_args(HistogramObserverOptions().quant_min(0).quant_max(127));

/// Signed symmetric weights, a scale for each output channel.
inline const ObserverFactory default_per_channel_weight_observer =
    PerChannelMinMaxObserver::with_args(PerChannelMinMaxObserverOptions().dtype(qint8).qscheme(per_channel_symmetric));

/// The same in -127..127.
inline const ObserverFactory per_channel_weight_observer_range_neg_127_to_127 = PerChannelMinMaxObserver::with_args(
    PerChannelMinMaxObserverOptions().dtype(qint8).qscheme(per_channel_symmetric).quant_min(-127).quant_max(127).eps(0x1p-12));

/// Activations of dynamic quantization.
inline const ObserverFactory default_dynamic_quant_observer =
    PlaceholderObserver::with_args(PlaceholderObserverOptions().dtype(quint8).quant_min(0).quant_max(255).is_dynamic(true));

/// Embedding tables, a float scale and zero point for each row.
inline const ObserverFactory default_float_qparams_observer =
    PerChannelMinMaxObserver::with_args(PerChannelMinMaxObserverOptions().qscheme(per_channel_affine_float_qparams));

/// The same in 4 bits.
inline const ObserverFactory default_float_qparams_observer_4bit = PerChannelMinMaxObserver::with_args(
    PerChannelMinMaxObserverOptions().dtype(quint4x2).qscheme(per_channel_affine_float_qparams));

/// The same in 2 bits, which torch.ao has as a dtype but not as an observer.
inline const ObserverFactory default_float_qparams_observer_2bit = PerChannelMinMaxObserver::with_args(
    PerChannelMinMaxObserverOptions().dtype(quint2x4).qscheme(per_channel_affine_float_qparams));

/// Outputs of tanh.
inline const ObserverFactory default_fixed_qparams_range_neg1to1_observer =
    FixedQParamsObserver::with_args(FixedQParamsObserverOptions(2.0 / 256, 128).quant_min(0).quant_max(255));

/// Outputs of sigmoid, hardsigmoid and softmax.
inline const ObserverFactory default_fixed_qparams_range_0to1_observer =
    FixedQParamsObserver::with_args(FixedQParamsObserverOptions(1.0 / 256, 0).quant_min(0).quant_max(255));

inline const ObserverFactory default_reuse_input_observer = ReuseInputObserver::with_args();

}  // namespace octet
