// What the binding and the kernels of the archive codec agree on.  Formats: kvfiles/codecs/archive/.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels.h"

constexpr int KV_PANEL = 32;       // columns that stand together in a matrix
constexpr int KV_LANES = 16;       // interleaved coders; components of a block
constexpr int KV_CLASSES = 64, KV_SYMBOLS = 32, KV_ESCAPE = 31;
constexpr int KV_MAX_GROUP = 256;  // values of K or V in a group
constexpr int KV_LOWEST = -2, KV_FINEST = 5, KV_HIGHEST = 10, KV_FINENESS = KV_HIGHEST - KV_LOWEST + 1;  // half octaves of a step

inline int padded(int width) { return (width + KV_PANEL - 1) / KV_PANEL * KV_PANEL; }

// A (depth, width) matrix as panels of 32 columns, (panel, depth, 32), zeros behind the width; f16 or f32.
struct KvMatrix {
    const void *panels = nullptr;
    bool half = true;
    int depth = 0;

    bool empty() const { return panels == nullptr; }
};

// One tensor of one layer of a group.
struct KvArchiveTensor {
    KvMatrix predict, decode, forward;  // forward: for the encoder alone
    const float *mean;                  // (width,)
    const float *rho;                   // (padded width,), zeros behind the width
    float step;
};

struct KvArchiveGroup {
    int k_width, v_width;
    const KvArchiveTensor *k, *v;  // by layer
};

struct KvArchiveModel {
    const KvArchiveGroup *groups;
    int n_groups, n_layers, k_width, v_width, fineness_class;
    float shrink;
    uint16_t starts[KV_CLASSES][KV_SYMBOLS + 1];  // running sums of the frequencies
    uint16_t expected[KV_CLASSES];

    const KvArchiveTensor &tensor(int group, int layer, bool v) const {
        return v ? groups[group].v[layer] : groups[group].k[layer];
    }
};

struct KvStream {
    const uint8_t *bytes;  // 16 states u32, then words u16, little endian, unaligned
    int64_t n_words;       // without the states
};

struct KvArchiveDecode {
    const KvArchiveModel *model;
    const KvStream *streams;  // by group
    const uint8_t *base;      // (KV_FINENESS, n_layers, k_width + v_width), group by group K and V
    float scale;
    int n_rows;
    const KvRope *rope;
    KvTarget k, v;  // of layer 0
    int64_t k_stride, v_stride;
};

struct KvWords {  // from malloc; whoever asked for them frees them
    uint16_t *data = nullptr;
    size_t n = 0;
};

struct KvArchiveEncode {
    const KvArchiveModel *model;
    const uint16_t *k, *v;  // (n_layers, n_rows, width) f16
    const uint8_t *base;
    float scale;
    const int8_t *fineness;  // (n_groups, n_layers, n_rows)
    int n_rows;
    const KvRope *undo;
    KvWords *streams;     // by group: states and words
    int64_t *magnitudes;  // (n_layers, k_width + v_width), added to
};
