// Python binding of the cache kernels.  Checks every shape here; the kernels check nothing.
// Every call releases the GIL; different layers may run in different threads.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <string>
#include <vector>

#include "kernels.h"

namespace nb = nanobind;

namespace kv_base { extern const KvKernels kernels; }
#if defined(KV_X86)
namespace kv_avx2 { extern const KvKernels kernels; }
#if defined(KV_AVX512)
namespace kv_avx512 { extern const KvKernels kernels; }
#endif
#endif

namespace {

template <typename T, size_t N>
using In = nb::ndarray<const T, nb::ndim<N>, nb::c_contig, nb::device::cpu>;
template <typename T, size_t N>
using Out = nb::ndarray<T, nb::ndim<N>, nb::c_contig, nb::device::cpu>;

const char *const BASE_NAME =
#if defined(__ARM_NEON)
    "neon";
#else
    "plain";
#endif

std::vector<std::string> variants() {
    std::vector<std::string> found;
#if defined(KV_X86)
    __builtin_cpu_init();
#if defined(KV_AVX512)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq"))
        found.push_back("avx512");
#endif
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back("avx2");
#endif
    found.push_back(BASE_NAME);
    return found;
}

const KvKernels &pick(const std::string &variant) {
    for (const auto &name : variants())
        if (name == variant) {
#if defined(KV_X86)
#if defined(KV_AVX512)
            if (name == "avx512") return kv_avx512::kernels;
#endif
            if (name == "avx2") return kv_avx2::kernels;
#endif
            return kv_base::kernels;
        }
    throw nb::value_error("this machine has no such kernel variant");
}

void require(bool condition, const char *what) {
    if (!condition) throw nb::value_error(what);
}

struct RopeArgs {
    In<float, 2> cos, sin;
    int n_head, head_dim;
    bool neox;
};

std::optional<KvRope> rope_of(const std::optional<RopeArgs> &args, int64_t n_rows, int width) {
    if (!args) return std::nullopt;
    const int n_rot = int(args->cos.shape(1));
    require(int64_t(args->cos.shape(0)) == n_rows && int64_t(args->sin.shape(0)) == n_rows &&
                int(args->sin.shape(1)) == n_rot,
            "cos and sin must be (n_rows, n_rot)");
    require(n_rot > 0 && n_rot % 2 == 0 && n_rot <= args->head_dim && args->n_head * args->head_dim == width,
            "rope dimensions do not fit the row");
    return KvRope{args->cos.data(), args->sin.data(), args->n_head, args->head_dim, n_rot, args->neox};
}

void check_codec(int width, int bits, int rotation, int stride) {
    require(width > 0 && width <= KV_MAX_ROW, "row too wide");
    require(bits >= 2 && bits <= 8, "bits must be 2 to 8");
    require(rotation >= 1 && rotation <= 128 && (rotation & (rotation - 1)) == 0 && width % rotation == 0,
            "rotation must be a power of two that divides the row");
    require(stride == 1 || (stride == 8 && rotation >= 8), "stride must be 1 or 8");
}

// Where the rows of consecutive layers go: layer l starts at first + l * stride bytes of the blob.
struct TargetArgs {
    Out<uint8_t, 1> blob;
    int64_t first, stride;
    bool q8;
    int rotation;

    KvTarget layer(int64_t index, int width) const {
        const int64_t row_bytes = q8 ? width / 32 * 34 : width * 2;
        return KvTarget{blob.data() + first + index * stride, row_bytes, q8, q8 ? rotation : 0};
    }

