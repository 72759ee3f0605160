#include "archive_calls.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

namespace {

constexpr int MAX_ROWS = 4096, STATE_BYTES = 4 * KV_LANES;
constexpr float MAX_RHO = 0.9f;

template <typename T>
std::vector<T> panels(const T *rows, int depth, int width) {
    const int n_panels = padded(width) / KV_PANEL;
    std::vector<T> out(size_t(n_panels) * size_t(depth) * KV_PANEL, T(0));
    for (int p = 0; p < n_panels; p++)
        for (int k = 0; k < depth; k++)
            for (int i = 0; i < KV_PANEL && p * KV_PANEL + i < width; i++)
                out[(size_t(p) * size_t(depth) + size_t(k)) * KV_PANEL + size_t(i)] =
                    rows[size_t(k) * size_t(width) + size_t(p * KV_PANEL + i)];
    return out;
}

// A section is the number of words of every group's stream (u32), then the streams.
bool split(const uint8_t *section, int64_t size, std::vector<KvStream> &streams) {
    int64_t at = 4 * int64_t(streams.size());
    if (size < at) return false;
    for (size_t g = 0; g < streams.size(); g++) {
        uint32_t n_words;
        std::memcpy(&n_words, section + 4 * g, 4);
        const int64_t bytes = STATE_BYTES + 2 * int64_t(n_words);
        if (bytes > size - at) return false;
        streams[g] = {section + at, n_words};
        at += bytes;
    }
    return at == size;
}

// Streams as the encoder allots them, freed in the end.
struct Written {
    std::vector<KvWords> streams;
    explicit Written(size_t n) : streams(n) {}
    ~Written() {
        for (auto &words : streams) std::free(words.data);
    }
};

std::string decode_archive(const std::string &variant, const ArchiveCall &call) {
    const KvKernels &kernels = kernels_of(variant);
    nb::gil_scoped_release release;
    switch (call.run(kernels)) {
        case KvOutcome::DONE: return "";
        case KvOutcome::BAD: return "damaged";
        default: return "no memory";
    }
}

// The section of a chunk, or None for rows that are not finite or too large.
std::optional<nb::bytes> encode_archive(const std::string &variant, const std::shared_ptr<ArchiveModel> &model,
                                        In<uint16_t, 3> k, In<uint16_t, 3> v, std::optional<RopeArgs> undo,
                                        In<uint8_t, 3> base, float scale, In<int8_t, 3> fineness, Out<int64_t, 2> magnitudes) {
    const KvArchiveModel &tables = model->model();
    const int64_t n_rows = int64_t(k.shape(1));
    require(model->encodes(), "the tables were not prepared for encoding");
    require(n_rows >= 1 && n_rows <= MAX_ROWS, "too many rows");
    require(int64_t(k.shape(0)) == tables.n_layers && int64_t(v.shape(0)) == tables.n_layers &&
                int64_t(v.shape(1)) == n_rows && int64_t(k.shape(2)) == tables.k_width &&
                int64_t(v.shape(2)) == tables.v_width,
            "rows do not fit the tables");
    require(model->fits(base) && magnitudes.shape(0) == base.shape(1) && magnitudes.shape(1) == base.shape(2),
            "classes or magnitudes have the wrong shape");
    require(int64_t(fineness.shape(0)) == tables.n_groups && int64_t(fineness.shape(1)) == tables.n_layers &&
                int64_t(fineness.shape(2)) == n_rows,
            "fineness has the wrong shape");
    require(std::all_of(fineness.data(), fineness.data() + fineness.size(),
                        [](int8_t f) { return f >= KV_LOWEST && f <= KV_HIGHEST; }),
            "fineness out of range");
    require(std::isfinite(scale) && scale > 0, "scale makes no sense");
    const auto rope = rope_of(undo, n_rows, tables.k_width);
    const KvKernels &kernels = kernels_of(variant);
    Written written(size_t(tables.n_groups));
    KvArchiveEncode job{&tables, k.data(), v.data(), base.data(), scale, fineness.data(), int(n_rows), rope ? &*rope : nullptr,
                        written.streams.data(), magnitudes.data()};
    KvOutcome outcome;
    {
        nb::gil_scoped_release release;
        outcome = kernels.archive_encode(job);
    }
    if (outcome == KvOutcome::NO_MEMORY) throw std::bad_alloc();
    if (outcome == KvOutcome::BAD) return std::nullopt;
    std::string section;
    for (const auto &words : written.streams) {
        const uint32_t n_words = uint32_t(words.n - STATE_BYTES / 2);
        section.append(reinterpret_cast<const char *>(&n_words), 4);
    }
    for (const auto &words : written.streams) section.append(reinterpret_cast<const char *>(words.data), 2 * words.n);
    return nb::bytes(section.data(), section.size());
}

}  // namespace

