#include "place.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace {

constexpr const char *REFUSED = "refused", *UNREADABLE = "unreadable", *DAMAGED = "damaged",
                     *UNDECODABLE = "undecodable", *NO_MEMORY = "no memory";

// What one part decodes, in bytes of the blob: it fits into the second cache of a processor and takes so long
// (tens of microseconds) that taking turns costs nothing.
constexpr int64_t PART_BYTES = 1 << 19;

bool read_all(int fd, uint8_t *out, int64_t size, int64_t offset) {
    while (size > 0) {
        const ssize_t n = pread(fd, out, size_t(size), off_t(offset));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        out += n;
        offset += n;
        size -= n;
    }
    return true;
}

}  // namespace

void Frame::check() const {
    const int64_t head_size = int64_t(head.shape(0)), k_size = int64_t(k_header.shape(0)),
                  v_size = int64_t(v_header.shape(0));
    const auto inside = [&](int64_t first, int64_t stride, int64_t n, int64_t bytes, int64_t end) {
        return first >= 0 && stride >= 0 && n >= 0 && first <= end && stride <= end &&
               (n == 0 || first + (n - 1) * stride + bytes <= end);
    };
    require(n_cells >= 0 && n_cells < (int64_t(1) << 31) && n_layers >= 0 && n_layers <= 4096, "implausible frame");
    require(head_size <= size && inside(cells_at, cell_bytes, n_cells, 4, head_size), "cells lie outside the head");
    require(inside(k_first, k_stride, n_layers, k_size, size) && inside(v_first, v_stride, n_layers, v_size, size),
            "headers lie outside the blob");
}

void Frame::write(uint8_t *blob, int32_t first_position) const {
    std::memcpy(blob, head.data(), head.shape(0));
    for (int64_t i = 0; i < n_cells; i++) {
        const int32_t position = first_position + int32_t(i);
        std::memcpy(blob + cells_at + i * cell_bytes, &position, sizeof position);
    }
    for (int64_t layer = 0; layer < n_layers; layer++) {
        std::memcpy(blob + k_first + layer * k_stride, k_header.data(), k_header.shape(0));
        std::memcpy(blob + v_first + layer * v_stride, v_header.data(), v_header.shape(0));
    }
}

Chunk::Chunk(int fd, int64_t offset, Out<uint8_t, 1> stored, std::vector<Section> sections,
             std::shared_ptr<Frame> whole, std::vector<std::shared_ptr<Frame>> pieces, int32_t first_position)
    : fd_(fd), offset_(offset), stored_(stored), sections_(std::move(sections)), whole_(std::move(whole)),
      first_position_(first_position) {
    const int64_t size = int64_t(stored_.shape(0));
    for (const auto &section : sections_)
        require(section.offset >= 0 && section.size >= 0 && section.size <= size &&
                    section.offset <= size - section.size,
                "a section lies outside the stretch");
    require(offset >= 0 && offset <= INT64_MAX - size, "implausible offset");
    int64_t n_rows = 0;
    for (auto &frame : pieces) {
        require(frame->n_layers == whole_->n_layers, "the pieces have other layers than the whole");
        pieces_.push_back({frame, n_rows, {}});
        n_rows += frame->n_cells;
    }
    require(n_rows == whole_->n_cells, "the pieces are not the whole");
}

void Chunk::add(Call call) {
    std::visit(
        [&](const auto &c) {
            // Where its rows stand in the whole blob tells whether they are K or V, and which.
            const TargetArgs &target = c.target();
            const bool is_v = target.first >= whole_->v_first;
            const int64_t row_bytes = c.row_bytes(), n_layers = c.n_layers(),
                          skipped = target.first - (is_v ? whole_->v_rows() : whole_->k_rows());
            require(row_bytes > 0 && skipped >= 0 && skipped % row_bytes == 0 &&
                        skipped / row_bytes + c.n_rows() <= whole_->n_cells && n_layers <= whole_->n_layers &&
                        target.stride == (is_v ? whole_->v_stride : whole_->k_stride),
                    "the rows do not fit the frame");
            const int64_t row = skipped / row_bytes, stop = row + c.n_rows();
            for (auto &piece : pieces_) {
                const Frame &frame = *piece.frame;
                const int64_t first = std::max(row, piece.first_row),
                              last = std::min(stop, piece.first_row + frame.n_cells);
                if (first >= last) continue;
                const int64_t rows = is_v ? frame.v_rows() : frame.k_rows(),
                              stride = is_v ? frame.v_stride : frame.k_stride,
                              at = rows + (first - piece.first_row) * row_bytes,
                              step = std::max(int64_t(1), PART_BYTES / ((last - first) * row_bytes));
                require(at + (n_layers - 1) * stride + (last - first) * row_bytes <= frame.size,
                        "the rows do not fit the frame of a piece");
                for (int64_t layer = 0; layer < n_layers; layer += step)
                    piece.parts.push_back({calls_.size(),
                                           {first - row, last - row, layer, std::min(layer + step, n_layers)},
                                           at + layer * stride, stride});
            }
        },
        call);
    calls_.push_back(std::move(call));
}