    void check(int64_t n_layers, int64_t n_rows, int width) const {
        require(!q8 || width % 32 == 0, "q8_0 needs rows of a multiple of 32");
        require(!q8 || rotation == 0 ||
                    (rotation > 0 && width % rotation == 0 && width % 64 == 0 && (rotation & (rotation - 1)) == 0),
                "rotation of the cache does not fit the row");
        const int64_t row_bytes = q8 ? width / 32 * 34 : width * 2, size = int64_t(blob.shape(0));
        require(first >= 0 && stride >= 0 && first <= size && stride <= size, "rows lie outside the blob");
        require(n_layers == 0 || first + (n_layers - 1) * stride + n_rows * row_bytes <= size,
                "rows lie outside the blob");
    }
};

const KvRope *pointer(const std::optional<KvRope> &rope) { return rope ? &*rope : nullptr; }

void decode(const std::string &variant, In<uint8_t, 4> codes, In<uint8_t, 3> scales, In<uint16_t, 2> mean,
            In<float, 1> reference, In<float, 1> scale_table, In<float, 1> grid, int bits, int rotation, int stride,
            std::optional<RopeArgs> rope, const TargetArgs &target) {
    const int64_t n_layers = int64_t(codes.shape(0)), n = int64_t(codes.shape(1));
    const int width = int(mean.shape(1)), n_blocks = (width + 63) / 64;
    check_codec(width, bits, rotation, stride);
    require(int(codes.shape(2)) == n_blocks && int(codes.shape(3)) == 8 * bits, "codes have the wrong shape");
    require(int64_t(scales.shape(0)) == n_layers && int64_t(scales.shape(1)) == n && int(scales.shape(2)) == n_blocks,
            "scales have the wrong shape");
    require(int64_t(mean.shape(0)) == n_layers && int64_t(reference.shape(0)) == n_layers,
            "mean or reference have the wrong shape");
    require(scale_table.shape(0) == 256 && grid.shape(0) == 3, "tables have the wrong shape");
    const auto r = rope_of(rope, n, width);
    target.check(n_layers, n, width);
    const KvKernels &kernels = pick(variant);
    nb::gil_scoped_release release;
    for (int64_t layer = 0; layer < n_layers; layer++) {
        const int64_t at = layer * n * n_blocks;
        const KvCoded coded{codes.data() + at * 8 * bits, scales.data() + at, mean.data() + layer * width,
                            scale_table.data(), grid.data(), reference.data()[layer], n, width, bits, rotation, stride};
        kernels.decode(coded, pointer(r), target.layer(layer, width));
    }
}

void relocate(const std::string &variant, In<uint16_t, 3> rows, std::optional<RopeArgs> undo,
              std::optional<RopeArgs> redo, const TargetArgs &target) {
    const int64_t n_layers = int64_t(rows.shape(0)), n = int64_t(rows.shape(1));
    const int width = int(rows.shape(2));
    require(width > 0 && width <= KV_MAX_ROW, "row too wide");
    const auto f = rope_of(undo, n, width), t = rope_of(redo, n, width);
    target.check(n_layers, n, width);
    const KvKernels &kernels = pick(variant);
    nb::gil_scoped_release release;
    for (int64_t layer = 0; layer < n_layers; layer++)
        kernels.relocate(rows.data() + layer * n * width, n, width, pointer(f), pointer(t), target.layer(layer, width));
}

float encode(const std::string &variant, In<uint16_t, 2> rows, std::optional<RopeArgs> rope, In<float, 1> scale_table,
             In<float, 1> grid, int bits, int rotation, int stride, Out<uint8_t, 3> codes, Out<uint8_t, 2> scales,
             Out<uint16_t, 1> mean) {
    const int64_t n_rows = int64_t(rows.shape(0));
    const int width = int(rows.shape(1)), n_blocks = (width + 63) / 64;
    check_codec(width, bits, rotation, stride);
    require(int64_t(codes.shape(0)) == n_rows && int(codes.shape(1)) == n_blocks && int(codes.shape(2)) == 8 * bits,
            "codes have the wrong shape");
    require(int64_t(scales.shape(0)) == n_rows && int(scales.shape(1)) == n_blocks, "scales have the wrong shape");
    require(int(mean.shape(0)) == width, "mean has the wrong shape");
    require(scale_table.shape(0) == 256 && grid.shape(0) == 3, "tables have the wrong shape");
    const auto r = rope_of(rope, n_rows, width);
    const KvPlain plain{rows.data(), scale_table.data(), grid.data(), n_rows, width, bits, rotation, stride};
    const KvKernels &kernels = pick(variant);
    nb::gil_scoped_release release;
    std::vector<double> sums(size_t(width), 0.0);
    std::vector<float> wanted(size_t(n_rows) * size_t(n_blocks));
    const KvEncoded encoded{codes.data(), scales.data(), mean.data(), sums.data(), wanted.data()};
    return kernels.encode(plain, pointer(r), encoded);
}

// An array is taken as it is: nanobind would otherwise write into a converted copy of a strided or mistyped one.
auto array(const char *name) { return nb::arg(name).noconvert(); }

}  // namespace

NB_MODULE(_kernels, m) {
    nb::class_<RopeArgs>(m, "Rope")
        .def(
            "__init__",
            [](RopeArgs *self, In<float, 2> cos, In<float, 2> sin, int n_head, int head_dim, bool neox) {
                new (self) RopeArgs{cos, sin, n_head, head_dim, neox};
            },
            array("cos"), array("sin"), nb::arg("n_head"), nb::arg("head_dim"), nb::arg("neox"));
    nb::class_<TargetArgs>(m, "Target")
        .def(
            "__init__",
            [](TargetArgs *self, Out<uint8_t, 1> blob, int64_t first, int64_t stride, bool q8, int rotation) {
                new (self) TargetArgs{blob, first, stride, q8, rotation};
            },
            array("blob"), nb::arg("first"), nb::arg("stride"), nb::arg("q8"), nb::arg("rotation"));
    m.attr("MAX_ROW") = KV_MAX_ROW;
    m.def("variants", &variants);
    m.def("decode", &decode, nb::arg("variant"), array("codes"), array("scales"), array("mean"), array("reference"),
          array("scale_table"), array("grid"), nb::arg("bits"), nb::arg("rotation"), nb::arg("stride"),
          nb::arg("rope").none(), nb::arg("target"));
    m.def("relocate", &relocate, nb::arg("variant"), array("rows"), nb::arg("undo").none(), nb::arg("redo").none(),
          nb::arg("target"));
    m.def("encode", &encode, nb::arg("variant"), array("rows"), nb::arg("rope").none(), array("scale_table"),
          array("grid"), nb::arg("bits"), nb::arg("rotation"), nb::arg("stride"), array("codes"), array("scales"),
          array("mean"));
}
