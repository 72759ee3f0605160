// Python binding of the cache kernels.  Checks every shape here; the kernels check nothing.
// Every call releases the GIL; different layers may run in different threads.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "archive_calls.h"
#include "log_filter.h"
#include "place.h"

namespace kv_base { extern const KvKernels kernels; }
#if defined(KV_X86)
namespace kv_avx2 { extern const KvKernels kernels; }
#if defined(KV_AVX512)
namespace kv_avx512 { extern const KvKernels kernels; }
#endif
#endif

namespace {

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

void decode(const std::string &variant, const DecodeCall &call) {
    const KvKernels &kernels = kernels_of(variant);
    nb::gil_scoped_release release;
    call.run(kernels);
}

void relocate(const std::string &variant, const RelocateCall &call) {
    const KvKernels &kernels = kernels_of(variant);
    nb::gil_scoped_release release;
    call.run(kernels);
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
    const KvKernels &kernels = kernels_of(variant);
    nb::gil_scoped_release release;
    std::vector<double> sums(size_t(width), 0.0);
    std::vector<float> wanted(size_t(n_rows) * size_t(n_blocks));
    const KvEncoded encoded{codes.data(), scales.data(), mean.data(), sums.data(), wanted.data()};
    return kernels.encode(plain, r ? &*r : nullptr, encoded);
}

// An array is taken as it is: nanobind would otherwise write into a converted copy of a strided or mistyped one.
auto array(const char *name) { return nb::arg(name).noconvert(); }

}  // namespace

const KvKernels &kernels_of(const std::string &variant) {
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
    m.attr("LOG_WITHOUT_DEBUG") = reinterpret_cast<uintptr_t>(&llama_log_without_debug);
    m.def("variants", &variants);
    bind_archive(m);
    nb::class_<DecodeCall>(m, "DecodeCall")
        .def(nb::init<In<uint8_t, 4>, In<uint8_t, 3>, In<uint16_t, 2>, In<float, 1>, In<float, 1>, In<float, 1>, int,
                      int, int, std::optional<RopeArgs>, const TargetArgs &>(),
             array("codes"), array("scales"), array("mean"), array("reference"), array("scale_table"), array("grid"),
             nb::arg("bits"), nb::arg("rotation"), nb::arg("stride"), nb::arg("rope").none(), nb::arg("target"));
    nb::class_<RelocateCall>(m, "RelocateCall")
        .def(nb::init<In<uint16_t, 3>, std::optional<RopeArgs>, std::optional<RopeArgs>, const TargetArgs &>(),
             array("rows"), nb::arg("undo").none(), nb::arg("redo").none(), nb::arg("target"));
    nb::class_<Frame>(m, "Frame")
        .def(
            "__init__",
            [](Frame *self, In<uint8_t, 1> head, In<uint8_t, 1> k_header, In<uint8_t, 1> v_header, int64_t cells_at,
               int64_t cell_bytes, int64_t n_cells, int64_t k_first, int64_t k_stride, int64_t v_first,
               int64_t v_stride, int64_t n_layers, int64_t size) {
                const Frame frame{head, k_header, v_header, cells_at, cell_bytes, n_cells,
                                  k_first, k_stride, v_first, v_stride, n_layers, size};
                frame.check();
                new (self) Frame(frame);
            },
            array("head"), array("k_header"), array("v_header"), nb::arg("cells_at"), nb::arg("cell_bytes"),
            nb::arg("n_cells"), nb::arg("k_first"), nb::arg("k_stride"), nb::arg("v_first"), nb::arg("v_stride"),
            nb::arg("n_layers"), nb::arg("size"));
    nb::class_<Chunk>(m, "Chunk")
        .def(
            "__init__",
            [](Chunk *self, int fd, int64_t offset, Out<uint8_t, 1> stored,
               const std::vector<std::tuple<int64_t, int64_t, uint64_t>> &sections, std::shared_ptr<Frame> whole,
               std::vector<std::shared_ptr<Frame>> pieces, int32_t first_position) {
                std::vector<Section> checked;
                for (const auto &[at, size, xxh3] : sections) checked.push_back({at, size, xxh3});
                new (self) Chunk(fd, offset, stored, std::move(checked), std::move(whole), std::move(pieces),
                                 first_position);
            },
            nb::arg("fd"), nb::arg("offset"), array("stored"), nb::arg("sections"), nb::arg("whole"),
            nb::arg("pieces"), nb::arg("first_position"))
        .def("decode", &Chunk::decode, nb::arg("call"))
        .def("relocate", &Chunk::relocate, nb::arg("call"))
        .def("archive", &Chunk::archive, nb::arg("call"));
    m.def("decode", &decode, nb::arg("variant"), nb::arg("call"));
    m.def("relocate", &relocate, nb::arg("variant"), nb::arg("call"));
    // Its threads may wake Python (llama.cpp's log), so that nobody may wait for them with the GIL held.
    nb::class_<PlacingJob>(m, "PlacingJob")
        .def(
            "__init__",
            [](PlacingJob *self, const std::string &variant, int n_threads, std::vector<Out<uint8_t, 1>> blobs,
               uintptr_t set_data, uintptr_t seq_cp, uintptr_t context, uintptr_t memory, int32_t seq,
               int32_t scratch, int n_stored) {
                new (self) PlacingJob(variant, n_threads, std::move(blobs),
                                      Receiver{set_data, seq_cp, context, memory, seq, scratch}, n_stored);
            },
            nb::arg("variant"), nb::arg("n_threads"), array("blobs"), nb::arg("set_data"), nb::arg("seq_cp"),
            nb::arg("context"), nb::arg("memory"), nb::arg("seq"), nb::arg("scratch"),
            nb::arg("n_stored") = PlacingJob::N_STORED)
        .def_ro_static("N_STORED", &PlacingJob::N_STORED)
        .def("add", &PlacingJob::add, nb::arg("chunk"), nb::keep_alive<1, 2>())
        .def("finish",
             [](PlacingJob &self) {
                 nb::gil_scoped_release release;
                 return self.finish();
             })
        .def("abandon", [](PlacingJob &self) {
            nb::gil_scoped_release release;
            self.abandon();
        });
    m.def("encode", &encode, nb::arg("variant"), array("rows"), nb::arg("rope").none(), array("scale_table"),
          array("grid"), nb::arg("bits"), nb::arg("rotation"), nb::arg("stride"), array("codes"), array("scales"),
          array("mean"));
}
