// Calls of the kernels as Python makes them: arguments checked once, run now or later, without the GIL.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <optional>
#include <string>

#include "kernels.h"

namespace nb = nanobind;

template <typename T, size_t N>
using In = nb::ndarray<const T, nb::ndim<N>, nb::c_contig, nb::device::cpu>;
template <typename T, size_t N>
using Out = nb::ndarray<T, nb::ndim<N>, nb::c_contig, nb::device::cpu>;

inline void require(bool condition, const char *what) {
    if (!condition) throw nb::value_error(what);
}

struct RopeArgs {
    In<float, 2> cos, sin;
    int n_head, head_dim;
    bool neox;
};

inline std::optional<KvRope> rope_of(const std::optional<RopeArgs> &args, int64_t n_rows, int width) {
    if (!args) return std::nullopt;
    const int n_rot = int(args->cos.shape(1));
    require(int64_t(args->cos.shape(0)) == n_rows && int64_t(args->sin.shape(0)) == n_rows &&
                int(args->sin.shape(1)) == n_rot,
            "cos and sin must be (n_rows, n_rot)");
    require(n_rot > 0 && n_rot % 2 == 0 && n_rot <= args->head_dim && args->n_head * args->head_dim == width,
            "rope dimensions do not fit the row");
    return KvRope{args->cos.data(), args->sin.data(), args->n_head, args->head_dim, n_rot, args->neox};
}

inline void check_codec(int width, int bits, int rotation, int stride) {
    require(width > 0 && width <= KV_MAX_ROW, "row too wide");
    require(bits >= 2 && bits <= 8, "bits must be 2 to 8");
    require(rotation >= 1 && rotation <= 128 && (rotation & (rotation - 1)) == 0 && width % rotation == 0,
            "rotation must be a power of two that divides the row");
    require(stride == 1 || (stride == 8 && rotation >= 8), "stride must be 1 or 8");
}

// A part of a call: some of its rows in some of its layers.
struct Share {
    int64_t first_row, stop_row, first_layer, stop_layer;
};

// Where a share goes: its first row in its first layer, and the bytes from there to the next layer.
struct Place {
    uint8_t *rows;
    int64_t stride;
};

// Where the rows of consecutive layers go: layer l starts at first + l * stride bytes of the blob.
struct TargetArgs {
    Out<uint8_t, 1> blob;
    int64_t first, stride;
    bool q8;
    int rotation;

    int64_t row_bytes(int width) const { return q8 ? width / 32 * 34 : width * 2; }
    Place place() const { return {blob.data() + first, stride}; }
    KvTarget layer(const Place &place, int64_t index, int width) const {
        return KvTarget{place.rows + index * place.stride, row_bytes(width), q8, q8 ? rotation : 0};
    }

    void check(int64_t n_layers, int64_t n_rows, int width) const {
        require(!q8 || width % 32 == 0, "q8_0 needs rows of a multiple of 32");
        require(!q8 || rotation == 0 ||
                    (rotation > 0 && width % rotation == 0 && width % 64 == 0 && (rotation & (rotation - 1)) == 0),
                "rotation of the cache does not fit the row");
        const int64_t size = int64_t(blob.shape(0));
        require(first >= 0 && stride >= 0 && first <= size && stride <= size, "rows lie outside the blob");
        require(n_layers == 0 || first + (n_layers - 1) * stride + n_rows * row_bytes(width) <= size,
                "rows lie outside the blob");
    }
};

// The kernels of a variant; raises ValueError for one that this machine does not have.
const KvKernels &kernels_of(const std::string &variant);

// One decoding of the rows of all layers of a chunk.  The arrays may be filled after the call was made.
class DecodeCall {
public:
    DecodeCall(In<uint8_t, 4> codes, In<uint8_t, 3> scales, In<uint16_t, 2> mean, In<float, 1> reference,
               In<float, 1> scale_table, In<float, 1> grid, int bits, int rotation, int stride,
               std::optional<RopeArgs> rope, const TargetArgs &target);
    // All of it, to where it was made for.
    void run(const KvKernels &kernels) const { run(kernels, {0, n_rows(), 0, n_layers()}, target_.place()); }
    // A share of it, to another place.
    void run(const KvKernels &kernels, const Share &share, const Place &place) const;
    int64_t n_layers() const { return int64_t(codes_.shape(0)); }
    int64_t n_rows() const { return int64_t(codes_.shape(1)); }
    int64_t row_bytes() const { return target_.row_bytes(int(mean_.shape(1))); }
    const TargetArgs &target() const { return target_; }

private:
    In<uint8_t, 4> codes_;
    In<uint8_t, 3> scales_;
    In<uint16_t, 2> mean_;
    In<float, 1> reference_, scale_table_, grid_;
    int bits_, rotation_, stride_;
    std::optional<RopeArgs> rope_args_;
    std::optional<KvRope> rope_;
    TargetArgs target_;
};

// One copy of exact rows of all layers, moved to another position or bit for bit.
class RelocateCall {
public:
    RelocateCall(In<uint16_t, 3> rows, std::optional<RopeArgs> undo, std::optional<RopeArgs> redo,
                 const TargetArgs &target);
    // All of it, to where it was made for.
    void run(const KvKernels &kernels) const { run(kernels, {0, n_rows(), 0, n_layers()}, target_.place()); }
    // A share of it, to another place.
    void run(const KvKernels &kernels, const Share &share, const Place &place) const;
    int64_t n_layers() const { return int64_t(rows_.shape(0)); }
    int64_t n_rows() const { return int64_t(rows_.shape(1)); }
    int64_t row_bytes() const { return target_.row_bytes(int(rows_.shape(2))); }
    const TargetArgs &target() const { return target_; }

private:
    In<uint16_t, 3> rows_;
    std::optional<RopeArgs> undo_args_, redo_args_;
    std::optional<KvRope> undo_, redo_;
    TargetArgs target_;
};
