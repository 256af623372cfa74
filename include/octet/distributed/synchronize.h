#pragma once

#include <octet/distributed/process_group.h>

#include <torch/nn/module.h>

namespace octet::distributed {

/// Gives the observers and fake quantizers of a model, on all ranks, the state of ones that saw what all ranks' have seen: each
/// process calibrates with its part of the data, and all get the same qparams. Ranks may have seen different numbers of batches,
/// or none. Collective.
///
/// Extremes (MinMaxObserver, PerChannelMinMaxObserver) and the histograms of EntropyObserver, PercentileObserver and MSEObserver
/// come out exactly as on one process that sees everything. A HistogramObserver's counts are moved to the range of all, each by
/// less than a bin. Moving averages get the lowest minimum and the highest maximum. Fake quantizers' scales follow unless they
/// learn. What is no state of observing (which fake quantizers are enabled, say) stays as it is on each rank.
///
/// Extremes and moving averages can be reduced again and again in training. Histograms should be once, after all data: counts
/// that all ranks have from an earlier call are summed again, once for each rank.
/// @throws Error, on all ranks alike, before any change if the ranks' models have different observers, and at the first observer
///         of which the ranks saw different numbers of channels; those before it are reduced then
void sync_observers(torch::nn::Module& model, const ProcessGroup& group);

/// Gives all ranks the parameters, buffers and observers' states of rank 0, in place. What is quantized already stays as it is on
/// each rank. Collective.
///
/// BatchNorm's running statistics are buffers: each rank's are of its part of the data, and those of rank 0 are taken.
/// @throws Error, on all ranks alike and before any change, if the ranks' models differ in a name, a dtype or a size
void broadcast_state(torch::nn::Module& model, const ProcessGroup& group);

}  // namespace octet::distributed