ArchiveModel::ArchiveModel(int n_layers, In<uint16_t, 2> freq, In<uint16_t, 1> expected, float shrink,
                           int fineness_class) {
    require(n_layers >= 1 && n_layers <= 4096, "implausible number of layers");
    require(freq.shape(0) == KV_CLASSES && freq.shape(1) == KV_SYMBOLS && expected.shape(0) == KV_CLASSES,
            "frequencies have the wrong shape");
    require(shrink >= 0.0f && shrink <= 0.5f, "shrink makes no sense");
    require(fineness_class >= 0 && fineness_class < KV_CLASSES, "the class of fineness makes no sense");
    model_.n_layers = n_layers;
    model_.fineness_class = fineness_class;
    model_.shrink = shrink;
    for (int k = 0; k < KV_CLASSES; k++) {
        const uint16_t *row = freq.data() + k * KV_SYMBOLS;
        uint32_t sum = 0;
        for (int s = 0; s < KV_SYMBOLS; s++) {
            model_.starts[k][s] = uint16_t(sum);
            sum += row[s];
            require(sum <= 4096, "frequencies do not add up");
        }
        model_.starts[k][KV_SYMBOLS] = 4096;
        require(sum == 4096 && row[KV_ESCAPE] >= 1, "frequencies do not add up");
        require(expected.data()[k] <= 4096, "expected magnitudes make no sense");
        model_.expected[k] = expected.data()[k];
    }
}

void ArchiveModel::add_group(const Matrices &k, const Matrices &v, In<uint16_t, 2> predict_v0) {
    const int k_width = int(k.mean.shape(1)), v_width = int(v.mean.shape(1));
    require(k_width >= 1 && k_width <= KV_MAX_GROUP && v_width >= 1 && v_width <= KV_MAX_GROUP, "group too wide");
    require(model_.k_width <= KV_MAX_ROW - k_width && model_.v_width <= KV_MAX_ROW - v_width, "row too wide");
    require(int(predict_v0.shape(0)) == k_width && int(predict_v0.shape(1)) == v_width, "predict_v0 has the wrong shape");
    const KvArchiveTensor *k_tensors = tensors(k, k_width, k_width + v_width, nullptr);
    const KvArchiveTensor *v_tensors = tensors(v, v_width, 2 * k_width + v_width, predict_v0.data());
    groups_.push_back({k_width, v_width, k_tensors, v_tensors});
    model_.groups = groups_.data();
    model_.n_groups = int(groups_.size());
    model_.k_width += k_width;
    model_.v_width += v_width;
}

// The tensors of all layers; `first` predicts the V of layer 0 from its K, which is as wide as context says.
const KvArchiveTensor *ArchiveModel::tensors(const Matrices &of, int width, int context, const uint16_t *first) {
    const size_t n = size_t(model_.n_layers), w = size_t(width);
    require(of.mean.shape(0) == n && of.step.shape(0) == n, "means or steps have the wrong shape");
    require(of.decode.shape(0) == n && of.decode.shape(1) == w && of.decode.shape(2) == w, "decode has the wrong shape");
    require(of.predict.shape(0) == n - 1 && of.predict.shape(1) == size_t(context) && of.predict.shape(2) == w,
            "predict has the wrong shape");
    require(!of.forward || (of.forward->shape(0) == n && of.forward->shape(1) == w && of.forward->shape(2) == w),
            "forward has the wrong shape");
    require(of.rho.shape(0) == n && of.rho.shape(1) == w, "rho has the wrong shape");
    for (size_t i = 0; i < n * w; i++) require(std::fabs(of.rho.data()[i]) <= MAX_RHO, "rho makes no sense");
    encodes_ = encodes_ && of.forward.has_value();
    const size_t stride = size_t(padded(width));
    rhos_.emplace_back(n * stride, 0.0f);
    means_.emplace_back(of.mean.data(), of.mean.data() + n * w);
    std::vector<KvArchiveTensor> all(n);
    for (size_t l = 0; l < n; l++) {
        KvArchiveTensor &tensor = all[l];
        if (l > 0) tensor.predict = half(of.predict.data() + (l - 1) * size_t(context) * w, context, width);
        else if (first != nullptr) tensor.predict = half(first, (context - width) / 2, width);
        tensor.decode = half(of.decode.data() + l * w * w, width, width);
        if (of.forward) tensor.forward = full(of.forward->data() + l * w * w, width, width);
        tensor.mean = means_.back().data() + l * w;
        float *rho = rhos_.back().data() + l * stride;
        std::copy_n(of.rho.data() + l * w, w, rho);
        tensor.rho = rho;
        tensor.step = of.step.data()[l];
        require(std::isfinite(tensor.step) && tensor.step > 0, "a step makes no sense");
    }
    tensors_.push_back(std::move(all));
    return tensors_.back().data();
}