const char *Chunk::read(int64_t index, const KvKernels &kernels) const {
    const Section &section = sections_[size_t(index)];
    uint8_t *bytes = stored_.data() + section.offset;
    if (!read_all(fd_, bytes, section.size, offset_ + section.offset)) return UNREADABLE;
    return kernels.xxh3(bytes, size_t(section.size)) == section.xxh3 ? "" : DAMAGED;
}

void Chunk::archive(ArchiveCall call) {
    require(pieces_.size() == 1, "a chunk of the archive codec is one piece");
    const Frame &frame = *pieces_[0].frame;
    const auto place = [&](const TargetArgs &target, int64_t whole, int64_t stride, int64_t rows, int64_t own_stride,
                           int64_t row_bytes) {
        const int64_t skipped = target.first - whole, at = rows + skipped;
        require(skipped >= 0 && skipped % row_bytes == 0 && target.stride == stride &&
                    skipped / row_bytes + call.n_rows() <= frame.n_cells && call.n_layers() == frame.n_layers &&
                    at + (call.n_layers() - 1) * own_stride + call.n_rows() * row_bytes <= frame.size,
                "the rows do not fit the frame");
        return at;
    };
    const int64_t k_at = place(call.k(), whole_->k_rows(), whole_->k_stride, frame.k_rows(), frame.k_stride,
                               call.k_row_bytes()),
                  v_at = place(call.v(), whole_->v_rows(), whole_->v_stride, frame.v_rows(), frame.v_stride,
                               call.v_row_bytes());
    archives_.push_back({std::move(call), k_at, v_at});
}

const char *Chunk::make(int64_t index, int64_t part, uint8_t *blob, const KvKernels &kernels) const {
    const Piece &piece = pieces_[size_t(index)];
    const int64_t n_plain = int64_t(piece.parts.size());
    if (part < n_plain) {
        const Part &p = piece.parts[size_t(part)];
        std::visit([&](const auto &call) { call.run(kernels, p.share, {blob + p.at, p.stride}); }, calls_[p.call]);
        return "";
    }
    if (part == n_plain + int64_t(archives_.size())) {
        piece.frame->write(blob, first_position_ + int32_t(piece.first_row));
        return "";
    }
    const Archive &archive = archives_[size_t(part - n_plain)];
    const Place k{blob + archive.k_at, piece.frame->k_stride}, v{blob + archive.v_at, piece.frame->v_stride};
    switch (archive.call.run(kernels, k, v)) {
        case KvOutcome::DONE: return "";
        case KvOutcome::BAD: return UNDECODABLE;
        default: return NO_MEMORY;
    }
}

bool Receiver::take(const uint8_t *blob, int64_t size) const {
    // llama_state_seq_set_data(ctx, src, size, dest_seq_id) and llama_memory_seq_cp(mem, src, dst, p0, p1)
    const auto set = reinterpret_cast<size_t (*)(void *, const uint8_t *, size_t, int32_t)>(set_data);
    const auto copy = reinterpret_cast<void (*)(void *, int32_t, int32_t, int32_t, int32_t)>(seq_cp);
    if (set(reinterpret_cast<void *>(context), blob, size_t(size), scratch) != size_t(size)) return false;
    copy(reinterpret_cast<void *>(memory), scratch, seq, -1, -1);
    return true;
}

