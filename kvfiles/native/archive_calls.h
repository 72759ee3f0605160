// The archive codec as Python calls it: tables checked and arranged once, chunks coded without the GIL.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "archive.h"
#include "calls.h"

// The tables of a model in the form that the kernels read.  Not changed any more once all groups were added.
class ArchiveModel {
public:
    ArchiveModel(int n_layers, In<uint16_t, 2> freq, In<uint16_t, 1> expected, float shrink, int fineness_class);
    ArchiveModel(const ArchiveModel &) = delete;
    ArchiveModel &operator=(const ArchiveModel &) = delete;

    struct Matrices {  // of K or of V
        In<float, 2> mean;
        In<uint16_t, 3> predict;  // of the layers from 1 on
        In<uint16_t, 3> decode;
        In<float, 1> step;
        In<float, 2> rho;
        std::optional<In<float, 3>> forward;
    };
    void add_group(const Matrices &k, const Matrices &v, In<uint16_t, 2> predict_v0);

    const KvArchiveModel &model() const { return model_; }
    bool fits(const In<uint8_t, 3> &base) const {
        return base.shape(0) == KV_FINENESS && int64_t(base.shape(1)) == model_.n_layers && int(base.shape(2)) == width();
    }
    int width() const { return model_.k_width + model_.v_width; }
    bool encodes() const { return encodes_; }

private:
    KvMatrix half(const uint16_t *rows, int depth, int width);
    KvMatrix full(const float *rows, int depth, int width);
    const KvArchiveTensor *tensors(const Matrices &of, int width, int context, const uint16_t *first);

    KvArchiveModel model_{};
    bool encodes_ = true;
    std::vector<KvArchiveGroup> groups_;
    std::vector<std::vector<KvArchiveTensor>> tensors_;
    std::vector<std::vector<float>> means_, rhos_;
    std::vector<std::vector<uint16_t>> halves_;
    std::vector<std::vector<float>> fulls_;
};

// One decoding of a chunk.  The section may be filled after the call was made.
class ArchiveCall {
public:
    ArchiveCall(std::shared_ptr<ArchiveModel> model, In<uint8_t, 1> section, int n_rows, In<uint8_t, 3> base,
                float scale, std::optional<RopeArgs> rope, const TargetArgs &k, const TargetArgs &v);

    KvOutcome run(const KvKernels &kernels) const { return run(kernels, k_.place(), v_.place()); }
    // To other rows than it was made for.
    KvOutcome run(const KvKernels &kernels, const Place &k, const Place &v) const;
    int64_t n_rows() const { return n_rows_; }
    int64_t n_layers() const { return model_->model().n_layers; }
    int64_t k_row_bytes() const { return k_.row_bytes(model_->model().k_width); }
    int64_t v_row_bytes() const { return v_.row_bytes(model_->model().v_width); }
    const TargetArgs &k() const { return k_; }
    const TargetArgs &v() const { return v_; }

private:
    std::shared_ptr<ArchiveModel> model_;
    In<uint8_t, 1> section_;
    int n_rows_;
    In<uint8_t, 3> base_;
    float scale_;
    std::optional<RopeArgs> rope_args_;
    std::optional<KvRope> rope_;
    TargetArgs k_, v_;
};

void bind_archive(nb::module_ &m);
