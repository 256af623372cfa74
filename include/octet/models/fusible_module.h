#pragma once

#include <octet/workflow/fuse_modules.h>
#include <octet/workflow/report.h>

#include <torch/nn/module.h>

namespace octet::models {

/// A module that knows which of its children follow each other in its forward and can become one.
class FusibleModule {
 public:
  virtual ~FusibleModule() = default;

  /// Lists for fuse_modules(), with paths that begin at this module.
  virtual ModulesToFuse modules_to_fuse() const = 0;
};

/// Fuses, in place and all at once, what every FusibleModule in a model names: the `fuse_model()` of torchvision's models: in
/// eval mode with fuse_modules(), in training mode with fuse_modules_qat().
/// @return a row for each module that was fused
/// @throws Error as those do, also for a model that is fused already. The model is then as it was.
Report fuse_model(torch::nn::Module& model);

}  // namespace octet::models
