#pragma once

#include <cstdint>

#include "kernels/simd_lanes.h"

// The functions of elementwise.h and recurrent.h, written once over the Simd types.

namespace octet::kernels {

/// e^x for |x| <= 105; NaN gives NaN. Below the normal numbers and above the largest one it ends in 0 and inf.
/// x = n ln 2 + r with |r| <= ln 2 / 2, and e^r = 1 + r + r^2 p(r), where p is a least-squares fit of its relative
/// error.
template <class Simd>
typename Simd::Float exp(typename Simd::Float x) {
  using Float = typename Simd::Float;
  constexpr float kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693359375f;        // 10 bits: its products with n are exact
  constexpr float kLn2Low = -0.000212194440055f;  // ln 2 - kLn2High
  const typename Simd::Int n = Simd::round(Simd::mul(x, Simd::set(kLog2E)));
  const Float whole = Simd::to_float(n);
  Float r = Simd::negated_fma(whole, Simd::set(kLn2High), x);
  r = Simd::negated_fma(whole, Simd::set(kLn2Low), r);
  Float p = Simd::set(0.0013751314f);
  p = Simd::fma(p, r, Simd::set(0.008368942f));
  p = Simd::fma(p, r, Simd::set(0.041669536f));
  p = Simd::fma(p, r, Simd::set(0.16666518f));
  p = Simd::fma(p, r, Simd::set(0.49999988f));
  p = Simd::fma(p, Simd::mul(r, r), r);
  p = Simd::add(p, Simd::set(1.0f));
  // In two steps: 2^n itself may be out of range.
  const typename Simd::Int n1 = Simd::halved(n);
  return Simd::mul(Simd::mul(p, Simd::power_of_two(n1)), Simd::power_of_two(Simd::sub(n, n1)));
}

/// 1 / (1 + e^-x)
template <class Simd>
typename Simd::Float sigmoid(typename Simd::Float x) {
  using Float = typename Simd::Float;
  // min and max give their second argument for NaN.
  const Float limited = Simd::max(Simd::set(-105.0f), Simd::min(Simd::set(105.0f), x));
  const Float one = Simd::set(1.0f);
  return Simd::div(one, Simd::add(one, exp<Simd>(Simd::sub(Simd::set(0.0f), limited))));
}

/// With a = |x|: near zero a + a^3 p(a^2), where p is a least-squares fit; elsewhere 1 - 2 / (e^(2a) + 1). Then the
/// sign of x.
template <class Simd>
typename Simd::Float tanh(typename Simd::Float x) {
  using Float = typename Simd::Float;
  const Float magnitude = Simd::abs(x);
  const Float one = Simd::set(1.0f);
  // From 10 on the result rounds to 1.
  const Float limited = Simd::min(Simd::set(10.0f), magnitude);
  const Float e = exp<Simd>(Simd::add(limited, limited));
  const Float large = Simd::sub(one, Simd::div(Simd::set(2.0f), Simd::add(e, one)));

  const Float z = Simd::mul(magnitude, magnitude);
  Float p = Simd::set(-0.005704044f);
  p = Simd::fma(p, z, Simd::set(0.020637862f));
  p = Simd::fma(p, z, Simd::set(-0.053739157f));
  p = Simd::fma(p, z, Simd::set(0.13331431f));
  p = Simd::fma(p, z, Simd::set(-0.3333328f));
  const Float small = Simd::fma(Simd::mul(p, z), magnitude, magnitude);
  return Simd::copy_sign(Simd::select_less(magnitude, Simd::set(0.625f), small, large), x);
}

/// x / 2 + x h(x), where h(x) = erf(x / sqrt 2) / 2 is x p(x^2) / q(x^2), fitted by least squares, and from 5.5 on 1/2 with the
/// sign of x.
template <class Simd>
typename Simd::Float gelu(typename Simd::Float x) {
  using Float = typename Simd::Float;
  const Float z = Simd::mul(x, x);
  Float p = Simd::set(2.27493651e-08f);
  p = Simd::fma(p, z, Simd::set(6.35212291e-06f));
  p = Simd::fma(p, z, Simd::set(0.0001688263f));
  p = Simd::fma(p, z, Simd::set(0.00467726449f));
  p = Simd::fma(p, z, Simd::set(0.0338527076f));
  p = Simd::fma(p, z, Simd::set(0.398942232f));
  Float q = Simd::set(1.19750428e-06f);
  q = Simd::fma(q, z, Simd::set(7.36477086e-05f));
  q = Simd::fma(q, z, Simd::set(0.00188444834f));
  q = Simd::fma(q, z, Simd::set(0.0286459066f));
  q = Simd::fma(q, z, Simd::set(0.251522064f));
  q = Simd::fma(q, z, Simd::set(1.0f));
  const Float half = Simd::set(0.5f);
  const Float h = Simd::select_less(Simd::abs(x), Simd::set(5.5f), Simd::div(Simd::mul(x, p), q), Simd::copy_sign(half, x));
  return Simd::fma(x, h, Simd::mul(half, x));
}

/// max(x, 0), but NaN and -0 stay.
template <class Simd>
typename Simd::Float relu(typename Simd::Float x) {
  return Simd::max(Simd::set(0.0f), x);
}

template <class Simd>
void sigmoid_all(const float* x, int64_t n, float* y) {
  for_each_vector<Simd>(n, [&](int64_t i, auto lanes) { Simd::store(y + i, sigmoid<Simd>(Simd::load(x + i, lanes)), lanes); });
}

template <class Simd>
void gelu_all(const float* x, int64_t n, float* y) {
  for_each_vector<Simd>(n, [&](int64_t i, auto lanes) { Simd::store(y + i, gelu<Simd>(Simd::load(x + i, lanes)), lanes); });
}

template <class Simd>
void tanh_all(const float* x, int64_t n, float* y) {
  for_each_vector<Simd>(n, [&](int64_t i, auto lanes) { Simd::store(y + i, tanh<Simd>(Simd::load(x + i, lanes)), lanes); });
}

}  // namespace octet::kernels
