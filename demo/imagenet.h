// The job for users' own networks: a MobileNetV2 is quantized statically in several ways, and compared with itself in float.
#pragma once

#include "result_table.h"

#include <cstdint>
#include <filesystem>

namespace demo {

struct ImagenetArguments {
  std::filesystem::path checkpoint;  ///< safetensors with torchvision's names
  std::filesystem::path images;      ///< a folder of JPEGs, searched with its subfolders
  std::filesystem::path classes;     ///< names of the classes, one a line; empty: they are numbers
  int64_t max_images = 500;
};

/// Calibrates on some of the images (half of them, at most 100) and compares on the others. Prints what it finds, and the files
/// that it could not read.
/// @throws std::exception for a checkpoint, a folder or names that cannot be used, and for fewer than 2 images
ResultTable run_imagenet(const ImagenetArguments& arguments);

}  // namespace demo