KvMatrix ArchiveModel::half(const uint16_t *rows, int depth, int width) {
    halves_.push_back(panels(rows, depth, width));
    return {halves_.back().data(), true, depth};
}

KvMatrix ArchiveModel::full(const float *rows, int depth, int width) {
    fulls_.push_back(panels(rows, depth, width));
    return {fulls_.back().data(), false, depth};
}

ArchiveCall::ArchiveCall(std::shared_ptr<ArchiveModel> model, In<uint8_t, 1> section, int n_rows, In<uint8_t, 3> base,
                         float scale, std::optional<RopeArgs> rope, const TargetArgs &k, const TargetArgs &v)
    : model_(std::move(model)), section_(section), n_rows_(n_rows), base_(base), scale_(scale), rope_args_(rope), k_(k),
      v_(v) {
    const KvArchiveModel &tables = model_->model();
    require(tables.n_groups > 0 && n_rows >= 1 && n_rows <= MAX_ROWS, "implausible number of rows");
    require(model_->fits(base), "classes have the wrong shape");
    require(std::isfinite(scale) && scale > 0, "scale makes no sense");
    rope_ = rope_of(rope, n_rows, tables.k_width);
    k.check(tables.n_layers, n_rows, tables.k_width);
    v.check(tables.n_layers, n_rows, tables.v_width);
}

KvOutcome ArchiveCall::run(const KvKernels &kernels, const Place &k, const Place &v) const {
    const KvArchiveModel &tables = model_->model();
    std::vector<KvStream> streams(size_t(tables.n_groups));
    if (!split(section_.data(), int64_t(section_.shape(0)), streams)) return KvOutcome::BAD;
    const KvArchiveDecode job{&tables, streams.data(), base_.data(), scale_, n_rows_, rope_ ? &*rope_ : nullptr,
                              k_.layer(k, 0, tables.k_width), v_.layer(v, 0, tables.v_width), k.stride, v.stride};
    return kernels.archive_decode(job);
}

void bind_archive(nb::module_ &m) {
    const auto array = [](const char *name) { return nb::arg(name).noconvert(); };
    nb::class_<ArchiveModel::Matrices>(m, "ArchiveMatrices")
        .def(
            "__init__",
            [](ArchiveModel::Matrices *self, In<float, 2> mean, In<uint16_t, 3> predict, In<uint16_t, 3> decode,
               In<float, 1> step, In<float, 2> rho, std::optional<In<float, 3>> forward) {
                new (self) ArchiveModel::Matrices{mean, predict, decode, step, rho, forward};
            },
            array("mean"), array("predict"), array("decode"), array("step"), array("rho"), nb::arg("forward").noconvert().none());
    nb::class_<ArchiveModel>(m, "ArchiveModel")
        .def(nb::init<int, In<uint16_t, 2>, In<uint16_t, 1>, float, int>(), nb::arg("n_layers"), array("freq"),
             array("expected"), nb::arg("shrink"), nb::arg("fineness_class"))
        .def("add_group", &ArchiveModel::add_group, nb::arg("k"), nb::arg("v"), array("predict_v0"));
    nb::class_<ArchiveCall>(m, "ArchiveCall")
        .def(nb::init<std::shared_ptr<ArchiveModel>, In<uint8_t, 1>, int, In<uint8_t, 3>, float,
                      std::optional<RopeArgs>, const TargetArgs &, const TargetArgs &>(),
             nb::arg("model"), array("section"), nb::arg("n_rows"), array("base"), nb::arg("scale"),
             nb::arg("rope").none(), nb::arg("k"), nb::arg("v"));
    m.def("decode_archive", &decode_archive, nb::arg("variant"), nb::arg("call"));
    m.def("encode_archive", &encode_archive, nb::arg("variant"), nb::arg("model"), array("k"), array("v"),
          nb::arg("undo").none(), array("base"), nb::arg("scale"), array("fineness"), array("magnitudes"));
}
