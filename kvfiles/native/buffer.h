// Memory for the kernels.  The containers of the standard library would not do: their code, compiled for one
// instruction set, may be linked into that of another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "simd.h"

namespace KV_ISA {

KV_INLINE int least(int a, int b) { return a < b ? a : b; }
KV_INLINE int most(int a, int b) { return a > b ? a : b; }
KV_INLINE int magnitude_of(int a) { return a < 0 ? -a : a; }

// `n` zeros, or nothing when there is no memory.
template <typename T>
class Zeros {
public:
    Zeros() = default;
    explicit Zeros(size_t n) : data_(static_cast<T *>(std::calloc(n ? n : 1, sizeof(T)))) {}
    ~Zeros() { std::free(data_); }
    Zeros(const Zeros &) = delete;
    Zeros &operator=(const Zeros &) = delete;

    bool sound() const { return data_ != nullptr; }
    T *data() { return data_; }
    const T *data() const { return data_; }
    void allot(size_t n) {
        std::free(data_);
        data_ = static_cast<T *>(std::calloc(n ? n : 1, sizeof(T)));
    }
    void swap(Zeros &other) {
        T *mine = data_;
        data_ = other.data_;
        other.data_ = mine;
    }

private:
    T *data_ = nullptr;
};

// A list that grows; unsound once there was no memory for it.
template <typename T>
class Growing {
public:
    Growing() = default;
    ~Growing() { std::free(data_); }
    Growing(const Growing &) = delete;
    Growing &operator=(const Growing &) = delete;

    bool sound() const { return sound_; }
    size_t size() const { return n_; }
    T operator[](size_t i) const { return data_[i]; }
    KV_MEMBER void add(T item) {
        if (n_ == room_ && !grow()) return;
        data_[n_++] = item;
    }

private:
    __attribute__((noinline)) bool grow() {
        const size_t room = room_ ? 2 * room_ : 4096;
        T *data = sound_ ? static_cast<T *>(std::realloc(data_, room * sizeof(T))) : nullptr;
        sound_ = data != nullptr;
        if (!sound_) return false;
        data_ = data;
        room_ = room;
        return true;
    }

    T *data_ = nullptr;
    size_t n_ = 0, room_ = 0;
    bool sound_ = true;
};

}  // namespace KV_ISA
