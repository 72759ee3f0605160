// The coefficients of consecutive tokens: each is predicted by rho times its component's of the token before.
//
// Encoder and decoder add rho * before to what a symbol stands for with the same function, so that both have the same
// bits; |rho| < 1, so that differences between instruction sets fade.
#pragma once

#include "archive.h"
#include "matmul.h"
#include "rans.h"
#include "simd.h"

namespace KV_ISA {

// `row` += rho * before; `stride` is a multiple of KV_PANEL.
KV_INLINE void continue_row(const float *rho, const float *before, int stride, float *row) {
    for (int i = 0; i < stride; i += W) store(row + i, multiply_add(load(rho + i), load(before + i), load(row + i)));
}

// The whole numbers `q` next to (c - rho * before) / step, and in the place of `c` what they stand for, without
// rho * before.  False when one is beyond MAX_Q or not a number.
KV_INLINE bool round_row(const Values &values, const float *rho, const float *before, int stride, float *c, int32_t *q) {
    constexpr float WHOLE = 12582912.0f;  // 1.5 * 2^23: added to a small number it leaves no room for fractions
    const float inverse = 1.0f / values.step();
    const vf shrink = splat(values.shrink()), step = splat(values.step());
    vi outside{};
    for (int i = 0; i < stride; i += W) {
        const vf wanted = multiply_add(-load(rho + i), load(before + i), load(c + i)) * inverse;
        outside |= ~(vi(wanted <= splat(float(MAX_Q))) & vi(wanted >= splat(-float(MAX_Q))));
        const vf raised = wanted + WHOLE, whole = raised - WHOLE;
        const vi number = vi(raised) - vi(splat(WHOLE)), negative = number < 0;
        const vf size = ((whole < 0.0f ? -whole : whole) - shrink) * step;
        store(c + i, number == 0 ? vf{} : negative ? -size : size);
        std::memcpy(q + i, &number, sizeof number);
    }
    for (int i = 0; i < W; i++)
        if (outside[i]) return false;
    return true;
}

}  // namespace KV_ISA
