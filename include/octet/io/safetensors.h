#pragma once

#include <ATen/core/Tensor.h>
#include <torch/ordered_dict.h>

#include <filesystem>
#include <map>
#include <string>

namespace octet {

/// What a .safetensors file holds: named tensors, and free text about them.
struct Safetensors {
  torch::OrderedDict<std::string, at::Tensor> tensors{"Tensor"};
  std::map<std::string, std::string> metadata;
};

/// Reads a whole .safetensors file (https://github.com/huggingface/safetensors). The tensors come in the order in which the
/// header lists them, on the CPU, contiguous, each in memory of its own.
///
/// The file need not be trusted: everything in its header is checked against the size of the file before memory is taken
/// or data is read. Beyond what the format demands, a tensor may have no more than 64 dimensions, and a BOOL tensor only
/// bytes of 0 and 1; LibTorch relies on both.
///
/// @throws Error that names the file, what is wrong with it, what was expected and what to do
Safetensors read_safetensors(const std::filesystem::path& path);

/// Writes a .safetensors file that read_safetensors and Python's safetensors can read. The same content gives the same bytes.
/// The data of every tensor starts at a multiple of its element's size, so that readers can map the file.
///
/// Dtypes: float64, float32, float16, bfloat16, float8 (e4m3fn, e4m3fnuz, e5m2, e5m2fnuz, e8m0fnu), complex64, bool,
/// (u)int8, (u)int16, (u)int32 and (u)int64. Tensors of any device and stride are written; those that share memory are
/// written one by one, and are no longer tied when they are read.
///
/// The file appears whole or not at all: it is written beside `path` under another name, which replaces `path` at the end.
/// A symbolic link is followed. When writing fails, an existing file is as it was, and nothing is left behind.
///
/// @throws Error that names the tensor that the format cannot hold (undefined, quantized, sparse, without data, of another
///         dtype; or named "__metadata__" or not in UTF-8), or the file that could not be written, and why
void write_safetensors(const std::filesystem::path& path, const Safetensors& content);

}  // namespace octet
