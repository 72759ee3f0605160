// Chunks of `.kv` files into a llama.cpp context: read, verify, decode, hand over; all without the GIL.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "archive_calls.h"
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
    int64_t k_rows() const { return k_first + int64_t(k_header.shape(0)); }  // of the first layer
    int64_t v_rows() const { return v_first + int64_t(v_header.shape(0)); }
};

// One chunk: what to read into `stored` and the calls that decode it into a blob with the frame `whole`.  What
// llama.cpp gets are pieces of it, runs of rows with a frame each, of which few exist at a time.
class Chunk {
public:
    Chunk(int fd, int64_t offset, Out<uint8_t, 1> stored, std::vector<Section> sections,
          std::shared_ptr<Frame> whole, std::vector<std::shared_ptr<Frame>> pieces, int32_t first_position);

    void decode(DecodeCall call) { add(std::move(call)); }
    void relocate(RelocateCall call) { add(std::move(call)); }
    void archive(ArchiveCall call);  // the chunk must be one piece

    // Reading falls into sections, making a piece into parts; threads may do either side by side.
    int64_t n_sections() const { return int64_t(sections_.size()); }
    int64_t n_pieces() const { return int64_t(pieces_.size()); }
    int64_t n_parts(int64_t piece) const { return int64_t(pieces_[size_t(piece)].parts.size() + archives_.size()) + 1; }
    int64_t size(int64_t piece) const { return pieces_[size_t(piece)].frame->size; }

    // Reads and verifies a section; "" or what is wrong.
    const char *read(int64_t section, const KvKernels &kernels) const;
    // Writes a part of a piece, when all sections were read, into a blob of `size(piece)` bytes; "" or what is wrong.
    const char *make(int64_t piece, int64_t part, uint8_t *blob, const KvKernels &kernels) const;

private:
    using Call = std::variant<DecodeCall, RelocateCall>;
    struct Part {
        size_t call;
        Share share;
        int64_t at, stride;  // of its first row in the piece's blob
    };
    struct Archive {
        ArchiveCall call;
        int64_t k_at, v_at;  // of its first rows in the blob
    };
    struct Piece {
        std::shared_ptr<Frame> frame;
        int64_t first_row;
        std::vector<Part> parts;
    };

    void add(Call call);

    int fd_;
    int64_t offset_;
    Out<uint8_t, 1> stored_;
    std::vector<Section> sections_;
    std::shared_ptr<Frame> whole_;
    int32_t first_position_;
    std::vector<Piece> pieces_;
    std::vector<Call> calls_;
    std::vector<Archive> archives_;
};

// llama.cpp's functions and objects, as addresses that ctypes knows.
struct Receiver {
    uintptr_t set_data, seq_cp, context, memory;
    int32_t seq, scratch;

    // Give `blob` to `scratch` and share its cells with `seq`; false when llama.cpp refuses it.
    bool take(const uint8_t *blob, int64_t size) const;
};

// Hands chunks over in order, piece by piece, while more of them are added.  `n_threads` threads, of which `finish`
// is one, take whatever is next; one of them at a time hands over.
//
// The pieces take turns in the blobs and the chunks in `n_stored` buffers: a piece is begun when the one before it
// in its blob was handed over, and a chunk is read when all pieces of the one before it in its buffer were.
class PlacingJob {
public:
    static constexpr int N_STORED = 2;  // what keeps two threads busy when chunks fall into parts

    PlacingJob(const std::string &variant, int n_threads, std::vector<Out<uint8_t, 1>> blobs,
               const Receiver &receiver, int n_stored = N_STORED);
    ~PlacingJob();  // with the GIL held, as Python's objects end

    // The chunk must live until the end.
    void add(const Chunk *chunk);
    // Waits for all chunks; the index of the one that failed and why, or (-1, "").
    std::pair<int64_t, std::string> finish();
    // Waits for what is under way; nothing else is begun.
    void abandon();

private:
    using Lock = std::unique_lock<std::mutex>;
    struct Reading {
        const Chunk *chunk;
        int64_t begun = 0, done = 0;  // sections
        bool ready() const { return done == chunk->n_sections(); }
    };
    struct Making {
        size_t chunk;
        int64_t piece, n_parts, begun = 0, done = 0;
        bool ready() const { return done == n_parts; }
    };

    void work();
    // Each does one thing, unlocked, if there is one to do now.
    bool hand_over(Lock &lock);
    bool make(Lock &lock);
    bool read(Lock &lock);
    void fail(size_t chunk, const char *why);  // locked, as the next
    bool over() const { return failed_ >= 0 || (complete_ && next_ == pieces_.size()); }
    void join();

    const KvKernels &kernels_;
    const Receiver receiver_;
    const size_t n_stored_;
    const std::vector<Out<uint8_t, 1>> blobs_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Reading> chunks_;
    std::deque<Making> pieces_;
    bool complete_ = false, handing_over_ = false;
    size_t next_ = 0;  // the piece to hand over
    int64_t failed_ = -1;
    std::string why_;
    std::vector<std::thread> threads_;
};
