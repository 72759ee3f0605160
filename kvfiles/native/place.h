// Chunks of `.kv` files into a llama.cpp context: read, verify, decode, hand over; all without the GIL.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "calls.h"

// A part of `stored` with a checksum of its own.
struct Section {
    int64_t offset, size;
    uint64_t xxh3;
};

// What stands in a state blob beside the rows; see kvfiles/state_blob.py, which lays it out.
struct Frame {
    In<uint8_t, 1> head;                // up to the first layer; cells with any positions
    In<uint8_t, 1> k_header, v_header;  // before the rows of every layer
    int64_t cells_at, cell_bytes, n_cells;
    int64_t k_first, k_stride, v_first, v_stride, n_layers;  // of the headers
    int64_t size;

    void check() const;
    void write(uint8_t *blob, int32_t first_position) const;
};

// One chunk: what to read into `stored`, the calls that decode it into `blob`, and the blob's frame.
class Chunk {
public:
    Chunk(int fd, int64_t offset, Out<uint8_t, 1> stored, std::vector<Section> sections,
          Out<uint8_t, 1> blob, std::shared_ptr<Frame> frame, int32_t first_position);

    void decode(DecodeCall call) { calls_.emplace_back(std::move(call)); }
    void relocate(RelocateCall call) { calls_.emplace_back(std::move(call)); }

    // Reads, verifies and decodes; "" or what is wrong.
    const char *make(const KvKernels &kernels) const;
    const uint8_t *blob() const { return blob_.data(); }
    int64_t blob_size() const { return frame_->size; }

private:
    int fd_;
    int64_t offset_;
    Out<uint8_t, 1> stored_, blob_;
    std::vector<Section> sections_;
    std::shared_ptr<Frame> frame_;
    int32_t first_position_;
    std::vector<std::variant<DecodeCall, RelocateCall>> calls_;
};

// llama.cpp's functions and objects, as addresses that ctypes knows.
struct Receiver {
    uintptr_t set_data, seq_cp, context, memory;
    int32_t seq, scratch;

    // Give `blob` to `scratch` and share its cells with `seq`; false when llama.cpp refuses it.
    bool take(const uint8_t *blob, int64_t size) const;
};

// Hands chunks over in order while more of them are added.  Thread i of `n_threads` makes the chunks i,
// i + n_threads, ...; each must have buffers that no chunk of another thread uses.
class PlacingJob {
public:
    PlacingJob(const std::string &variant, int n_threads, const Receiver &receiver);
    ~PlacingJob();  // with the GIL held, as Python's objects end

    // The chunk must live until the end.
    void add(const Chunk *chunk);
    // Waits for all chunks; the index of the one that failed and why, or (-1, "").
    std::pair<int64_t, std::string> finish();
    // Waits for those under way; no others are begun.
    void abandon();

private:
    void work(int64_t first);
    // The chunk `index`, or null when there is none or one has failed.
    const Chunk *chunk(int64_t index);
    bool wait_for_turn(int64_t index);
    void pass_on();
    void fail(int64_t index, const char *why);
    void join();

    const KvKernels &kernels_;
    const Receiver receiver_;
    const int64_t n_threads_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<const Chunk *> chunks_;
    bool complete_ = false;
    int64_t next_ = 0, failed_ = -1;
    std::string why_;
    std::vector<std::thread> threads_;
};
