// From JPEG files to the inputs of networks for ImageNet.
#pragma once

#include <torch/types.h>

#include <filesystem>

namespace demo {

/// Decodes a JPEG file, in colour or grey.
/// @return uint8 [3, height, width], red first
/// @throws std::runtime_error that says why it cannot: no JPEG, damaged or cut off, unreadable, more than 100 million pixels
torch::Tensor read_jpeg(const std::filesystem::path& path);

/// torchvision's Resize(256) and CenterCrop(224): bilinear with antialiasing, the shorter side to 256, then the middle.
/// @param image  uint8 [3, height, width]
/// @return uint8 [3, 224, 224]
/// @throws std::runtime_error for an image whose one side is more than 100 times the other
torch::Tensor resize_and_crop(const torch::Tensor& image);

/// torchvision's ToTensor() and Normalize() with the mean and standard deviation of ImageNet.
/// @param image  uint8 [3, height, width]
/// @return float [1, 3, height, width]
torch::Tensor normalize(const torch::Tensor& image);

}  // namespace demo
