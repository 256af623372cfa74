#pragma once

#include <octet/io/safetensors.h>
#include <octet/nn/implementation_kinds.h>

#include <torch/nn/module.h>

#include <filesystem>

namespace octet {

/// Every tensor of a model under its state-dict name: float parameters and buffers as in Python, and for swapped modules
/// what their implementation says of itself ("fc.weight" as int8, "fc.weight_scale", "fc.weight_zero_point", "fc.bias"; 4-bit
/// weights as LinearPackedParams::append_to has them).
nn::StateDict state_dict(const torch::nn::Module& model);

/// Writes a model to a safetensors file that describes itself: beside state_dict() it says, in its metadata, which modules
/// were swapped, for what, and with which attributes. Python's `safetensors` opens it too. A file of that name is replaced
/// only when the new one is complete.
/// @throws Error if the file cannot be written, or a tensor not stored
void save(const torch::nn::Module& model, const std::filesystem::path& path);

/// Fills a model from a safetensors file: one written by save(), or a state dict from Python (tools/convert_checkpoint.py
/// makes one of a .pt file). Modules that were swapped when the file was written are swapped in `model`, which is usually a
/// freshly built float model; then they are filled. Parameters keep their identity, so optimizers stay valid.
/// @param kinds  how swapped modules are rebuilt; add your own classes to a copy of the default
/// @throws Error that lists everything that does not fit: missing and unexpected names, shapes, dtypes, kinds. The model is
///         then as it was.
void load(torch::nn::Module& model, const std::filesystem::path& path,
          const nn::ImplementationKinds& kinds = nn::default_implementation_kinds());

/// The same for what read_safetensors() gave, so that tensors can be renamed or left out before.
/// @throws Error as above, but for the path
void load(torch::nn::Module& model, Safetensors content,
          const nn::ImplementationKinds& kinds = nn::default_implementation_kinds());

}  // namespace octet
