#pragma once

#include <octet/kernels/embedding.h>
#include <octet/nn/implementation.h>
#include <octet/nn/weight_observer.h>

#include <cstdint>
#include <string>

namespace octet::nn::quantized {

/// The table of an embedding in 8, 4 or 2 bits, ready for the engine: torch.ao's EmbeddingPackedParams. Each row has a scale and
/// a zero point, both floats. Immutable; copies share the storage, and any number of threads may use it at once.
class EmbeddingPackedParams {
 public:
  /// Quantizes a float table as its observer asks. Integers, scales and zero points are torch.ao's, bit for bit.
  /// @param weight  [num_embeddings, embedding_dim], floating, on the CPU
  /// @param where   what error messages call the weight: "encoder.embedding: weight"
  /// @throws Error for other dtypes and shapes, for NaN and infinities, and for an observer of another scheme than
  ///         per_channel_affine_float_qparams along axis 0, or another dtype than quint8, quint4x2 or quint2x4
  static EmbeddingPackedParams from_float(const at::Tensor& weight, const WeightObserver& observer, const std::string& where);

  /// Rebuilds it from what state_dict() and append_to() gave. @throws Error that names what is missing or of a wrong shape, dtype
  /// or value
  static EmbeddingPackedParams from_state(const StateDict& state, const Attributes& attributes, const std::string& where);

  int64_t num_embeddings() const { return packed_.size(0); }
  int64_t embedding_dim() const { return embedding_dim_; }
  DType dtype() const { return dtype_; }
  int64_t weight_bytes() const;

  /// The weight as a quantized tensor, [num_embeddings, embedding_dim]. One of 8 bits shares its memory.
  at::Tensor weight() const;

  /// `weight` (uint8, [num_embeddings, row_bytes]: sub-byte integers fill a byte from its low bits on, and a row begins at a
  /// byte), `weight_scale` and `weight_zero_point` (float32, [num_embeddings]). They share this table's memory.
  StateDict state_dict() const;

  /// Adds `num_embeddings`, `embedding_dim` and `dtype`.
  void append_to(Attributes& attributes) const;

  /// For the kernels; valid as long as this or a copy of it lives.
  kernels::EmbeddingTable table() const;

 private:
  EmbeddingPackedParams(at::Tensor packed, at::Tensor scale, at::Tensor zero_point, int64_t embedding_dim, DType dtype);

  at::Tensor packed_;
  at::Tensor scale_;
  at::Tensor zero_point_;  // not to be had back from the bias, which is rounded
  at::Tensor bias_;        // -zero_point * scale, what an integer of 0 stands for
  int64_t embedding_dim_;
  DType dtype_;
};

}  // namespace octet::nn::quantized