PlacingJob::PlacingJob(const std::string &variant, int n_threads, std::vector<Out<uint8_t, 1>> blobs,
                       const Receiver &receiver, int n_stored)
    : kernels_(kernels_of(variant)), receiver_(receiver), n_stored_(size_t(std::max(1, n_stored))),
      blobs_(std::move(blobs)) {
    require(!blobs_.empty(), "there is no blob");
    try {
        for (int i = 1; i < n_threads; i++) threads_.emplace_back([this] { work(); });
    } catch (...) {  // no more threads
        abandon();
        throw;
    }
}

PlacingJob::~PlacingJob() {
    nb::gil_scoped_release release;
    abandon();
}

void PlacingJob::add(const Chunk *chunk) {
    for (int64_t i = 0; i < chunk->n_pieces(); i++)
        for (const auto &blob : blobs_) require(chunk->size(i) <= int64_t(blob.shape(0)), "a blob is too small");
    {
        const Lock lock(mutex_);
        for (int64_t i = 0; i < chunk->n_pieces(); i++) pieces_.push_back({chunks_.size(), i, chunk->n_parts(i)});
        chunks_.push_back({chunk});
    }
    changed_.notify_all();
}

std::pair<int64_t, std::string> PlacingJob::finish() {
    join();
    return {failed_, why_};
}

void PlacingJob::abandon() {
    {
        const Lock lock(mutex_);
        fail(0, "abandoned");
    }
    join();
}

void PlacingJob::join() {
    {
        const Lock lock(mutex_);
        complete_ = true;
    }
    changed_.notify_all();
    work();
    for (auto &thread : threads_) thread.join();
    threads_.clear();
}

void PlacingJob::work() {
    Lock lock(mutex_);
    while (!over())
        if (!hand_over(lock) && !make(lock) && !read(lock)) changed_.wait(lock);
}

bool PlacingJob::hand_over(Lock &lock) {
    if (handing_over_ || next_ == pieces_.size() || !pieces_[next_].ready()) return false;
    const Making piece = pieces_[next_];
    const Chunk *chunk = chunks_[piece.chunk].chunk;
    handing_over_ = true;
    lock.unlock();
    const bool taken = receiver_.take(blobs_[next_ % blobs_.size()].data(), chunk->size(piece.piece));
    lock.lock();
    handing_over_ = false;
    next_++;
    if (!taken) fail(piece.chunk, REFUSED);
    changed_.notify_all();
    return true;
}

bool PlacingJob::make(Lock &lock) {
    for (size_t i = next_; i < std::min(next_ + blobs_.size(), pieces_.size()); i++) {
        Making &piece = pieces_[i];
        if (piece.begun == piece.n_parts || !chunks_[piece.chunk].ready()) continue;
        const Chunk *chunk = chunks_[piece.chunk].chunk;
        const int64_t index = piece.piece, part = piece.begun++;
        uint8_t *blob = blobs_[i % blobs_.size()].data();
        lock.unlock();
        const char *wrong = chunk->make(index, part, blob, kernels_);
        lock.lock();
        if (*wrong != 0) {
            fail(pieces_[i].chunk, wrong);
            return true;
        }
        pieces_[i].done++;
        if (pieces_[i].ready()) changed_.notify_all();
        return true;
    }
    return false;
}

bool PlacingJob::read(Lock &lock) {
    const size_t first = next_ < pieces_.size() ? pieces_[next_].chunk : chunks_.size();
    for (size_t i = first; i < std::min(first + n_stored_, chunks_.size()); i++) {
        Reading &reading = chunks_[i];
        if (reading.begun == reading.chunk->n_sections()) continue;
        const Chunk *chunk = reading.chunk;
        const int64_t section = reading.begun++;
        lock.unlock();
        const char *wrong = chunk->read(section, kernels_);
        lock.lock();
        if (*wrong != 0) {
            fail(i, wrong);
        } else {
            chunks_[i].done++;
            if (chunks_[i].ready()) changed_.notify_all();
        }
        return true;
    }
    return false;
}

void PlacingJob::fail(size_t chunk, const char *why) {
    if (failed_ < 0) {
        failed_ = int64_t(chunk);
        why_ = why;
    }
    changed_.notify_all();
}
