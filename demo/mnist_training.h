// How the digits' network learns, in float or with fake quantization, in one process or in several.
#pragma once

#include "digits.h"
#include "mnist_network.h"

#include <octet/distributed/process_group.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace demo {

/// The processes that train together; none for one process alone.
using Group = std::optional<octet::distributed::ProcessGroup>;

inline bool is_first_rank(const Group& group) { return !group || group->rank() == 0; }

/// What training reached after an epoch.
struct LearningPoint {
  double loss;      ///< mean over the epoch, of the first rank's part
  double accuracy;  ///< on the test digits, in eval mode; as the first rank measures it
};

/// A course of training: Adam with a rate that rises over the first fifth and falls along a cosine.
struct Training {
  std::string name;
  int64_t epochs;
  double highest_rate;
  std::function<void(MnistNet&, int64_t epoch)> begin_epoch = [](MnistNet&, int64_t) {};
};

/// Trains a network in place, always alike on one machine with one number of threads and ranks; the first rank shows a progress
/// bar. With a group, each rank learns from its part of each batch, and afterwards all have the same network.
/// @return a point for each epoch; on other ranks than the first the accuracies are 0. The network is in eval mode
std::vector<LearningPoint> train(MnistNet net, const DigitSplit& digits, const Training& training, const Group& group = {});

/// The float network, from random weights.
inline const Training kFloatTraining{"fp32", 8, 5e-3};

/// A line for each course of training, with a cell for each epoch: the loss, and the accuracy.
std::string format_curves(const std::vector<std::pair<std::string, std::vector<LearningPoint>>>& curves);

}  // namespace demo
