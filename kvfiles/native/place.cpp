#include "place.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace {

constexpr const char *REFUSED = "refused", *UNREADABLE = "unreadable", *DAMAGED = "damaged";

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

Chunk::Chunk(int fd, int64_t offset, Out<uint8_t, 1> stored, std::vector<Section> sections, Out<uint8_t, 1> blob,
             std::shared_ptr<Frame> frame, int32_t first_position)
    : fd_(fd), offset_(offset), stored_(stored), blob_(blob), sections_(std::move(sections)),
      frame_(std::move(frame)), first_position_(first_position) {
    const int64_t size = int64_t(stored_.shape(0));
    for (const auto &section : sections_)
        require(section.offset >= 0 && section.size >= 0 && section.size <= size &&
                    section.offset <= size - section.size,
                "a section lies outside the stretch");
    require(offset >= 0 && int64_t(blob_.shape(0)) == frame_->size, "the blob does not fit its frame");
}

const char *Chunk::make(const KvKernels &kernels) const {
    if (!read_all(fd_, stored_.data(), int64_t(stored_.shape(0)), offset_)) return UNREADABLE;
    for (const auto &section : sections_)
        if (kernels.xxh3(stored_.data() + section.offset, size_t(section.size)) != section.xxh3) return DAMAGED;
    frame_->write(blob_.data(), first_position_);
    for (const auto &call : calls_) std::visit([&](const auto &c) { c.run(kernels); }, call);
    return "";
}

bool Receiver::take(const uint8_t *blob, int64_t size) const {
    // llama_state_seq_set_data(ctx, src, size, dest_seq_id) and llama_memory_seq_cp(mem, src, dst, p0, p1)
    const auto set = reinterpret_cast<size_t (*)(void *, const uint8_t *, size_t, int32_t)>(set_data);
    const auto copy = reinterpret_cast<void (*)(void *, int32_t, int32_t, int32_t, int32_t)>(seq_cp);
    if (set(reinterpret_cast<void *>(context), blob, size_t(size), scratch) != size_t(size)) return false;
    copy(reinterpret_cast<void *>(memory), scratch, seq, -1, -1);
    return true;
}

PlacingJob::PlacingJob(const std::string &variant, int n_threads, const Receiver &receiver)
    : kernels_(kernels_of(variant)), receiver_(receiver), n_threads_(std::max(1, n_threads)) {
    try {
        for (int64_t i = 0; i < n_threads_; i++) threads_.emplace_back([this, i] { work(i); });
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
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        chunks_.push_back(chunk);
    }
    changed_.notify_all();
}

std::pair<int64_t, std::string> PlacingJob::finish() {
    join();
    return {failed_, why_};
}

void PlacingJob::abandon() {
    fail(0, "abandoned");
    join();
}

void PlacingJob::join() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        complete_ = true;
    }
    changed_.notify_all();
    for (auto &thread : threads_) thread.join();
    threads_.clear();
}

void PlacingJob::work(int64_t first) {
    for (int64_t i = first;; i += n_threads_) {
        const Chunk *mine = chunk(i);
        if (mine == nullptr) return;
        const char *wrong = mine->make(kernels_);
        if (*wrong != 0) return fail(i, wrong);
        if (!wait_for_turn(i)) return;
        if (!receiver_.take(mine->blob(), mine->blob_size())) return fail(i, REFUSED);
        pass_on();
    }
}

const Chunk *PlacingJob::chunk(int64_t index) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return failed_ >= 0 || complete_ || index < int64_t(chunks_.size()); });
    return failed_ >= 0 || index >= int64_t(chunks_.size()) ? nullptr : chunks_[size_t(index)];
}

bool PlacingJob::wait_for_turn(int64_t index) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return failed_ >= 0 || next_ == index; });
    return failed_ < 0;
}

void PlacingJob::pass_on() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        next_++;
    }
    changed_.notify_all();
}

void PlacingJob::fail(int64_t index, const char *why) {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (failed_ < 0) {
            failed_ = index;
            why_ = why;
        }
    }
    changed_.notify_all();
}
