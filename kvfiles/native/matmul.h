// Products of a few hundred rows with small matrices; every instruction set adds in the same order.
//
// An element of the result is one chain of multiply-adds over the segments and their depth, from first to last, so
// that all instruction sets with fused multiply-add give the same bits.
#pragma once

#include "archive.h"
#include "simd.h"

namespace KV_ISA {

// rows (n, depth) at `a`, `stride` floats apart, times rows first .. first+depth-1 of `matrix`.
struct Segment {
    const float *a;
    int64_t stride;
    int depth;
    const KvMatrix *matrix;
    int first;
};

KV_INLINE vf multiply_add(vf a, vf b, vf c) {
#if defined(__AVX512F__)
    return vf(_mm512_fmadd_ps(__m512(a), __m512(b), __m512(c)));
#elif defined(__FMA__) && defined(__AVX2__)
    return vf(_mm256_fmadd_ps(__m256(a), __m256(b), __m256(c)));
#elif defined(__ARM_NEON)
    return vf(vfmaq_f32(float32x4_t(c), float32x4_t(a), float32x4_t(b)));
#else
    return a * b + c;
#endif
}

#if defined(__AVX512F__) || defined(__ARM_NEON)
constexpr int TILE = 12;  // rows; with two vectors each they fill 32 registers
#else
constexpr int TILE = 6;
#endif

// c (ROWS, 2 vectors) += a (ROWS, depth) * b (depth, 2 vectors); b's rows are KV_PANEL floats apart.
template <int ROWS>
static inline void tile(const float *a, int64_t a_stride, const float *b, int depth, float *c, int64_t c_stride,
                        bool fresh) {
    vf x[ROWS], y[ROWS];
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; r++) {
        x[r] = fresh ? vf{} : load(c + r * c_stride);
        y[r] = fresh ? vf{} : load(c + r * c_stride + W);
    }
    for (int k = 0; k < depth; k++, b += KV_PANEL) {
        const vf p = load(b), q = load(b + W);
#pragma GCC unroll 16
        for (int r = 0; r < ROWS; r++) {
            const vf value = splat(a[r * a_stride + k]);
            x[r] = multiply_add(value, p, x[r]);
            y[r] = multiply_add(value, q, y[r]);
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; r++) {
        store(c + r * c_stride, x[r]);
        store(c + r * c_stride + W, y[r]);
    }
}

static inline void expand(const KvMatrix &matrix, int panel, int first, int depth, float *out) {
    const int64_t at = (int64_t(panel) * matrix.depth + first) * KV_PANEL, n = int64_t(depth) * KV_PANEL;
    if (matrix.half) {
        const uint16_t *p = static_cast<const uint16_t *>(matrix.panels) + at;
        for (int64_t i = 0; i < n; i += W) store(out + i, load_half(p + i));
    } else {
        std::memcpy(out, static_cast<const float *>(matrix.panels) + at, size_t(n) * sizeof(float));
    }
}

// c (n_rows, width) = or += the sum of the segments' products; `width` is a multiple of KV_PANEL and `panel` has
// room for KV_MAX_GROUP * KV_PANEL floats.
static void multiply(const Segment *segments, int n_segments, int n_rows, int width, float *c, int64_t c_stride,
                     bool add, float *panel) {
    for (int p = 0; p < width / KV_PANEL; p++)
        for (int s = 0; s < n_segments; s++) {
            const Segment &g = segments[s];
            const bool fresh = !add && s == 0;
            expand(*g.matrix, p, g.first, g.depth, panel);
            int row = 0;
            const auto rows = [&](auto run, int height) {
                for (; row + height <= n_rows; row += height)
                    for (int column = 0; column < KV_PANEL; column += 2 * W)
                        run(g.a + row * g.stride, g.stride, panel + column, g.depth,
                            c + row * c_stride + p * KV_PANEL + column, c_stride, fresh);
            };
            rows(tile<TILE>, TILE);
            rows(tile<3>, 3);
            rows(tile<1>, 1);
        }
}

}  // namespace KV_ISA
