// The probability model and the range coder of the archive codec.  Definition: kvfiles/codecs/archive/entropy.py.
#pragma once

#include "archive.h"
#include "buffer.h"
#include "simd.h"

namespace KV_ISA {

constexpr int MAX_SHIFT = 8, SHIFTS = 2 * MAX_SHIFT, MAX_COUNTED = 12, MAX_Q = 32767, MAX_PREFIX = 13;
constexpr uint32_t LAST_STATE = 1u << 16, SLOTS_MASK = 4095, HALF_SLOTS = 2048;

// 65536 * 2^((s - 0.5) / 2) for s from -7 to 8.
constexpr uint64_t THRESHOLDS[SHIFTS] = {4871, 6889, 9742, 13777, 19484, 27554, 38968, 55109, 77936, 110218, 155872, 220436, 311744, 440872, 623487, 881744};

// Shift s or more from `from[.][s + 7]` magnitudes (in 1/256, prior included) on, for each block and behind the last.
struct Levels16 {
    alignas(64) uint32_t from[KV_MAX_GROUP / KV_LANES + 1][SHIFTS];
};

static void fill_levels(const KvArchiveModel &model, const uint8_t *base, int width, Levels16 &out) {
    uint64_t ahead = 2048;
    for (int b = 0;; b++) {
        for (int i = 0; i < SHIFTS; i++) out.from[b][i] = uint32_t((ahead * THRESHOLDS[i] + 65535) / 65536);
        if (b * KV_LANES >= width) return;
        for (int j = b * KV_LANES; j < least(width, (b + 1) * KV_LANES); j++)
            ahead += model.expected[least(base[j], KV_CLASSES - 1)];
    }
}

KV_INLINE uint32_t prior_weight(int prior) {
    static const uint32_t weights[SHIFTS + 1] = {128,  181,  256,  362,  512,  724,   1024,  1448, 2048,
                                                 2896, 4096, 5793, 8192, 11585, 16384, 23170, 32768};
    return weights[prior + MAX_SHIFT];
}

KV_INLINE int shift_of(uint32_t seen, const uint32_t *from) {
#if defined(__AVX512F__)
    return __builtin_popcount(_mm512_cmpge_epu32_mask(_mm512_set1_epi32(int(seen)), _mm512_load_si512(from))) -
           MAX_SHIFT;
#else
    int n = 0;
    for (int i = 0; i < SHIFTS; i++) n += int32_t(seen) >= int32_t(from[i]);
    return n - MAX_SHIFT;
#endif
}

KV_INLINE int clamp_class(int k) { return k < 0 ? 0 : k >= KV_CLASSES ? KV_CLASSES - 1 : k; }

// Tables of a model in the form that reading needs.
struct ReadTables {
    alignas(64) int16_t ends[KV_CLASSES][KV_SYMBOLS];  // running sums: where each symbol's slots end
    alignas(64) uint32_t zeros[KV_CLASSES];            // slots of the symbol 0

    explicit ReadTables(const KvArchiveModel &model) {
        for (int k = 0; k < KV_CLASSES; k++) {
            for (int s = 0; s < KV_SYMBOLS; s++) ends[k][s] = int16_t(model.starts[k][s + 1]);
            zeros[k] = model.starts[k][1];
        }
    }

    // How many symbols end at or before the slot.
    KV_MEMBER int symbol(int k, uint32_t slot) const {
#if defined(__AVX512BW__)
        return __builtin_popcount(
            _mm512_cmple_epi16_mask(_mm512_load_si512(ends[k]), _mm512_set1_epi16(int16_t(slot))));
#else
        int16_t n = 0;
        const int16_t at = int16_t(slot);
        for (int s = 0; s < KV_SYMBOLS; s++) n = int16_t(n + (ends[k][s] <= at));
        return n;
#endif
    }
};

class Reader {
public:
    void open(const KvStream &stream, const ReadTables &tables) {
        tables_ = &tables;
        at_ = stream.bytes + 4 * KV_LANES;
        end_ = at_ + 2 * stream.n_words;
        std::memcpy(x_, stream.bytes, sizeof x_);
        sound_ = true;
        for (const uint32_t x : x_) sound_ &= x >= LAST_STATE;
    }

    bool sound() const { return sound_; }
    bool finished() const {
        bool over = sound_ && at_ == end_;
        for (const uint32_t x : x_) over &= x == LAST_STATE;
        return over;
    }

