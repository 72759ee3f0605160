// Fixed-width float vectors over GCC/Clang vector extensions, one width per translation unit.
// The same source is compiled for AVX-512, AVX2+FMA+F16C, NEON and plain targets.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__AVX512F__) || defined(__F16C__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

// GCC otherwise keeps the vector helpers as calls through memory.
#define KV_INLINE static inline __attribute__((always_inline))
#define KV_MEMBER __attribute__((always_inline)) inline

namespace KV_ISA {

#if defined(__AVX512F__)
constexpr int W = 16;
#elif defined(__AVX2__)
constexpr int W = 8;
#else
constexpr int W = 4;
#endif

typedef float vf __attribute__((vector_size(4 * W)));
typedef int32_t vi __attribute__((vector_size(4 * W)));
typedef uint32_t vu __attribute__((vector_size(4 * W)));
using lanes = std::make_integer_sequence<int, W>;

KV_INLINE vf load(const float *p) {
    vf x;
    std::memcpy(&x, p, sizeof x);
    return x;
}

KV_INLINE void store(float *p, vf x) { std::memcpy(p, &x, sizeof x); }

KV_INLINE vf splat(float x) { return vf{} + x; }

// ---- half precision; rounding is to nearest even everywhere

static inline float half_to_float(uint16_t h) {
    const uint32_t sign = uint32_t(h & 0x8000) << 16, exponent = (h >> 10) & 31, mantissa = h & 1023;
    uint32_t bits;
    if (exponent == 31) {
        bits = sign | 0x7f800000u | mantissa << 13;
    } else if (exponent != 0) {
        bits = sign | (exponent + 112) << 23 | mantissa << 13;
    } else {  // zero and subnormals: mantissa * 2^-24
        const float magnitude = float(mantissa) * 5.9604644775390625e-8f;
        std::memcpy(&bits, &magnitude, 4);
        bits |= sign;
    }
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
}

static inline uint16_t float_to_half(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    const uint32_t sign = (bits >> 16) & 0x8000;
    bits &= 0x7fffffff;
    if (bits > 0x7f800000) return uint16_t(sign | 0x7e00);
    if (bits >= 0x477ff000) return uint16_t(sign | 0x7c00);  // rounds to infinity
    if (bits < 0x38800000) {                                 // subnormal: let the FPU round at 2^-24
        float magnitude;
        std::memcpy(&magnitude, &bits, 4);
        magnitude += 0.5f;
        std::memcpy(&bits, &magnitude, 4);
        return uint16_t(sign | (bits - 0x3f000000));
    }
    const uint32_t rounded = bits + 0xfff + ((bits >> 13) & 1);
    return uint16_t(sign | ((rounded - 0x38000000) >> 13));
}

KV_INLINE vf load_half(const uint16_t *p) {
#if defined(__AVX512F__)
    return vf(_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p))));
#elif defined(__F16C__)
    return vf(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p))));
#elif defined(__ARM_NEON)
    uint16x4_t h;
    std::memcpy(&h, p, 8);
    return vf(vcvt_f32_f16(vreinterpret_f16_u16(h)));
#else
    vf x;
    for (int i = 0; i < W; i++) x[i] = half_to_float(p[i]);
    return x;
#endif
}

KV_INLINE void store_half(uint8_t *p, vf x) {
#if defined(__AVX512F__)
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(p), _mm512_cvtps_ph(__m512(x), _MM_FROUND_TO_NEAREST_INT));
#elif defined(__F16C__)
    _mm_storeu_si128(reinterpret_cast<__m128i *>(p), _mm256_cvtps_ph(__m256(x), _MM_FROUND_TO_NEAREST_INT));
#elif defined(__ARM_NEON)
    const uint16x4_t h = vreinterpret_u16_f16(vcvt_f16_f32(float32x4_t(x)));
    std::memcpy(p, &h, 8);
#else
    for (int i = 0; i < W; i++) {
        const uint16_t h = float_to_half(x[i]);
        std::memcpy(p + 2 * i, &h, 2);
    }
#endif
}

// ---- lane permutations with compile-time indices

#if defined(__clang__) || __GNUC__ >= 12
template <int H, int... I>
KV_INLINE vf swap_lanes(vf x, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(x, x, (I ^ H)...);
}
#else
template <int H, int... I>
KV_INLINE vf swap_lanes(vf x, std::integer_sequence<int, I...>) {
    return __builtin_shuffle(x, vi{(I ^ H)...});
}
#endif

template <int H, int... I>
KV_INLINE vf signs(std::integer_sequence<int, I...>) {
    return vf{((I & H) ? -1.0f : 1.0f)...};
}

// One Hadamard butterfly between lanes that differ in bit H.
template <int H>
KV_INLINE vf butterfly(vf x) {
    return swap_lanes<H>(x, lanes{}) + x * signs<H>(lanes{});
}

}  // namespace KV_ISA
