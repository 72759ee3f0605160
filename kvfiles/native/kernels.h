// What the Python binding and the kernels agree on.
#pragma once

#include <cstddef>
#include <cstdint>

constexpr int KV_MAX_ROW = 16384;  // values of one token in one layer; checked by the binding

struct KvRope {
    const float *cos, *sin;  // (n_rows, n_rot), expanded; sin carries the sign of its channel
    int n_head, head_dim, n_rot;
    bool neox;
};

// The coded rows of one tensor of one layer, and the same of a run of rows.
struct KvCoded {
    const uint8_t *codes;   // (n_rows, n_blocks, 8 * bits)
    const uint8_t *scales;  // (n_rows, n_blocks), sixteenths of an octave below the reference
    const uint16_t *mean;   // (width,) f16
    const float *scale_table;
    const float *grid;  // odd polynomial of the grid: 3 coefficients
    float scale_reference;
    int64_t n_rows;
    int width, bits;
    int rotation, stride;  // Hadamard sub-blocks of `rotation` values, mixing values `stride` * 2^k apart
};

struct KvTarget {  // rows of the state blob
    uint8_t *rows;
    int64_t row_bytes;
    bool q8;
    int rotation;  // llama.cpp's own rotation of a quantised cache, 0 for none
};

struct KvPlain {
    const uint16_t *rows;  // (n_rows, width) f16
    const float *scale_table, *grid;
    int64_t n_rows;
    int width, bits;
    int rotation, stride;  // Hadamard sub-blocks of `rotation` values, mixing values `stride` * 2^k apart
};

struct KvEncoded {
    uint8_t *codes, *scales;
    uint16_t *mean;
    double *sums;          // (width,) scratch
    float *wanted_scales;  // (n_rows, n_blocks) scratch
};

enum class KvOutcome {
    DONE,
    BAD,  // streams that no encoder wrote; rows that are not finite or too large
    NO_MEMORY,
};

struct KvArchiveDecode;  // archive.h
struct KvArchiveEncode;

struct KvKernels {
    void (*decode)(const KvCoded &, const KvRope *, const KvTarget &);
    void (*relocate)(const uint16_t *, int64_t, int, const KvRope *, const KvRope *, const KvTarget &);
    float (*encode)(const KvPlain &, const KvRope *, const KvEncoded &);  // returns the scale reference
    KvOutcome (*archive_decode)(const KvArchiveDecode &);
    KvOutcome (*archive_encode)(const KvArchiveEncode &);
    uint64_t (*xxh3)(const void *, size_t);  // XXH3-64 without a seed
};