    // The coefficients of a block of `n` components with classes base + shift, as values.  Returns the sum of
    // min(|q|, 12).
    KV_MEMBER int block(const uint8_t *base, int shift, int n, const float *values, float *out) {
        alignas(64) int32_t k[KV_LANES];
        if (n < KV_LANES || end_ - at_ < 2 * KV_LANES) return block_by_lane(base, shift, n, values, out);
#if defined(__AVX512F__)
        const __m512i wide = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(base)));
        const __m512i classes = _mm512_max_epi32(
            _mm512_setzero_si512(),
            _mm512_min_epi32(_mm512_set1_epi32(KV_CLASSES - 1), _mm512_add_epi32(wide, _mm512_set1_epi32(shift))));
        const __m512i x = _mm512_loadu_si512(x_), slot = _mm512_and_si512(x, _mm512_set1_epi32(SLOTS_MASK));
        const __m512i zero = _mm512_i32gather_epi32(classes, tables_->zeros, 4);
        uint32_t others = _mm512_cmpge_epu32_mask(slot, zero);
        alignas(64) uint32_t sizes[KV_LANES], starts[KV_LANES];
        __m512i size = zero, start = _mm512_setzero_si512();
        _mm512_storeu_ps(out, _mm512_setzero_ps());
        int sum = 0;
        if (others) {
            _mm512_store_si512(k, classes);
            _mm512_store_si512(sizes, size);
            _mm512_store_si512(starts, start);
            do {
                const int lane = __builtin_ctz(others);
                others &= others - 1;
                if (!other(lane, k[lane], values, out, sizes, starts, sum))
                    return block_by_lane(base, shift, n, values, out);
            } while (others);
            size = _mm512_load_si512(sizes);
            start = _mm512_load_si512(starts);
        }
        __m512i next = _mm512_add_epi32(_mm512_mullo_epi32(size, _mm512_srli_epi32(x, 12)), _mm512_sub_epi32(slot, start));
        const __mmask16 low = _mm512_cmplt_epu32_mask(next, _mm512_set1_epi32(LAST_STATE));
        const __m512i words = _mm512_maskz_expand_epi32(
            low, _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(at_))));
        next = _mm512_mask_or_epi32(next, low, _mm512_slli_epi32(next, 16), words);
        _mm512_storeu_si512(x_, next);
        at_ += 2 * __builtin_popcount(low);
        return sum;
#else
        alignas(64) uint32_t slots[KV_LANES], sizes[KV_LANES], starts[KV_LANES];
        uint32_t others = 0;
        for (int i = 0; i < KV_LANES; i++) {
            k[i] = clamp_class(base[i] + shift);
            slots[i] = x_[i] & SLOTS_MASK;
            sizes[i] = tables_->zeros[k[i]];
            starts[i] = 0;
            out[i] = 0.0f;
        }
        for (int i = 0; i < KV_LANES; i++) others |= uint32_t(slots[i] >= sizes[i]) << i;
        int sum = 0;
        for (; others; others &= others - 1) {
            const int lane = __builtin_ctz(others);
            if (!other(lane, k[lane], values, out, sizes, starts, sum))
                return block_by_lane(base, shift, n, values, out);
        }
        uint32_t low = 0;
        for (int i = 0; i < KV_LANES; i++) x_[i] = sizes[i] * (x_[i] >> 12) + slots[i] - starts[i];
        for (int i = 0; i < KV_LANES; i++) low |= uint32_t(x_[i] < LAST_STATE) << i;
        for (; low; low &= low - 1) refill(__builtin_ctz(low));
        return sum;
#endif
    }

