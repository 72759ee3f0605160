// Rows of a cache in and out: Hadamard rotation, RoPE, f16 and q8_0; compiled once per instruction set.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace KV_ISA {

constexpr int BLOCK = 64, VECTORS = BLOCK / W, MAX_ROW = KV_MAX_ROW;

// ---------------------------------------------------------------- rotation

// Unnormalised Walsh-Hadamard transform of n_blocks blocks of 64, in sub-blocks of `size` <= 128,
// between values that are stride, 2*stride, ... size/2 apart (stride 1 or 8).
static inline void hadamard_row(float *row, int n_blocks, int size, int stride) {
    for (int b = 0; b < n_blocks; b++) {
        float *p = row + b * BLOCK;
        vf x[VECTORS];
        for (int v = 0; v < VECTORS; v++) x[v] = load(p + v * W);
        for (int v = 0; v < VECTORS; v++) {
            if (stride == 1 && size > 1) x[v] = butterfly<1>(x[v]);
            if (stride == 1 && size > 2) x[v] = butterfly<2>(x[v]);
            if (W > 4 && stride == 1 && size > 4) x[v] = butterfly<(W > 4 ? 4 : 0)>(x[v]);
            if (W > 8 && size > 8) x[v] = butterfly<(W > 8 ? 8 : 0)>(x[v]);
        }
        for (int h = W < stride ? stride / W : 1; h < VECTORS && h * W < size; h *= 2)
            for (int v = 0; v < VECTORS; v++)
                if (!(v & h)) {
                    const vf a = x[v], c = x[v + h];
                    x[v] = a + c;
                    x[v + h] = a - c;
                }
        for (int v = 0; v < VECTORS; v++) store(p + v * W, x[v]);
    }
    if (size > BLOCK)
        for (int b = 0; b + 1 < n_blocks; b += 2) {
            float *p = row + b * BLOCK, *q = p + BLOCK;
            for (int i = 0; i < BLOCK; i += W) {
                const vf a = load(p + i), c = load(q + i);
                store(p + i, a + c);
                store(q + i, a - c);
            }
        }
}

// Rotate a f32 row in place by tables of n_rot values a head: NEOX pairs (i, i+n_rot/2), NORM (2i, 2i+1).
// `cos` and `sin` are expanded to n_rot entries, `sin` already carries the sign of its channel.
static inline void rope_row(float *row, const KvRope &rope, const float *cos, const float *sin) {
    const int half = rope.n_rot / 2;
    for (int head = 0; head < rope.n_head; head++) {
        float *x = row + head * rope.head_dim;
        int i = 0;
        if (rope.neox) {
            for (; i + W <= half; i += W) {
                const vf a = load(x + i), b = load(x + half + i);
                store(x + i, a * load(cos + i) + b * load(sin + i));
                store(x + half + i, b * load(cos + half + i) + a * load(sin + half + i));
            }
            for (; i < half; i++) {
                const float a = x[i], b = x[half + i];
                x[i] = a * cos[i] + b * sin[i];
                x[half + i] = b * cos[half + i] + a * sin[half + i];
            }
        } else {
            for (; i + W <= rope.n_rot; i += W) {
                const vf a = load(x + i);
                store(x + i, a * load(cos + i) + swap_lanes<1>(a, lanes{}) * load(sin + i));
            }
            for (; i < rope.n_rot; i += 2) {
                const float a = x[i], b = x[i + 1];
                x[i] = a * cos[i] + b * sin[i];
                x[i + 1] = b * cos[i + 1] + a * sin[i + 1];
            }
        }
    }
}

// ---------------------------------------------------------------- rows in and out

static inline void load_row(const uint16_t *rows, int64_t t, int width, float *out) {
    const uint16_t *p = rows + t * width;
    int i = 0;
    for (; i + W <= width; i += W) store(out + i, load_half(p + i));
    for (; i < width; i++) out[i] = half_to_float(p[i]);
}

static inline void store_row_f16(const float *row, int width, uint8_t *out) {
    int i = 0;
    for (; i + W <= width; i += W) store_half(out + 2 * i, load(row + i));
    for (; i < width; i++) {
        const uint16_t h = float_to_half(row[i]);
        std::memcpy(out + 2 * i, &h, 2);
    }
}

// ggml block_q8_0: f16 scale and 32 signed bytes (ggml-quants.c quantize_row_q8_0_ref), after
// llama.cpp's own orthonormal rotation in sub-blocks of `rotation` (0: none).
static inline void store_row_q8(float *row, int width, int rotation, uint8_t *out) {
    if (rotation) {
        const float norm = 1.0f / __builtin_sqrtf(float(rotation < 128 ? rotation : 128));
        hadamard_row(row, width / BLOCK, rotation < 128 ? rotation : 128, 1);
        for (int i = 0; i < width; i++) row[i] *= norm;
        for (int size = 128; size < rotation; size *= 2)  // head_dim 256: one more level between halves
            for (int base = 0; base < width; base += 2 * size)
                for (int i = base; i < base + size; i++) {
                    const float a = row[i], b = row[i + size];
                    row[i] = (a + b) * 0.70710678118654752f;
                    row[i + size] = (a - b) * 0.70710678118654752f;
                }
    }
    for (int base = 0; base < width; base += 32, out += 34) {
        float top = 0;
        for (int i = 0; i < 32; i++) {
            const float m = __builtin_fabsf(row[base + i]);
            top = m > top ? m : top;
        }
        const float d = top / 127.0f, inverse = d ? 1.0f / d : 0.0f;
        const uint16_t h = float_to_half(d);
        std::memcpy(out, &h, 2);
        for (int i = 0; i < 32; i++) out[2 + i] = uint8_t(int8_t(__builtin_roundf(row[base + i] * inverse)));
    }
}

static inline void store_row(float *row, int width, const KvTarget &target, int64_t t) {
    uint8_t *out = target.rows + t * target.row_bytes;
    if (target.q8) store_row_q8(row, width, target.rotation, out);
    else store_row_f16(row, width, out);
}

}  // namespace KV_ISA
