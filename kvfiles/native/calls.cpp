#include "calls.h"

namespace {

// The rotation of the rows from `row` on.
std::optional<KvRope> from_row(std::optional<KvRope> rope, int64_t row) {
    if (rope) {
        rope->cos += row * rope->n_rot;
        rope->sin += row * rope->n_rot;
    }
    return rope;
}

const KvRope *pointer(const std::optional<KvRope> &rope) { return rope ? &*rope : nullptr; }

}  // namespace

DecodeCall::DecodeCall(In<uint8_t, 4> codes, In<uint8_t, 3> scales, In<uint16_t, 2> mean, In<float, 1> reference,
                       In<float, 1> scale_table, In<float, 1> grid, int bits, int rotation, int stride,
                       std::optional<RopeArgs> rope, const TargetArgs &target)
    : codes_(codes), scales_(scales), mean_(mean), reference_(reference), scale_table_(scale_table), grid_(grid),
      bits_(bits), rotation_(rotation), stride_(stride), rope_args_(rope), target_(target) {
    const int64_t n_layers = int64_t(codes.shape(0)), n = int64_t(codes.shape(1));
    const int width = int(mean.shape(1)), n_blocks = (width + 63) / 64;
    check_codec(width, bits, rotation, stride);
    require(int(codes.shape(2)) == n_blocks && int(codes.shape(3)) == 8 * bits, "codes have the wrong shape");
    require(int64_t(scales.shape(0)) == n_layers && int64_t(scales.shape(1)) == n && int(scales.shape(2)) == n_blocks,
            "scales have the wrong shape");
    require(int64_t(mean.shape(0)) == n_layers && int64_t(reference.shape(0)) == n_layers,
            "mean or reference have the wrong shape");
    require(scale_table.shape(0) == 256 && grid.shape(0) == 3, "tables have the wrong shape");
    rope_ = rope_of(rope, n, width);
    target.check(n_layers, n, width);
}

void DecodeCall::run(const KvKernels &kernels, const Share &share, const Place &place) const {
    const int64_t n = n_rows();
    const int width = int(mean_.shape(1)), n_blocks = (width + 63) / 64;
    const auto rope = from_row(rope_, share.first_row);
    for (int64_t layer = share.first_layer; layer < share.stop_layer; layer++) {
        const int64_t at = (layer * n + share.first_row) * n_blocks;
        const KvCoded coded{codes_.data() + at * 8 * bits_, scales_.data() + at, mean_.data() + layer * width,
                            scale_table_.data(), grid_.data(), reference_.data()[layer],
                            share.stop_row - share.first_row, width, bits_, rotation_, stride_};
        kernels.decode(coded, pointer(rope), target_.layer(place, layer - share.first_layer, width));
    }
}

RelocateCall::RelocateCall(In<uint16_t, 3> rows, std::optional<RopeArgs> undo, std::optional<RopeArgs> redo,
                           const TargetArgs &target)
    : rows_(rows), undo_args_(undo), redo_args_(redo), target_(target) {
    const int64_t n_layers = int64_t(rows.shape(0)), n = int64_t(rows.shape(1));
    const int width = int(rows.shape(2));
    require(width > 0 && width <= KV_MAX_ROW, "row too wide");
    undo_ = rope_of(undo, n, width);
    redo_ = rope_of(redo, n, width);
    target.check(n_layers, n, width);
}

void RelocateCall::run(const KvKernels &kernels, const Share &share, const Place &place) const {
    const int width = int(rows_.shape(2));
    const auto undo = from_row(undo_, share.first_row), redo = from_row(redo_, share.first_row);
    for (int64_t layer = share.first_layer; layer < share.stop_layer; layer++)
        kernels.relocate(rows_.data() + (layer * n_rows() + share.first_row) * width,
                         share.stop_row - share.first_row, width, pointer(undo), pointer(redo),
                         target_.layer(place, layer - share.first_layer, width));
}