private:
    // A lane that does not hold 0; false when it is an escape.
    KV_MEMBER bool other(int lane, int k, const float *values, float *out, uint32_t *sizes, uint32_t *starts, int &sum) {
        const int s = tables_->symbol(k, x_[lane] & SLOTS_MASK);
        if (s >= KV_ESCAPE) return false;
        starts[lane] = uint32_t(tables_->ends[k][s - 1]);
        sizes[lane] = uint32_t(tables_->ends[k][s]) - starts[lane];
        out[lane] = values[s];
        sum += least((s + 1) / 2, MAX_COUNTED);
        return true;
    }

    KV_MEMBER void refill(int lane) {
        uint16_t word = 0;
        if (at_ == end_) {
            sound_ = false;
        } else {
            std::memcpy(&word, at_, 2);
            at_ += 2;
        }
        x_[lane] = x_[lane] << 16 | word;
    }

    void advance(int lane, uint32_t start, uint32_t size) {
        x_[lane] = size * (x_[lane] >> 12) + (x_[lane] & SLOTS_MASK) - start;
        if (x_[lane] < LAST_STATE) refill(lane);
    }

    uint32_t bit(int lane) {
        const uint32_t b = (x_[lane] >> 11) & 1;
        advance(lane, b * HALF_SLOTS, HALF_SLOTS);
        return b;
    }

    // |q| and its sign behind an escape; 0 and not sound when it is too large.
    int escaped(int lane) {
        int prefix = 0;
        while (bit(lane))
            if (++prefix > MAX_PREFIX) return sound_ = false, 0;
        uint32_t value = 1;
        for (int i = 0; i < prefix + 2; i++) value = value << 1 | bit(lane);
        const int size = int(value) - 3;
        if (size > MAX_Q) return sound_ = false, 0;
        return bit(lane) ? -size : size;
    }

    __attribute__((noinline)) int block_by_lane(const uint8_t *base, int shift, int n, const float *values, float *out) {
        int sum = 0;
        for (int lane = 0; lane < n; lane++) {
            const int k = clamp_class(base[lane] + shift), s = tables_->symbol(k, x_[lane] & SLOTS_MASK);
            const uint32_t start = s ? uint32_t(tables_->ends[k][s - 1]) : 0;
            advance(lane, start, uint32_t(tables_->ends[k][s]) - start);
            int q = (s + 1) / 2;
            out[lane] = values[s];
            if (s == KV_ESCAPE) {
                q = escaped(lane);
                const float magnitude = (float(magnitude_of(q)) - values[KV_SYMBOLS]) * values[KV_SYMBOLS + 1];
                out[lane] = q < 0 ? -magnitude : magnitude;
                q = magnitude_of(q);
            }
            sum += least(q, MAX_COUNTED);
        }
        return sum;
    }

    const ReadTables *tables_;
    uint32_t x_[KV_LANES];
    const uint8_t *at_, *end_;
    bool sound_;
};

// What the symbols stand for: 0, +1, -1, ... and behind them `shrink` and the step.
struct Values {
    float of[KV_SYMBOLS + 2];
    Values() = default;
    Values(float shrink, float step) {
        for (int s = 0; s < KV_SYMBOLS; s++) {
            const float size = s ? (float((s + 1) / 2) - shrink) * step : 0.0f;
            of[s] = s & 1 ? size : -size;
        }
        of[0] = 0.0f;
        of[KV_SYMBOLS] = shrink;
        of[KV_SYMBOLS + 1] = step;
    }
    float shrink() const { return of[KV_SYMBOLS]; }
    float step() const { return of[KV_SYMBOLS + 1]; }
};

// Notes the symbols in the order of reading and codes them backwards.
class Writer {
public:
    explicit Writer(const KvArchiveModel &model) : model_(model) {}

    void add(int lane, int k, int q) {
        const int size = magnitude_of(q), plain = q > 0 ? 2 * size - 1 : 2 * size, s = least(plain, KV_ESCAPE);
        const uint16_t *starts = model_.starts[k];
        if (s < KV_ESCAPE && starts[s + 1] > starts[s]) return note(lane, starts[s], uint32_t(starts[s + 1] - starts[s]));
        note(lane, starts[KV_ESCAPE], uint32_t(starts[KV_SYMBOLS] - starts[KV_ESCAPE]));
        const uint32_t value = uint32_t(size + 3);
        const int length = 31 - __builtin_clz(value);
        for (int i = 2; i < length; i++) note_bit(lane, 1);
        note_bit(lane, 0);
        for (int i = length - 1; i >= 0; i--) note_bit(lane, value >> i & 1);
        note_bit(lane, q < 0);
    }

    // False: no memory.
    bool finish(KvWords &out) const {
        if (!notes_.sound()) return false;
        uint32_t x[KV_LANES];
        for (auto &state : x) state = LAST_STATE;
        Growing<uint16_t> words;
        for (size_t i = notes_.size(); i-- > 0;) {
            const uint32_t note = notes_[i], lane = note >> 24, start = note >> 12 & 4095, size = note & 4095;
            uint32_t state = x[lane];
            if (state >= size << 20) {
                words.add(uint16_t(state));
                state >>= 16;
            }
            x[lane] = (state / size << 12) + state % size + start;
        }
        const size_t n = words.size();
        out.data = static_cast<uint16_t *>(std::malloc((2 * KV_LANES + n) * sizeof(uint16_t)));
        if (!words.sound() || out.data == nullptr) return false;
        out.n = 2 * KV_LANES + n;
        std::memcpy(out.data, x, sizeof x);
        for (size_t i = 0; i < n; i++) out.data[2 * KV_LANES + i] = words[n - 1 - i];
        return true;
    }

private:
    void note(int lane, uint32_t start, uint32_t size) { notes_.add(uint32_t(lane) << 24 | start << 12 | size); }
    void note_bit(int lane, uint32_t bit) { note(lane, bit * HALF_SLOTS, HALF_SLOTS); }

    const KvArchiveModel &model_;
    Growing<uint32_t> notes_;
};

}  // namespace KV_ISA
